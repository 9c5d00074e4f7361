"""Doing an import: chunk by chunk, each exactly once, whoever ends this process wherever.

A chunk's number is written as a mark in the commit that holds its rows. An import that goes on reads its source from the
start, so that repeats and bad rows come out the same, and writes from the first chunk on that has no mark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import polars as pl
import pyarrow as pa

from pilothouse.data.errors import CommitConflict
from pilothouse.data.log.imported import matched_labels
from pilothouse.data.log.schema import prediction_schema
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.state import audit
from pilothouse.ops.actors import Right, require
from pilothouse.ops.holdings import borrowed
from pilothouse.ops.house import House
from pilothouse.ops.imports import birth, records
from pilothouse.ops.imports.badrows import BadRows, all_bad, default_path
from pilothouse.ops.imports.convert import (
    Layout,
    label_table,
    prediction_table,
    read_labels,
    read_predictions,
)
from pilothouse.ops.imports.mapping import MANY, Part
from pilothouse.ops.imports.plan import Guess, Plan, Reading, Wishes, first_guess, first_times, make_plan
from pilothouse.ops.imports.raw import REASONS, Read
from pilothouse.ops.imports.records import Record, Records
from pilothouse.ops.imports.repeats import Seen, already_there, without_repeats
from pilothouse.ops.imports.report import Counts, ImportReport, LabelCounts, Preview, Progress
from pilothouse.ops.imports.sources import LINE, Chunk, Source

PREVIEW_BAD_ROWS = 20
PREVIEW_ROWS = 5
FOLD_LABELS = 1_000_000
"""Labels after which they are folded: finding their predictions takes memory in proportion."""
_ATTEMPTS = 20

Tell = Callable[[Progress], None]
Crash = Callable[[str], None]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An import as somebody asks for it.

    bad_rows : where rows are set aside; None for beside the source. beside, labels_beside : the files themselves, None
    for what is none. resume : go on with one that was broken off.
    """

    model: str
    source: Source
    labels: Source | None = None
    reference: Source | None = None
    wishes: Wishes = field(default_factory=Wishes)
    bad_rows: Path | None = None
    beside: Path | None = None
    labels_beside: Path | None = None
    resume: bool = False


def plan_of(house: House, order: Order) -> Plan:
    """What the order would do. Raises what `make_plan` raises."""
    known = birth.signature_of(house, order.model, order.wishes.version)
    plan = make_plan(
        order.model, order.source, order.labels, order.wishes, known=known, zone=house.settings.time_zone
    )  # fmt: skip
    if known is not None and order.wishes.version is None:
        champion = house[order.model].champion
        return replace(plan, version=champion.version if champion else 1)
    return plan


def guess_of(house: House, order: Order) -> Guess:
    """The order's mappings, for somebody who is to answer their questions."""
    known = birth.signature_of(house, order.model, order.wishes.version)
    return first_guess(order.source, order.labels, order.wishes, known=known, zone=house.settings.time_zone)


def preview(house: House, order: Order) -> Preview:
    """What the order would do with the first rows. Nothing is written."""
    plan = plan_of(house, order)
    layout = _layout(house, plan, tag="import-preview")
    chunk = next(plan.predictions.source.chunks(plan.predictions.mapping.sources), None)
    frame = pl.DataFrame() if chunk is None else chunk.frame
    read = read_predictions(frame, layout) if chunk else Read(good=frame, bad=frame)
    read = without_repeats(read, Seen(), frame, LINE) if chunk else read
    broken = len(chunk.broken) if chunk else 0
    told = _first_labels(plan, layout)
    return Preview(
        model=plan.model, source=plan.predictions.source.name, new=plan.new, task=plan.signature.task.value,
        classes=tuple(str(c) for c in plan.signature.target.classes), mapping=plan.predictions.mapping,
        label_mapping=plan.labels.mapping if plan.labels else None, notes=plan.notes,
        looked_at=chunk.rows if chunk else 0, set_aside=read.bad.height + broken, rows=plan.predictions.source.rows,
        good=read.good.head(PREVIEW_ROWS), bad=(all_bad(read.bad, chunk) if chunk else read.bad).head(PREVIEW_BAD_ROWS),
        label_bad=told.head(PREVIEW_BAD_ROWS), labels_set_aside=told.height, first_times=first_times(plan),
    )  # fmt: skip


