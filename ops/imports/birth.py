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
from pilothouse.ops.imports.convert import Layout, read_labels, read_predictions
from pilothouse.ops.imports.mapping import ColumnMap, Part
from pilothouse.ops.imports.plan import Plan
from pilothouse.ops.imports.sources import LINE, Source
from pilothouse.ops.references import USUAL, Terms

REFERENCE_ROWS = 20_000
_SCORE = "score"
_FEWEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Labelled rows that everything is compared with. words : where they come from."""

    rows: pl.DataFrame
    window: Window | None
    words: str


def register(house: House, plan: Plan, layout: Layout, reference: Source | None) -> str:
    """Register the plan's model; returns a sentence that says how.

    reference : labelled rows of their own; None takes the first of the import that have a label.
    Raises BadData when there are none, and what `Registry.register_monitored` raises.
    """
    found = _given(reference, layout) if reference is not None else _first_labelled(plan, layout)
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


def _first_labelled(plan: Plan, layout: Layout) -> Reference:
    """The earliest rows that have a label: a third of them at most, or nothing would be left to drift."""
    found = pl.concat(list(_labelled_chunks(plan, layout))).sort("at")
    rows = found.head(min(REFERENCE_ROWS, max(found.height // 3, _FEWEST)))
    words = f"the earliest {rows.height:,} rows of {plan.predictions.source.name} that have a label"
    return _reference(rows, layout, words, plan.predictions.source.name)


def _reference(rows: pl.DataFrame, layout: Layout, words: str, source: str) -> Reference:
    if rows.height == 0:
        raise BadData(
            f"{source} has no rows with a label, and a new model needs some to be compared with. "
            "Give labels with --labels FILE, or labelled rows of an earlier time with --reference FILE."
        )
    first, last = rows["at"].min(), rows["at"].max()
    if layout.mapping.one(Part.AT) is None or not isinstance(first, datetime) or not isinstance(last, datetime):
        return Reference(rows=rows, window=None, words=words)
    window = Window(first.astimezone(UTC), last.astimezone(UTC) + timedelta(microseconds=1))
    return Reference(rows=rows, window=window, words=f"{words}, from {first:%Y-%m-%d} to {last:%Y-%m-%d}")


def _labelled_chunks(plan: Plan, layout: Layout) -> Iterator[pl.DataFrame]:
    """Read rows with a label until there are enough of them."""
    rows, source = 0, plan.predictions.source
    for chunk in source.chunks(plan.predictions.mapping.sources):
        good = read_predictions(chunk.frame, layout).good
        if plan.labels is not None:
            good = _joined(good, plan, layout)
        found = good.drop_nulls("label")
        yield found
        rows += found.height
        if rows >= 3 * REFERENCE_ROWS:
            return


def _joined(good: pl.DataFrame, plan: Plan, layout: Layout) -> pl.DataFrame:
    """Rows with the newest label that a file of labels tells of them, by id or by key."""
    if plan.labels is None:
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


def signature_of(house: House, model: str) -> Signature | None:
    """The signature of a registered model, or None."""
    return house[model].signature if model in house else None
