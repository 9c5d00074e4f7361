"""Raw rows while they are read: what has been found wrong with them, and the two halves that they end in."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from pilothouse.data.signature import NUMERIC, Kind
from pilothouse.ops.imports import values
from pilothouse.ops.imports.mapping import Column
from pilothouse.ops.imports.values import Style

REASONS = "bad_reasons"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A chunk as the log would hold it. good : predictions in the log's columns, with LINE, `label` and `observed_at`
    beside them. bad : LINE, REASONS and the raw columns of the rows set aside."""

    good: pl.DataFrame
    bad: pl.DataFrame


@dataclass(slots=True)
class RawRows:
    """Raw rows and what has been found wrong with them so far."""

    frame: pl.DataFrame
    style: Style
    faults: list[tuple[pl.Series, pl.Expr]] = field(default_factory=list)

    def read(self, column: Column, kind: Kind, *, needed: bool = False) -> pl.Series:
        raw = self.frame[column.source]
        if raw.dtype.is_float():
            raw = raw.fill_nan(None)
        if kind in NUMERIC:
            found, what = values.as_number(raw, self.style.decimal), "is not a number"
        elif kind is Kind.BOOLEAN:
            found, what = values.as_boolean(raw), "is neither yes nor no"
        else:
            found, what = values.as_text(raw), "is not a text"
        return self.checked(column.source, raw, found, what, needed)

    def checked(self, source: str, raw: pl.Series, found: pl.Series, what: str, needed: bool) -> pl.Series:
        """`found`, with a fault where it has lost a value of `raw`, or where a needed value is missing."""
        if found.null_count() > raw.null_count():
            self.fault(raw.is_not_null() & found.is_null(), source, what)
        if needed and raw.null_count():
            self.faults.append((raw.is_null(), pl.lit(f"{source}: no value")))
        return found

    def fault(self, where: pl.Series, source: str, what: str) -> None:
        said = pl.concat_str(pl.lit(f"{source}: '"), pl.col(source).cast(pl.String).str.head(60), pl.lit(f"' {what}"))
        self.faults.append((where, said))

    def split(self, good: pl.DataFrame) -> Read:
        """`good` without the rows that have a fault, and those rows as they came."""
        found = [(where.fill_null(False), said) for where, said in self.faults]
        found = [(where, said) for where, said in found if where.any()]
        if not found:
            return Read(good=good, bad=self.frame.head(0).with_columns(pl.lit("").alias(REASONS)))
        any_fault = found[0][0]
        for where, _ in found[1:]:
            any_fault = any_fault | where
        marks = pl.DataFrame([where.alias(f"{REASONS}{i}") for i, (where, _) in enumerate(found)])
        reasons = pl.concat_str(
            [pl.when(pl.col(f"{REASONS}{i}")).then(said) for i, (_, said) in enumerate(found)],
            separator="; ",
            ignore_nulls=True,
        )
        bad = pl.concat([self.frame, marks], how="horizontal").filter(any_fault)
        return Read(good=good.filter(~any_fault), bad=bad.with_columns(reasons.alias(REASONS)).drop(marks.columns))