def _first_labels(plan: Plan, layout: Layout) -> pl.DataFrame:
    """Those of the first rows of the file of labels that would be set aside."""
    if plan.labels is not None:
        for chunk in plan.labels.source.chunks(plan.labels.mapping.sources):
            return all_bad(read_labels(chunk.frame, layout_of_labels(layout, plan.labels)).bad, chunk)
    return pl.DataFrame(schema={LINE: pl.Int64, REASONS: pl.String})


def run_import(
    house: House, order: Order, *, tell: Tell = lambda progress: None, crash: Crash = lambda point: None
) -> ImportReport:
    """Import the order's rows and labels, registering the model first if it is not there.

    tell : called after every chunk. crash : called at "import:recorded", "import:chunk" and "import:labels".
    Raises what `plan_of` raises, ImportBrokenOff when it was begun before and `resume` was not asked for, NotAllowed,
    and BadData when a new model has no labelled rows to be compared with.
    """
    began = time.monotonic()
    require(house.state, house.actor, Right.OPERATOR, "import into", order.model, house.clock)
    plan, record, kept = _begun(house, order)
    layout = _layout(house, plan, tag=record.tag)
    if not record.registered and plan.new:
        record = replace(record, registered=birth.register(house, plan, layout, order.reference))
        kept.keep(record)
        layout = _layout(house, plan, tag=record.tag)
    crash("import:recorded")
    lease = borrowed(house.state, house.clock, f"fold {plan.model}", holder=f"import {record.import_id}")
    with lease, _Writer(house, plan, record, crash) as writer:
        if writer.done:
            return _report(house, plan, record, Counts(), LabelCounts(), None, began, done_before=True)
        columns = plan.predictions.mapping.sources
        with BadRows(order.bad_rows or default_path(order.beside, order.model), columns) as aside:
            rows = _predictions(house, plan, layout, writer, aside, tell, crash)
        told = _labels(plan, layout, writer, order.labels_beside, tell, crash)
        _promote_last(house, plan, rows)
        writer.finish()
    kept.keep(replace(record, done=True))
    _audit(house, record, rows)
    labels = _label_counts(house, plan, layout, rows, told)
    return _report(house, plan, record, rows.counts, labels, aside.written, began)


@dataclass(slots=True)
class _Rows:
    """What has come of the predictions so far. last : time and version of the newest row."""

    counts: Counts = field(default_factory=Counts)
    labelled: int = 0
    last: tuple[datetime, int] | None = None

    def meet(self, good: pl.DataFrame) -> None:
        self.labelled += good["label"].count()
        if good.height:
            newest = good.row(good["at"].arg_max(), named=True)
            met = newest["at"], newest["version"]
            self.last = met if self.last is None else max(self.last, met)


def _begun(house: House, order: Order) -> tuple[Plan, Record, Records]:
    """The plan and its record: those of an import that was broken off, or new ones."""
    kept = Records(house.workspace, order.model)
    source, labels = order.source.digest(), order.labels.digest() if order.labels else ""
    found = records.unfinished(kept.find(source, labels), order.source.name, resume=order.resume)
    if found is not None:
        again = replace(order, wishes=_as_mapped(order.wishes, found))
        plan = records.as_recorded(plan_of(house, again), found)
        return plan, found, kept
    plan = plan_of(house, order)
    if (before := kept.version_of(source)) and order.wishes.version is None:
        plan = replace(plan, version=before)
    record = Record(
        model=plan.model, source=source, labels_source=labels, predictions=records.kept(plan.predictions),
        labels=records.kept(plan.labels) if plan.labels else None, version=plan.version, begun_at=house.clock(),
    )  # fmt: skip
    kept.keep(record)
    return plan, record, kept


def _as_mapped(wishes: Wishes, found: Record) -> Wishes:
    """Wishes that lead to no question: the record's own mapping takes the place of whatever is guessed."""
    formats = found.predictions.style.time_format or next(iter(found.predictions.formats.values()), None)
    mapping = found.predictions.mapping
    said = {part.value: column.source for part in Part if part not in MANY and (column := mapping.one(part))}
    said |= {f"{Part.PROBABILITY}.{column.name}": column.source for column in mapping.all(Part.PROBABILITY)}
    return replace(wishes, mapping=said, time_format=formats)


