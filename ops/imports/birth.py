"""A model that is known by its log alone: registered without an artifact, with a reference taken from that log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from pilothouse.data.errors import BadData, MissingColumn
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.signature import Kind, Signature
from pilothouse.data.windows import Window
from pilothouse.ops.house import House
from pilothouse.ops.imports import values
from pilothouse.ops.imports.convert import Layout, read_labels, read_predictions
from pilothouse.ops.imports.mapping import Column, ColumnMap, Part
from pilothouse.ops.imports.plan import Plan
from pilothouse.ops.imports.sources import LINE, Source
from pilothouse.ops.references import USUAL, Terms

REFERENCE_ROWS = 20_000
LONGEST = timedelta(weeks=4)
_SCORE = "score"
_FEWEST = 500
_THIN_LABELS = 3
"""How many times as many rows are looked at where labels lie in a file of their own and some rows have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Rows that everything is compared with. words : where they come from."""

    rows: pl.DataFrame
    window: Window | None
    words: str


def register(house: House, plan: Plan, layout: Layout, reference: Source | None) -> str:
    """Register the plan's model; returns a sentence that says how.

    reference : labelled rows of their own; None takes the earliest of the import, those that have a label if any has.
    Raises BadData when there are none, and what `Registry.register_monitored` raises.
    """
    found = _given(reference, layout) if reference is not None else _earliest(plan, layout)
    signature = plan.signature
    terms = Terms(label_policy=LabelPolicy(horizon=plan.wishes.horizon)) if plan.wishes.horizon else USUAL
    house.registry.register_monitored(
        house.actor,
        plan.model,
        reference=_typed(found.rows, signature),
        target=signature.target.name,
        task=signature.task,
        features=signature.names,
        context=tuple(column.name for column in signature.context),
        score=_SCORE if _SCORE not in (*signature.names, signature.target.name) else None,
        reference_window=found.window,
        classes=signature.target.classes or None,
        terms=terms,
        version=int(found.rows.sort("at")["version"][0]),
    )
    return f"Registered {plan.model} ({signature.task}), served elsewhere; its reference: {found.words}."


def _given(source: Source, layout: Layout) -> Reference:
    """The rows of a file of reference rows: the columns are called as in the import, and its times may be missing."""
    names = source.sample().columns
    mapping = layout.mapping
    needed = (*mapping.all(Part.FEATURE), *mapping.all(Part.CONTEXT))
    for column in needed:
        if column.source not in names:
            raise MissingColumn(source.name, column.source, names)
    label = mapping.one(Part.LABEL)
    told = label.source if label and label.source in names else layout.signature.target.name
    if told not in names:
        raise MissingColumn(source.name, told, names)
    kept = tuple(c for c in mapping.columns if c.source in names and c.part not in (Part.LABEL, Part.ID, Part.KEY))
    label = replace(label or mapping.columns[0], source=told, part=Part.LABEL, name=Part.LABEL.value)
    own = replace(layout, mapping=ColumnMap(columns=(*kept, label)))
    rows = pl.concat([read_predictions(chunk.frame, own).good for chunk in source.chunks()])
    return _reference(rows.drop_nulls("label"), own, f"{rows.height:,} rows of {source.name}", source.name)


def _earliest(plan: Plan, layout: Layout) -> Reference:
    """The earliest third of the rows, four weeks at most, thinned out evenly where they are many.

    More than a third would leave nothing to drift; the first rows of a large file alone would be one morning's.
    """
    name, elsewhere = plan.predictions.source.name, plan.labels is not None
    label = None if elsewhere else layout.mapping.one(Part.LABEL)
    times = _times(plan, layout, label)
    if label is not None and times.is_empty():
        label, times = None, _times(plan, layout, None)
    if times.is_empty():
        raise BadData(f"{name} has no row whose time can be read. Say how times are written with --time-format.")
    last, rows = _cut(times)
    wanted = REFERENCE_ROWS * (_THIN_LABELS if elsewhere else 1)
    found = _joined(pl.concat(list(_until(plan, layout, label, last, rows, -(-rows // wanted)))), plan, layout)
    labelled = found.drop_nulls("label")
    chosen = (labelled if labelled.height else found).sort("at")
    chosen = chosen.gather_every(max(1, -(-chosen.height // REFERENCE_ROWS)))
    which = "that have a label" if labelled.height else "of which none has a label yet"
    words = (
        f"{chosen.height:,} of the earliest {rows:,} rows" if chosen.height < rows else f"the earliest {rows:,} rows"
    )
    return _reference(chosen, layout, f"{words} of {name} {which}", name)


def _times(plan: Plan, layout: Layout, label: Column | None) -> pl.Series:
    """Event times of all rows (with a label) that can be read."""
    at = layout.mapping.one(Part.AT)
    assert at is not None, "no plan is made without it"
    columns = [at.source] if label is None else [at.source, label.source]
    found = [_time(chunk.frame, at, label, layout).drop_nulls() for chunk in plan.predictions.source.chunks(columns)]
    return pl.concat(found) if found else pl.Series("at", [], pl.Datetime("us", "UTC"))


def _time(frame: pl.DataFrame, at: Column, label: Column | None, layout: Layout) -> pl.Series:
    """Event times; null where they cannot be read, or where there is no label."""
    times = values.as_time(frame[at.source], layout.formats[at.source], layout.style.time_zone).alias("at")
    if label is None:
        return times
    return frame.select(pl.when(pl.col(label.source).is_not_null()).then(times)).to_series()


def _cut(times: pl.Series) -> tuple[datetime, int]:
    """The time of the last row that may be one of the reference, and how many rows come up to then."""
    ordered = times.sort()
    fewest = ordered[min(_FEWEST, len(ordered)) - 1]
    third = ordered[max(len(ordered) // 3, 1) - 1]
    last: datetime = max(fewest, min(third, ordered[0] + LONGEST))
    return last, int((ordered <= last).sum())


def _until(
    plan: Plan, layout: Layout, label: Column | None, last: datetime, rows: int, every: int
) -> Iterator[pl.DataFrame]:
    """Each `every`-th of the `rows` that come up to `last`, read; a file in the order of time is not read further."""
    at, met = layout.mapping.one(Part.AT), 0
    assert at is not None, "no plan is made without it"
    for chunk in plan.predictions.source.chunks(plan.predictions.mapping.sources):
        inside = chunk.frame.filter(_time(chunk.frame, at, label, layout) <= last)
        chosen = inside.gather_every(every, -met % every)
        met += inside.height
        yield read_predictions(chosen, layout).good
        if met >= rows:
            return


def _reference(rows: pl.DataFrame, layout: Layout, words: str, source: str) -> Reference:
    if rows.height == 0:
        raise BadData(
            f"{source} has no row that can be read, and a new model needs some to be compared with. "
            "--dry-run says what is wrong with them; --reference FILE gives others."
        )
    first, last = rows["at"].min(), rows["at"].max()
    if layout.mapping.one(Part.AT) is None or not isinstance(first, datetime) or not isinstance(last, datetime):
        return Reference(rows=rows, window=None, words=words)
    window = Window(first.astimezone(UTC), last.astimezone(UTC) + timedelta(microseconds=1))
    return Reference(rows=rows, window=window, words=f"{words}, from {first:%Y-%m-%d} to {last:%Y-%m-%d}")


def _joined(good: pl.DataFrame, plan: Plan, layout: Layout) -> pl.DataFrame:
    """Rows with the newest label that a file of labels tells of them, by id or by key."""
    if plan.labels is None or good.height == 0:
        return good
    by_id = plan.labels.mapping.one(Part.ID) is not None
    ours, theirs = ("prediction_id", "prediction_id") if by_id else ("keys", "key")
    own = replace(layout, mapping=plan.labels.mapping, style=plan.labels.style, formats=plan.labels.formats)
    bare = good.drop("label", "observed_at")
    told = []
    for chunk in plan.labels.source.chunks(plan.labels.mapping.sources):
        labels = read_labels(chunk.frame, own).good.drop(LINE)
        told.append(labels.join(bare.select(ours).unique(), left_on=theirs, right_on=ours, how="semi"))
    newest = pl.concat(told).sort("observed_at").unique(theirs, keep="last").select(theirs, "label", "observed_at")
    return bare.join(newest, left_on=ours, right_on=theirs, how="left", maintain_order="left")


def _typed(rows: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Reference rows under the model's own names, whole numbers as such."""
    columns = [
        _cast(rows[c.column] if c.column in rows.columns else pl.Series([None] * rows.height), c.kind).alias(c.name)
        for c in signature.columns
    ]
    target = _cast(rows["label"], signature.target.kind).alias(signature.target.name)
    names = {column.name for column in columns} | {target.name}
    score = [] if _SCORE in names or not rows["score"].count() else [rows["score"].alias(_SCORE)]
    return pl.DataFrame([*columns, target, *score])


def _cast(column: pl.Series, kind: Kind) -> pl.Series:
    wanted = {Kind.INTEGER: pl.Int64, Kind.NUMBER: pl.Float64, Kind.BOOLEAN: pl.Boolean}.get(kind, pl.String)
    # A column that looked whole in the sample may hold a fraction further on.
    broken = kind is Kind.INTEGER and not (column.drop_nulls().cast(pl.Float64) % 1 == 0).all()
    return column.cast(pl.Float64 if broken else wanted)


def signature_of(house: House, model: str, version: int | None) -> Signature | None:
    """The signature of a registered model as `version` takes its features, or the champion; None without the model."""
    if model not in house:
        return None
    handle = house[model]
    taker = version or (handle.champion.version if handle.champion else None)
    return handle.signature if taker is None else handle.signature.of_version(taker)
