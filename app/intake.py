"""What the Import page keeps between runs, and how it words what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from pilothouse.app import markup, session
from pilothouse.data.errors import UnreadableSource
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.child import JobState
from pilothouse.ops.imports.mapping import Part
from pilothouse.ops.imports.uploads import MAX_BYTES, Uploads
from pilothouse.ops.imports.uploads import SUFFIXES as _SUFFIXES

SUFFIXES = list(_SUFFIXES)
LIMITS = (
    f"CSV or Parquet, up to {MAX_BYTES // 1024**2} MB each, read in a process of its own. "
    "For larger files, for Arrow, Delta and databases: `pilothouse import NAME FILE`."
)
PARTS = "One of: " + ", ".join(part.value for part in Part) + "; feature.NAME, context.NAME, key.NAME to name it."
_KEPT = "intake"


def uploads() -> Uploads:
    return Uploads(Workspace.open(session.workspace()))


def look(name: str, predictions: Any, labels: Any) -> None:
    """Keep the files and read their first rows. Raises what is wrong with the name or the files."""
    told = None if labels is None else (labels.getvalue(), labels.name)
    uploads().clean(session.now())
    number = uploads().keep(predictions.getvalue(), predictions.name, told)
    _keep(number, name, predictions.name, {}, turn=0)


def look_again(changed: Mapping[str, list[str]]) -> None:
    """Read the same files under a corrected mapping."""
    found = st.session_state[_KEPT]
    said = found["said"] | dict(changed)
    _keep(found["number"], found["model"], found["called"], said, turn=found["turn"] + 1)


def _keep(number: str, model: str, called: str, said: dict[str, list[str]], *, turn: int) -> None:
    state = uploads().look(number, model, corrections(said), called)
    if state.state != "done":
        raise UnreadableSource("The file", state.error.rstrip("."), "Look at it, or say what its columns are.")
    asked = {"number": number, "model": model, "called": called, "said": said, "turn": turn}
    st.session_state[_KEPT] = {**state.found, **asked}


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


def corrections(said: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
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


def begin() -> None:
    """Start the import of what stands on the page; its number goes into the address, so that a reload finds it."""
    found = st.session_state.pop(_KEPT)
    uploads().begin(found["number"], found["model"], corrections(found["said"]), found["called"], found["rows"])
    st.query_params["import"], st.query_params["into"] = found["number"], found["model"]


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