def _layout(house: House, plan: Plan, *, tag: str) -> Layout:
    reading = plan.predictions
    door = None if plan.model not in house else house[plan.model].door
    return Layout(
        signature=plan.signature, mapping=reading.mapping, style=reading.style, formats=reading.formats,
        version=plan.version, tag=tag, now=house.clock(), door=door,
    )  # fmt: skip


class _Writer:
    """The bulk log of one import: knows which chunks are written, and writes the others under their number."""

    def __init__(self, house: House, plan: Plan, record: Record, crash: Crash) -> None:
        from pilothouse.data.log.bulk import BulkLog

        handle = house[plan.model]
        self._house, self._plan, self._id = house, plan, f"import-{record.import_id}"
        self._bulk = BulkLog(
            house.workspace, plan.model, handle.signature, handle.profile, handle.label_policy, house.settings,
            clock=house.clock, crash=crash,
        )  # fmt: skip
        self._versions: set[int] = set()
        self._told = 0
        self._nothing = prediction_schema(handle.signature).empty_table()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._bulk.__exit__(kind, error, trace)

    @property
    def done(self) -> bool:
        return self._bulk.mark(f"{self._id}-done") is not None

    def written(self, part: str) -> int:
        """The number of the last chunk of `part` that stands in the log; 0 before the first."""
        return self._bulk.mark(f"{self._id}-{part}") or 0

    def predictions(self, number: int, table: pa.Table, labels: pa.Table | None) -> None:
        self._register_versions(table)
        self._append(table, {f"{self._id}-rows": number}, labels)

    def labels(self, number: int, labels: pa.Table) -> None:
        self._append(self._nothing, {f"{self._id}-labels": number}, labels)

    def finish(self) -> None:
        """Count what is left, and only then say that the import is done."""
        retried(self._bulk.fold)
        self._append(self._nothing, {f"{self._id}-done": 1}, None)

    def _append(self, table: pa.Table, marks: dict[str, int], labels: pa.Table | None) -> None:
        retried(partial(self._bulk.append, table, marks, labels))
        self._told += 0 if labels is None else labels.num_rows
        if self._told >= FOLD_LABELS:
            retried(self._bulk.fold)
            self._told = 0

    def _register_versions(self, table: pa.Table) -> None:
        """Versions of a model that is served elsewhere come to be known by their rows."""
        new = set(pl.Series(table["version"]).unique()) - self._versions
        self._versions |= new
        for number in sorted(new) if new and is_watched_only(self._house, self._plan.model) else ():
            self._house.registry.add_monitored_version(
                self._house.actor, self._plan.model, number, note="found in an import"
            )


def _predictions(
    house: House, plan: Plan, layout: Layout, writer: _Writer, aside: BadRows, tell: Tell, crash: Crash
) -> _Rows:
    reading, total = plan.predictions, _Rows()
    written, begun_with = writer.written("rows"), prediction_folder(house.workspace, plan.model, plan.signature)
    seen = Seen()

    def prepared() -> Iterator[tuple[int, Chunk, Read]]:
        for number, chunk in enumerate(reading.source.chunks(reading.mapping.sources), start=1):
            read = read_predictions(chunk.frame, layout)
            yield number, chunk, without_repeats(read, seen, chunk.frame, LINE)

    for number, chunk, read in ahead(prepared()):
        aside.write(read.bad, chunk)
        known = 0
        if number > written:
            there = already_there(read.good, begun_with, house.settings.dedup_days)
            new = read.good.filter(~there) if there.any() else read.good
            labels = label_table(read.good, plan.signature, layout) if reading.mapping.one(Part.LABEL) else None
            writer.predictions(number, prediction_table(new, plan.signature, layout), labels)
            known = read.good.height - new.height
        total.counts = total.counts.plus(
            Counts(
                read=chunk.rows,
                imported=read.good.height - known,
                already_there=known,
                set_aside=read.bad.height + len(chunk.broken),
            )
        )
        total.meet(read.good)
        tell(Progress(stage=reading.source.name, read=total.counts.read, rows=reading.source.rows))
        crash("import:chunk")
    return total


