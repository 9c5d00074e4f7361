"""What the Import page keeps between runs, and how it words what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import streamlit as st

from pilothouse.app import markup, session
from pilothouse.data.errors import PilothouseError
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.child import JobState
from pilothouse.ops.imports.mapping import Part
from pilothouse.ops.imports.said import Said
from pilothouse.ops.imports.uploads import MAX_BYTES, Uploads
from pilothouse.ops.imports.uploads import SUFFIXES as _SUFFIXES

SUFFIXES = list(_SUFFIXES)
LIMITS = (
    f"CSV, Parquet or Arrow, up to {MAX_BYTES // 1024**2} MB each, read in a process of its own. "
    "For larger files, for folders, Delta tables and databases: `pilothouse import NAME FILE`."
)
PARTS = (
    "One of: "
    + ", ".join(part.value for part in Part)
    + "; feature.NAME, context.NAME, key.NAME, probability.CLASS to name it."
)
MAPPINGS = ("mapping", "label_mapping")
"""The two tables of columns, by their names in what was found and in what is said."""
_KEPT = "intake"

Corrected = Mapping[str, Sequence[str]]
"""Parts by their column, for the columns that somebody has corrected."""


def uploads() -> Uploads:
    return Uploads(Workspace.open(session.workspace()))


def look(name: str, predictions: Any, labels: Any, reference: Any) -> None:
    """Keep the files and read their first rows. Raises what is wrong with the name or the files."""
    uploads().clean(session.now())
    given = [None if file is None else (file.getvalue(), file.name) for file in (labels, reference)]
    number = uploads().keep((predictions.getvalue(), predictions.name), *given)
    asked = {"number": number, "model": name, "turn": 0, "said": {}}
    st.session_state[_KEPT] = asked | _looked(asked)


def look_again(said: Mapping[str, Any]) -> None:
    """Read the same files as corrected; what was found before stays beside it, to say what that has changed.

    A correction that cannot be followed leaves everything as it was, and stands in its table still.
    """
    before = {name: value for name, value in st.session_state[_KEPT].items() if name != "before"}
    asked = {"number": before["number"], "model": before["model"], "turn": before["turn"] + 1, "said": dict(said)}
    found = _looked(asked)
    st.session_state[_KEPT] = found | {"before": before} if "mapping" in found else before | found


def _looked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was found of the files as `asked`; the problem alone where they cannot be read so."""
    state = uploads().look(asked["number"], asked["model"], as_said(asked["said"]))
    return {**state.found, **asked} if state.state == "done" else {"problems": [state.error]}


def as_said(said: Mapping[str, Any]) -> Said:
    """What the page has been told, as an import takes it.

    >>> as_said({"label_mapping": {"b": ["key"]}, "time_zone": "Europe/Berlin"}).label_mapping
    {'ignored': ['b'], 'key': ['b']}
    """
    mappings = {name: corrections(said[name]) for name in MAPPINGS if name in said}
    return msgspec.convert({**said, **mappings}, Said)


def changes(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str | None]]) -> dict[str, list[str]]:
    """What an edited mapping says of the columns that it says something new of; an emptied cell leaves a column out.

    >>> changes({"theirs": ["a", "b"], "ours": ["at", "feature"]}, {"theirs": ["a", "b"], "ours": ["at", "key"]})
    {'b': ['key']}
    """
    found: dict[str, list[str]] = {}
    for theirs, new in zip(before["theirs"], after["ours"], strict=True):
        found.setdefault(theirs, []).append((new or Part.IGNORED.value).strip())
    old: dict[str, list[str]] = {}
    for theirs, part in zip(before["theirs"], before["ours"], strict=True):
        old.setdefault(theirs, []).append(part)
    return {theirs: parts for theirs, parts in found.items() if parts != old[theirs]}


def corrections(said: Corrected) -> dict[str, list[str]]:
    """What has been said of single columns, as an import takes it: each first gives its guessed parts away.

    >>> corrections({"b": ["key", "feature"]})
    {'ignored': ['b'], 'key': ['b'], 'feature': ['b']}
    """
    found: dict[str, list[str]] = {Part.IGNORED.value: list(said)} if said else {}
    for theirs, parts in said.items():
        for part in parts:
            if part != Part.IGNORED:
                found.setdefault(part, []).append(theirs)
    return dict(found)


def edited(found: Mapping[str, Any], name: str, table: Mapping[str, Sequence[str | None]]) -> dict[str, Any]:
    """What is said of the columns once the table `name` has been edited; empty while nothing has been said of any."""
    said = {**found["said"].get(name, {}), **changes(found[name], table)}
    return {name: said} if said else {}


