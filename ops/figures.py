"""Roll-ups counted anew, or checked against the rows: by hand, and by the worker once a day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.state import audit
from pilothouse.ops.actors import Right, require
from pilothouse.ops.holdings import borrowed

if TYPE_CHECKING:
    from pilothouse.data.rollups.fold import FoldReport
    from pilothouse.data.rollups.recount import RecountReport
    from pilothouse.ops.model import ModelHandle


def rebuild_figures(handle: ModelHandle) -> FoldReport:
    """Count the whole log of a model anew and put that in the place of its roll-ups; the act is audited.

    Raises NotAllowed, and StoreBusy when another process is at a long piece of work on the model's roll-ups.
    """
    from pilothouse.data.rollups.fold import rebuild

    house, row = handle.house, handle.row
    require(house.state, house.actor, Right.OPERATOR, "rebuild", handle.name, house.clock)
    with borrowed(house.state, house.clock, f"fold {handle.name}"):
        report = rebuild(
            house.workspace, row.name, row.signature, handle.profile, row.label_policy, house.settings,
            clock=house.clock,
        )  # fmt: skip
    with house.state.write() as conn:
        details = {"predictions": report.predictions, "outcomes": report.outcomes}
        audit.append(conn, actor=house.actor.name, act="rebuild", target=handle.name, details=details, at=house.clock())
    return report


def recount_day(handle: ModelHandle, day: date | None = None) -> RecountReport:
    """Compare one day's roll-ups with its rows; the newest whole day when none is named. Changes nothing.

    What it finds is noted as the last recount. Raises EmptyWindow when nothing has been counted, or nothing of that day.
    """
    from pilothouse.data.rollups.recount import counted_days, keep_recount, recount

    house, row = handle.house, handle.row
    if day is None:
        days = counted_days(house.workspace, row.name, house.settings)
        if not days:
            raise EmptyWindow(f"The roll-ups of {row.name}", "Wait until the worker has folded its first rows.")
        day = days[-2:][0]
    with borrowed(house.state, house.clock, f"fold {row.name}"):
        report = recount(
            house.workspace, row.name, row.signature, handle.profile, row.label_policy, house.settings, day
        )  # fmt: skip
        keep_recount(house.workspace, row.name, report, house.clock())
    return report