def _labels(plan: Plan, layout: Layout, writer: _Writer, beside: Path | None, tell: Tell, crash: Crash) -> LabelCounts:
    """Tell the labels of a file of their own."""
    if plan.labels is None:
        return LabelCounts()
    reading, own = plan.labels, layout_of_labels(layout, plan.labels)
    written, told, read = writer.written("labels"), 0, 0
    with BadRows(default_path(beside, f"{plan.model}-labels"), reading.mapping.sources) as aside:
        for number, chunk in enumerate(reading.source.chunks(reading.mapping.sources), start=1):
            found = read_labels(chunk.frame, own)
            aside.write(found.bad, chunk)
            if number > written:
                writer.labels(number, label_table(found.good, plan.signature, own))
            told, read = told + found.good.height, read + chunk.rows
            tell(Progress(stage=reading.source.name, read=read, rows=reading.source.rows))
            crash("import:labels")
    return LabelCounts(told=told, set_aside=aside.rows, bad_rows=aside.written)


def layout_of_labels(layout: Layout, labels: Reading) -> Layout:
    """How the rows of the file of labels are read."""
    return replace(layout, mapping=labels.mapping, style=labels.style, formats=labels.formats)


def is_watched_only(house: House, model: str) -> bool:
    """Whether the model is served elsewhere: then its rows alone say which versions it has."""
    return not any(version.artifact_sha256 for version in house[model].versions)


def _promote_last(house: House, plan: Plan, rows: _Rows) -> None:
    """The version that answered last, of all that is in the log, is the champion of a model that is served elsewhere."""
    if rows.last is None or not is_watched_only(house, plan.model):
        return
    (at, version), (_, newest), champion = rows.last, _span(house, plan.model), house[plan.model].champion
    if (newest is None or at >= newest) and (champion is None or champion.version != version):
        reason = f"seen in the import: it answered last, at {at:%Y-%m-%d %H:%M} UTC"
        house.releases.promote(house.actor, plan.model, version, reason=reason)


def _label_counts(house: House, plan: Plan, layout: Layout, rows: _Rows, told: LabelCounts) -> LabelCounts:
    """Labels beside their predictions are matched; those of a file of their own are looked up."""
    matched = rows.labelled
    if told.told:
        horizon = house[plan.model].label_policy.horizon
        found = matched_labels(house.workspace, plan.model, plan.signature, layout.tag, horizon)
        matched = min(found, rows.labelled + told.told)
    return replace(told, told=told.told + rows.labelled, matched=matched)


def _report(
    house: House, plan: Plan, record: Record, rows: Counts, labels: LabelCounts, bad: Path | None, began: float,
    *, done_before: bool = False,
) -> ImportReport:  # fmt: skip
    first, last = _span(house, plan.model)
    return ImportReport(
        model=plan.model, source=plan.predictions.source.name, rows=rows, labels=labels,
        mapping=plan.predictions.mapping, bad_rows=bad, first=first, last=last, registered=record.registered,
        seconds=time.monotonic() - began, done_before=done_before,
    )  # fmt: skip


def _span(house: House, model: str) -> tuple[datetime | None, datetime | None]:
    return house[model].prediction_log.bounds() or (None, None)


def _audit(house: House, record: Record, rows: _Rows) -> None:
    details: dict[str, Any] = {
        "source": record.predictions.name, "sha256": record.source, "imported": rows.counts.imported,
        "already_there": rows.counts.already_there, "set_aside": rows.counts.set_aside,
    }  # fmt: skip
    with house.state.write() as conn:
        audit.append(conn, actor=house.actor.name, act="import", target=record.model, details=details, at=house.clock())


def retried(write: Callable[[], object]) -> None:
    """`write` until no sealer comes in between: what was written before stands, and its marks say so."""
    for _ in range(_ATTEMPTS - 1):
        try:
            write()
            return
        except CommitConflict:
            continue
    write()


def ahead(items: Iterable[_T]) -> Iterator[_T]:
    """The same items, the next one made in a thread while the last is being written."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="import") as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
