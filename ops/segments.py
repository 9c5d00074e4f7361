"""Segments of a model: asked for by name, kept from those who may not see single values, and chosen for the roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import HiddenColumn, UnknownColumn
from pilothouse.data.history.results import SegmentTable
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.rollups.segments import SegmentColumn, save_segments
from pilothouse.data.state import audit, catalog
from pilothouse.data.windows import Window
from pilothouse.ops.actors import Right, require
from pilothouse.ops.governance.columns import allow_unmasking
from pilothouse.ops.holdings import borrowed

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_ROWS_LOOKED_AT = 1_000_000
"""Newest rows from which the values of a column outside the reference are taken."""


def segments_by(
    handle: ModelHandle, column: str, window: Window, *, version: int | None, unmask: bool, reason: str
) -> SegmentTable:
    """Rows and performance by the values of `column`. Raises HiddenColumn, UnknownColumn, NotAllowed, NoReason."""
    look_behind(handle, (column,), unmask=unmask, reason=reason)
    return handle.history.segments(column, window, version)


def look_behind(handle: ModelHandle, columns: Sequence[str], *, unmask: bool, reason: str) -> None:
    """Let values of `columns` be shown; of a sensitive or masked one only by `unmask`, which is audited with its reason.

    Raises HiddenColumn, NotAllowed, NoReason.
    """
    house, row = handle.house, handle.row
    hidden = [name for name in columns if row.classes.get(row.signature.own_name(name)) in UNSHOWN]
    if hidden and not unmask:
        raise HiddenColumn(row.name, hidden[0])
    if hidden:
        allow_unmasking(house.state, house.actor, row.name, row.classes, reason, house.clock)


def watch_segments(handle: ModelHandle, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Have the roll-ups count by the values of `columns` and of no others; the log is counted anew, and it is audited.

    Raises UnknownColumn, NotAllowed, and StoreBusy while another process is at the model's roll-ups.
    """
    from pilothouse.data.rollups.fold import rebuild

    house, row = handle.house, handle.row
    require(house.state, house.actor, Right.OPERATOR, "choose the segments of", row.name, house.clock)
    chosen = tuple(_column(handle, name) for name in dict.fromkeys(columns))
    folder = house.workspace.reference(row.name, row.profile_id)
    with borrowed(house.state, house.clock, f"fold {row.name}"):
        # In this order a worker that takes over half way finds the new columns, and counts by them itself.
        watched = save_segments(folder, chosen)
        with house.state.write() as conn:
            catalog.set_segments(conn, row.name, tuple(column.name for column in watched))
            details = {"from": list(row.segments), "to": [column.name for column in watched]}
            audit.append(
                conn, actor=house.actor.name, act="segments", target=row.name, details=details, at=house.clock()
            )
        profile = replace(handle.profile, segments=watched)
        rebuild(house.workspace, row.name, row.signature, profile, row.label_policy, house.settings, clock=house.clock)
    return tuple(column.name for column in watched)


def _column(handle: ModelHandle, name: str) -> SegmentColumn:
    """The column with the values of the reference; of the newest rows for one that the reference does not have."""
    signature = handle.signature
    stored = signature.stored_as(name)
    if stored is None:
        raise UnknownColumn(handle.name, name, [c.name for c in signature.columns])
    sample = handle.profile.load_sample(handle.house.workspace.reference(handle.name, handle.row.profile_id))
    values = sample[stored] if stored in sample.columns else _newest(handle, stored)
    return SegmentColumn.of(signature, handle.name, name, values)


def _newest(handle: ModelHandle, stored: str) -> pl.Series:
    end = handle.data_end()
    if end is None:
        return pl.Series(stored, [], pl.String)
    rows = handle.prediction_log.predictions(handle.window("28d"), columns=(stored,))
    return rows.tail(_ROWS_LOOKED_AT)[stored]
