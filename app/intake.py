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
    number = uploads().keep(predictions.getvalue(), predictions.name, told)
    _keep(number, name, {}, turn=0)


def look_again(changed: Mapping[str, str | list[str]]) -> None:
    """Read the same files under a corrected mapping."""
    found = st.session_state[_KEPT]
    _keep(found["number"], found["model"], found["said"] | dict(changed), turn=found["turn"] + 1)


def _keep(number: str, model: str, said: dict[str, str | list[str]], *, turn: int) -> None:
    state = uploads().look(number, model, said)
    if state.state != "done":
        raise UnreadableSource("The file", state.error.rstrip("."), "Look at it, or say what its columns are.")
    st.session_state[_KEPT] = {**state.found, "number": number, "model": model, "said": said, "turn": turn}


def changes(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    """The corrections that an edited mapping asks for.

    >>> changes({"theirs": ["a", "b"], "ours": ["at", "feature"]}, {"theirs": ["a", "b"], "ours": ["at", "key"]})
    {'key': ['b']}
    """
    found: dict[str, str | list[str]] = {}
    for theirs, old, new in zip(before["theirs"], before["ours"], after["ours"], strict=True):
        if new and new != old:
            found[new] = [*found.get(new, []), theirs]
    return found


def begin() -> None:
    """Start the import of what stands on the page; its number goes into the address, so that a reload finds it."""
    found = st.session_state.pop(_KEPT)
    uploads().begin(found["number"], found["model"], found["said"])
    st.query_params["import"], st.query_params["into"] = found["number"], found["model"]


def is_known(number: str) -> bool:
    return number.isalnum() and (Workspace.open(session.workspace()).run / "uploads" / number).is_dir()


def state(number: str) -> JobState:
    return uploads().state(number)


def stop(number: str) -> None:
    uploads().stop(number)


def set_aside(state: JobState) -> bytes | None:
    """The file of rows that could not be read, if there are any."""
    file = state.found.get("bad_rows")
    return Path(file).read_bytes() if file else None


def share(state: JobState) -> float:
    return min(1.0, state.read / state.rows) if state.rows else 0.0


def progress_words(state: JobState) -> str:
    of = f" of {state.rows:,}" if state.rows else ""
    return f"{state.read:,}{of} rows read. You may leave or reload this page; it goes on."


def act_words(found: Mapping[str, Any]) -> str:
    """What the button does, with its count where it is known."""
    whole = found["rows"] if found["rows"] is not None else None
    rows = f"{whole:,} rows" if whole is not None else "the rows"
    return f"Import {rows} into {found['model']}"


def bad_rows(bad: Mapping[str, Sequence[object]]) -> markup.Html:
    rows = list(zip(bad["bad_line"], bad["bad_reasons"], strict=True))
    return markup.table(("line", "would be set aside, because"), rows, right=(0,))
