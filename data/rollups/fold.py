"""The fold: what came into the log since the last one is counted, and added to the roll-ups exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from pilothouse.data.errors import CommitsGone
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.contributions import changed_outcomes
from pilothouse.data.rollups.count import columns_counted, count_rows
from pilothouse.data.rollups.outcomes import count_outcomes
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import added_up, to_arrow
from pilothouse.data.rollups.source import Source, batches, split_files
from pilothouse.data.rollups.store import Cursor, replace_rows, rollup_folder, zone_number
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace

_NOTHING = Cursor(predictions=None, labels=None, hours_from=None, zone=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldReport:
    """What a fold did.

    predictions, outcomes : rows counted, and signed changes of labels. rebuilt : whether all was counted anew.
    """

    predictions: int = 0
    outcomes: int = 0
    rollup_rows: int = 0
    rebuilt: bool = False


def fold(
    workspace: Workspace,
    model: str,
    signature: Signature,
    profile: Profile,
    policy: LabelPolicy,
    settings: Settings,
    *,
    clock: Clock = utc_now,
    crash: Callable[[str], None] = lambda point: None,
) -> FoldReport:
    """Take into the roll-ups what has been sealed since the last fold, in one commit that carries both cursors.

    To be called under the model's lease; a second folder at the same moment raises CommitConflict and changes nothing.
    Where the log no longer knows what came since (a worker that stood still for hours), or the business zone is another
    now, all is counted anew.
    """
    # The roll-ups are opened before the log, so the log is never behind the cursor, and a fold in between is noticed.
    folder = rollup_folder(workspace, model)
    cursor, before = Cursor.of(folder), folder.version
    if not cursor.counted_in(settings.time_zone):
        return rebuild(workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
    source = Source.open(workspace, model, signature, policy)
    reached = _reached(source, cursor, settings, clock)
    if (cursor.predictions, cursor.labels) == (reached.predictions, reached.labels):
        return FoldReport()
    try:
        rows, report = _changes(source, cursor, reached, profile, settings)
    except CommitsGone:
        return rebuild(workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
    crash("fold:computed")
    folder.append(to_arrow(rows), reached.marks())
    crash("fold:appended")
    folder.sync_since(before)
    return report


def rebuild(
    workspace: Workspace,
    model: str,
    signature: Signature,
    profile: Profile,
    policy: LabelPolicy,
    settings: Settings,
    *,
    clock: Clock = utc_now,
    crash: Callable[[str], None] = lambda point: None,
) -> FoldReport:
    """Count the whole log anew and put that in the place of the roll-ups, in one commit. The figures do not change."""
    folder = rollup_folder(workspace, model)
    before = folder.version
    source = Source.open(workspace, model, signature, policy)
    reached = _reached(source, _NOTHING, settings, clock)
    rows, report = _changes(source, _NOTHING, reached, profile, settings)
    crash("rebuild:computed")
    replace_rows(folder, rows, None, reached.marks())
    crash("rebuild:replaced")
    folder.sync_since(before)
    return replace(report, rebuilt=True)


def _changes(
    source: Source, cursor: Cursor, reached: Cursor, profile: Profile, settings: Settings
) -> tuple[pl.DataFrame, FoldReport]:
    zone, hours_from = settings.time_zone, reached.hours_since(settings.zone)
    predictions = split_files(source.predictions, cursor.predictions)
    labels = split_files(source.labels, cursor.labels)
    outcomes = changed_outcomes(source, predictions, labels, zone)
    parts = [count_outcomes(outcomes, source.signature, zone, hours_from)]
    counted = 0
    for batch in batches(predictions.new, columns_counted(profile), source.predictions.schema):
        parts.append(count_rows(batch, profile, zone, hours_from))
        counted += batch.height
    rows = added_up(pl.concat(parts))
    return rows, FoldReport(predictions=counted, outcomes=outcomes.height, rollup_rows=rows.height)


def _reached(source: Source, cursor: Cursor, settings: Settings, clock: Clock) -> Cursor:
    return Cursor(
        predictions=source.predictions.version,
        labels=source.labels.version,
        hours_from=_hours_from(cursor, settings, clock),
        zone=zone_number(settings.time_zone),
    )


def _hours_from(cursor: Cursor, settings: Settings, clock: Clock) -> date:
    """Since which day hours are counted. It never goes back: what a fold has left out stays out."""
    today = clock().astimezone(settings.zone).date()
    first = today - timedelta(days=settings.hours_kept_days)
    return first if cursor.hours_from is None else max(first, cursor.hours_from)