def columns(found: Mapping[str, Any]) -> list[str]:
    """Names of all columns of the files, each once."""
    tables = [found[name] for name in MAPPINGS if found.get(name)]
    return list(dict.fromkeys(theirs for table in tables for theirs in table["theirs"]))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a correction has changed: what it is, how it was, and how it is now.

    >>> differences({"task": "binary"}, {"task": "regression"})
    [('Task', 'binary', 'regression')]
    """
    old, new = _facts(before), _facts(now)
    return [(what, old.get(what, ""), new.get(what, "")) for what in {**old, **new} if old.get(what) != new.get(what)]


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    """Everything that a look has found, in words."""
    facts: dict[str, str] = {}
    for name, of in zip(MAPPINGS, ("", " (labels)"), strict=True):
        for theirs, ours, kind in _columns(found.get(name)):
            place = f"{theirs}{of}"
            said = f"{ours}, {kind}" if kind else ours
            facts[place] = f"{facts[place]} and {said}" if place in facts else said
    if "task" in found:
        facts["Task"] = found["task"]
    if found.get("classes"):
        facts["Classes"] = ", ".join(found["classes"])
    for sentence in found.get("first_times", ()):
        facts[sentence.split(",")[0]] = sentence.partition(", ")[2].replace(", is read", " is read").rstrip(".")
    if "looked_at" in found:
        facts[f"Can be imported, of the first {found['looked_at']:,} rows"] = (
            f"{found['looked_at'] - found['set_aside']:,}"
        )
        facts["Labels that would be set aside"] = f"{found['labels_set_aside']:,}"
    return facts


def _columns(mapping: Mapping[str, Sequence[str]] | None) -> list[tuple[str, str, str]]:
    return [] if mapping is None else list(zip(mapping["theirs"], mapping["ours"], mapping["kind"], strict=True))


def changed_table(found: Mapping[str, Any]) -> markup.Html:
    """What the last correction changed; empty without one."""
    if "before" not in found:
        return markup.join([])
    rows = [
        [markup.tag("span", what, kind="ph-name"), old, new] for what, old, new in differences(found["before"], found)
    ]
    if not rows:
        return markup.tag("p", "What is shown below is the same as before.", kind="ph-quiet")
    return markup.table(("", "before", "now"), rows)


def begin() -> None:
    """Start the import of what stands on the page; its number goes into the address, so that a reload finds it.

    For callbacks: another click a moment later would end the run of the page before it comes to its button. The second
    of two quick clicks finds nothing left to begin.
    """
    found = st.session_state.pop(_KEPT, None)
    if found is None:
        return
    try:
        uploads().begin(found["number"], found["model"], as_said(found["said"]), found["rows"])
    except PilothouseError as error:
        st.session_state[_KEPT] = {**found, "problems": [str(error)]}
        del st.session_state[_KEPT]["sentence"]
        return
    st.query_params.update({"import": found["number"], "into": found["model"]})


def is_known(number: str) -> bool:
    return number.isalnum() and (Workspace.open(session.workspace()).run / "uploads" / number).is_dir()


def state(number: str) -> JobState:
    return uploads().state(number)


def stop(number: str) -> None:
    uploads().stop(number)


def set_aside(state: JobState) -> dict[str, bytes]:
    """The files of what could not be read, by "rows" and "labels"."""
    files = {"rows": state.found.get("bad_rows"), "labels": state.found.get("bad_labels")}
    return {what: Path(file).read_bytes() for what, file in files.items() if file and Path(file).exists()}


def share(state: JobState) -> float:
    return min(1.0, state.read / state.rows) if state.rows else 0.0


def progress_words(state: JobState) -> str:
    of = f" of {state.rows:,}" if state.rows else ""
    return f"{state.read:,}{of} {state.stage} read. You may leave or reload this page; it goes on."


def act_words(found: Mapping[str, Any]) -> str:
    """What the button does, with the number of rows that are read."""
    rows = found["rows"]
    return f"Import {rows:,} {'row' if rows == 1 else 'rows'} into {found['model']}"


def bad_rows(found: Mapping[str, Any]) -> markup.Html:
    """The first rows and labels that would be set aside; empty without any."""
    tables = []
    for name, what in (("bad", "line"), ("label_bad", "line of the labels")):
        rows = list(zip(found[name]["bad_line"], found[name]["bad_reasons"], strict=True))
        if rows:
            tables.append(markup.table((what, "would be set aside, because"), rows, right=(0,)))
    return markup.join(tables)
