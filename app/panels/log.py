"""The log page's sentences, tiles and tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo

from pilothouse.app import formats, markup
from pilothouse.app.faces import LastBackup
from pilothouse.data.history.results import Labels, SchemaChange, State
from pilothouse.data.log.retention import RetentionReport
from pilothouse.data.log.scrub import DamagedPart
from pilothouse.data.policies import UNSHOWN, ColumnClass, LogPolicy
from pilothouse.data.rollups.recount import LastRecount
from pilothouse.ops.batch.report import BatchRun
from pilothouse.ops.governance.columns import ColumnLine
from pilothouse.ops.governance.erasure import Receipt
from pilothouse.ops.governance.log_state import LogState

_TITLES = {"predictions": "Predictions", "labels": "Labels", "rollups": "Roll-ups"}


def answer(state: LogState) -> str:
    """Whether the log is whole, in one sentence."""
    sealed = formats.count(state.watermark.sealed_rows)
    if state.damage:
        files = len(state.damage)
        return f"No. {files} file{'s' if files > 1 else ''} of this log cannot be read, and no figure is made from what it held."
    if state.recounted and state.recounted.found.differing:
        return f"Its rows are, but the figures of {state.recounted.found.day} differ from them."
    if state.rows_set_aside:
        return f"Yes, but for {formats.count(state.rows_set_aside)} rows that cannot be read and were set aside."
    if not state.watermark.sealed_rows and not state.watermark.unsealed_rows:
        return "Nothing has been logged yet. Send predictions, or import a log."
    return f"Yes. {sealed} rows are sealed, and no damage is known."


def status(state: LogState) -> State:
    if state.damage or (state.recounted and state.recounted.found.differing):
        return State.CRITICAL
    if state.rows_set_aside:
        return State.WATCH
    return State.HEALTHY if state.watermark.sealed_rows else State.NO_DATA


def tiles(state: LogState, backup: LastBackup | None, now: datetime) -> list[tuple[str, str, str]]:
    """Label, value and what stands beside it."""
    mark = state.watermark
    size = sum(table.size for table in state.tables)
    days = next((f"{t.first} to {t.last}" for t in state.tables if t.name == "predictions" and t.first), "no day yet")
    waiting = f"and {formats.count(state.labels_waiting)} labels" if state.labels_waiting else "waiting in the spool"
    checked = "never yet" if backup is None or backup.verified_at is None else formats.ago(backup.verified_at, now)
    return [
        ("Sealed rows", formats.compact(mark.sealed_rows), days),
        ("Not sealed yet", formats.compact(mark.unsealed_rows), waiting),
        ("On disk", megabytes(size), f"{sum(table.files for table in state.tables)} files"),
        ("Looked over", formats.ago(state.scrubbed_at, now) if state.scrubbed_at else "not yet", "for damage"),
        ("Last backup", formats.ago(backup.at, now) if backup else "none", f"verified: {checked}" if backup else
         "pilothouse backup DIR"),
    ]  # fmt: skip


def megabytes(size: int) -> str:
    """
    >>> megabytes(0), megabytes(3_400_000), megabytes(5_300_000_000)
    ('0.0 MB', '3.2 MB', '4.9 GB')
    """
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"


def tables(state: LogState) -> markup.Html:
    mark = state.watermark
    reached = {
        "predictions": _version(mark.prediction_version),
        "labels": _version(mark.label_version),
        "rollups": f"predictions {_version(mark.folded_prediction_version)}, labels {_version(mark.folded_label_version)}",
    }
    rows: list[list[object]] = [
        [
            markup.tag("span", _TITLES[table.name], kind="ph-name"), formats.count(table.rows),
            f"{table.first} to {table.last}" if table.first else formats.NOTHING, formats.count(table.files),
            megabytes(table.size), reached[table.name],
        ]
        for table in state.tables
    ]  # fmt: skip
    return markup.table(("Table", "Rows", "Days", "Files", "On disk", "Stands at commit"), rows, right=(1, 3, 4))


def _version(number: int | None) -> str:
    return formats.NOTHING if number is None else f"{number}"


def damage(found: Sequence[DamagedPart]) -> markup.Html:
    """What is damaged, urgent: what it held, and what to do."""
    lines = [
        markup.tag("li", markup.join([markup.tag("i", "●", kind="ph-mark-critical"), markup.prose(part.sentence)]))
        for part in found
    ]
    return markup.tag("ul", markup.join(lines), kind="ph-reasons")


def recount_words(last: LastRecount | None, model: str, now: datetime) -> str:
    """What the last recount found, and what to do when it found a difference."""
    if last is None:
        return "Never recounted yet. The worker does it every hour for a day chosen at random."
    found = last.found
    when = f"{found.day} was recounted {formats.ago(last.at, now)}"
    if not found.differing:
        return f"{when}: all {formats.count(found.cells)} cells agree with the rows."
    return (
        f"{when}: {formats.count(found.differing)} of {formats.count(found.cells)} cells differ from the rows, in "
        f"{', '.join(found.where)}. Put it right with `pilothouse rebuild {model}`, and recount the day again."
    )


def recount(last: LastRecount | None, model: str, now: datetime) -> markup.Html:
    """The last recount: its state, and its sentence."""
    state = State.NO_DATA if last is None else State.CRITICAL if last.found.differing else State.HEALTHY
    return markup.tag("p", markup.join([markup.chip(state), " ", markup.prose(recount_words(last, model, now))]))


def set_aside(state: LogState, zone: tzinfo) -> markup.Html:
    rows = [
        [formats.moment(entry.at, zone), entry.kind, formats.count(entry.rows), entry.reason]
        for entry in state.set_aside
    ]
    return markup.table(("Set aside", "Kind", "Rows", "Why"), rows, right=(2,))


def coverage(found: Labels, zone: tzinfo) -> markup.Html:
    rows: list[list[object]] = [
        [
            formats.span(cohort.window, zone), formats.count(cohort.rows), formats.count(cohort.labelled),
            formats.share(cohort.coverage), _days(cohort.delay_p50), _days(cohort.delay_p95),
            "all due" if cohort.mature else "still arriving",
        ]
        for cohort in found.cohorts
    ]  # fmt: skip
    head = ("Rows of", "Rows", "Labelled", "Coverage", "Half within", "95 % within", "Labels")
    return markup.table(head, rows, right=(1, 2, 3, 4, 5))


def label_words(found: Labels) -> str:
    facts = found.facts
    if not facts.told:
        return "No label was recorded in this range."
    parts = [
        f"{formats.count(number)} {words}"
        for number, words in (
            (facts.unknown, "speak of a prediction that is not in the log"),
            (facts.late, "came after the horizon"),
            (facts.conflicting, "predictions have labels that contradict each other"),
            (facts.corrected, "predictions had their label corrected"),
        )
        if number
    ]
    odd = "; ".join(parts)
    return f"{formats.count(facts.told)} labels were recorded in this range" + (
        f": {odd}." if odd else ", none of them odd."
    )


def _days(delay: timedelta | None) -> str:
    return formats.NOTHING if delay is None else f"{delay.days} d"


def changes(found: tuple[SchemaChange, ...], zone: tzinfo) -> markup.Html:
    rows: list[list[object]] = [
        [formats.day(change.at, zone), markup.tag("span", change.column, kind="ph-name"), change.kind, change.detail]
        for change in found
    ]
    return markup.table(("Since", "Column", "Change", "Detail"), rows)


def policy_words(policy: LogPolicy, raw_from: date | None) -> list[str]:
    """What is kept, as sentences."""
    rows = (
        "Single rows are kept for ever" if policy.keep_days is None else f"Single rows go after {policy.keep_days} days"
    )
    private = (
        "entity ids, business keys and private columns stay with them"
        if policy.keep_private_days is None
        else f"entity ids, business keys and private columns are emptied after {policy.keep_private_days} days"
    )
    thinned = (
        ""
        if policy.full_days is None or policy.sample_share == 1
        else f" After {policy.full_days} days a sample of {formats.share(policy.sample_share, 0)} stays, with weights."
    )
    since = "" if raw_from is None else f" Every single row is there from {raw_from} on; earlier days live in roll-ups."
    return [f"{rows}; {private}.{thinned}", f"Roll-ups are kept for good.{since}"]


def preview_words(report: RetentionReport) -> str:
    if report.nothing:
        return "Nothing would go now."
    return (
        f"Now {formats.count(report.rows_removed)} rows and {formats.count(report.labels_removed)} labels would go with "
        f"their days, {formats.count(report.rows_thinned)} rows from samples, and {formats.count(report.rows_emptied)} rows "
        "would lose what is private. It cannot be undone; roll-ups stay as they are."
    )


def columns(found: tuple[ColumnLine, ...]) -> markup.Html:
    rows: list[list[object]] = [
        [markup.tag("span", line.name, kind="ph-name"), line.role, line.kind, _class_badge(line.told)] for line in found
    ]
    return markup.table(("Column", "Role", "Kind", "Class"), rows)


def _class_badge(told: ColumnClass) -> markup.Html:
    return markup.badge(told.value, "plain" if told in UNSHOWN else "none")


def batches(found: tuple[BatchRun, ...], zone: tzinfo) -> markup.Html:
    """Batches that are done, a line each."""
    rows: list[list[object]] = [
        [
            formats.moment(run.at, zone), markup.tag("span", run.source, kind="ph-name"), f"v{run.version}", run.actor,
            formats.count(run.rows), formats.count(run.logged), formats.count(run.set_aside), f"{run.seconds:,.1f} s",
        ]
        for run in found
    ]  # fmt: skip
    head = ("Done", "Source", "Version", "By", "Rows", "Logged", "Set aside", "Took")
    return markup.table(head, rows, right=(4, 5, 6, 7))


def receipts(found: tuple[Receipt, ...], zone: tzinfo) -> markup.Html:
    rows: list[list[object]] = [
        [
            formats.moment(receipt.at, zone), markup.tag("span", receipt.entity[:12], kind="ph-mono"), receipt.actor,
            receipt.reason, formats.count(receipt.rows_removed), "complete" if receipt.complete else "not complete",
        ]
        for receipt in found
    ]  # fmt: skip
    return markup.table(("Erased", "Entity (keyed hash)", "By", "Why", "Rows", "State"), rows, right=(4,))
