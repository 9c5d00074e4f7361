"""The fold: what came into the log since the last one is counted, and added to the roll-ups exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pyarrow as pa

from pilothouse.data.errors import CommitsGone
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.contributions import changed_outcomes
from pilothouse.data.rollups.count import Counting, columns_counted
from pilothouse.data.rollups.gaps import with_kept_days
from pilothouse.data.rollups.outcomes import count_outcomes
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import ROLLUP_SCHEMA, to_arrow
from pilothouse.data.rollups.source import Source, record_batches, split_files
from pilothouse.data.rollups.store import Cursor, drop_other_form, replace_rows, rollup_folder, zone_number
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Data files of the prediction table whose `rows` rows were counted while they were written, and their roll-ups."""

    files: frozenset[str] = frozenset()
    rows: int = 0
    table: pa.Table = field(default_factory=ROLLUP_SCHEMA.empty_table)


def fold(
    workspace: Workspace,
    model: str,
    signature: Signature,
    profile: Profile,
    policy: LabelPolicy,
    settings: Settings,
    *,
    counted: Counted | None = None,
    clock: Clock = utc_now,
    crash: Callable[[str], None] = lambda point: None,
) -> FoldReport:
    """Take into the roll-ups what has been sealed since the last fold, in one commit that carries both cursors.

    To be called under the model's lease; a second folder at the same moment raises CommitConflict and changes nothing.
    Where the log no longer knows what came since (a worker that stood still for hours), or the business zone or the
    segments are others now, all is counted anew. counted : what need not be read again.
    """
    # The roll-ups are opened before the log, so the log is never behind the cursor, and a fold in between is noticed.
    folder = rollup_folder(workspace, model)
    cursor = Cursor.of(folder)
    if not cursor.counted_in(settings.time_zone):
        drop_other_form(folder)
        return rebuild(workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
    if not cursor.counted_by(profile.counted_by):
        return rebuild(workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
    source = Source.open(workspace, model, signature, policy)
    reached = _reached(source, cursor, profile, settings, clock)
    if (cursor.predictions, cursor.labels) == (reached.predictions, reached.labels):
        return FoldReport()
    try:
        rows, report = _changes(source, cursor, reached, profile, settings, counted or Counted())
    except CommitsGone:
        return rebuild(workspace, model, signature, profile, policy, settings, clock=clock, crash=crash)
    crash("fold:computed")
    folder.append(rows, reached.marks())
    crash("fold:appended")
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
    """Count the whole log anew and put that in the place of the roll-ups, in one commit. The figures do not change.

    Days of which the log has lost rows on purpose keep the roll-ups they have: see gaps.py.
    """
    folder = rollup_folder(workspace, model)
    source = Source.open(workspace, model, signature, policy)
    before = Cursor.of(folder)
    anew = replace(_NOTHING, generation=before.generation + 1, segments=before.segments)
    reached = _reached(source, anew, profile, settings, clock)
    rows, report = _changes(source, _NOTHING, reached, profile, settings, Counted())
    crash("rebuild:computed")
    replace_rows(folder, with_kept_days(folder, rows, settings.time_zone), None, reached.marks())
    crash("rebuild:replaced")
    return replace(report, rebuilt=True)


def _changes(
    source: Source, cursor: Cursor, reached: Cursor, profile: Profile, settings: Settings, counted: Counted
) -> tuple[pa.Table, FoldReport]:
    zone, since = settings.time_zone, reached.hours_since(settings.zone)
    predictions = split_files(source.predictions, cursor.predictions)
    labels = split_files(source.labels, cursor.labels)
    outcomes = changed_outcomes(source, predictions, labels, zone, profile.segments)
    counting = Counting(profile, zone, since)
    if not counted.files <= set(predictions.new):
        # Another has folded some of them meanwhile: what was counted of all cannot be taken apart.
        counted = Counted()
    unread = [path for path in predictions.new if path not in counted.files]
    for batch in record_batches(unread, columns_counted(profile)):
        counting.add(batch)
    rows = pa.concat_tables([counting.table(), counted.table])
    if outcomes.height:
        of_labels = count_outcomes(outcomes, source.signature, zone, since, segments=profile.segments)
        rows = pa.concat_tables([to_arrow(of_labels), rows])
    return rows, FoldReport(
        predictions=counting.counted + counted.rows, outcomes=outcomes.height, rollup_rows=rows.num_rows
    )


def _reached(source: Source, cursor: Cursor, profile: Profile, settings: Settings, clock: Clock) -> Cursor:
    segments = profile.counted_by
    return Cursor(
        predictions=source.predictions.version,
        labels=source.labels.version,
        hours_from=hours_from(cursor, settings, clock),
        zone=zone_number(settings.time_zone),
        segments=None if cursor.segments is None and not segments else segments,
        generation=cursor.generation,
    )


def hours_from(cursor: Cursor, settings: Settings, clock: Clock) -> date:
    """Since which day hours are counted. It never goes back: what a fold has left out stays out."""
    today = clock().astimezone(settings.zone).date()
    first = today - timedelta(days=settings.hours_kept_days)
    return first if cursor.hours_from is None else max(first, cursor.hours_from)
