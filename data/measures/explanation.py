"""One prediction explained: its features beside the reference, and what each contributed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.signature import Value

if TYPE_CHECKING:
    from pilothouse.data.measures.shapley import Shares


class By(StrEnum):
    """Who finds contributions: Pilothouse's own Shapley values of the answer, or the library shap, by the model's kind."""

    OURS = "ours"
    SHAP = "shap"


class Standing(StrEnum):
    """How a value stands to the values of the reference."""

    WITHIN = "within"
    BELOW = "below the reference's range"
    ABOVE = "above the reference's range"
    NEVER_SEEN = "never seen in the reference"
    MISSING = "missing"
    HIDDEN = "hidden"
    NO_REFERENCE = "no value in the reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands among the reference rows.

    percentile : share of the reference's values that lie below it, ties counted half; None but for numbers.
    share : share of the reference rows with this very category, or that are missing too; None for numbers.
    """

    standing: Standing
    percentile: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureLine:
    """A feature of the explained row. contribution : what it added to `base`, with a band where orders were sampled."""

    name: str
    value: Value
    place: Place
    contribution: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a version says to a row. score : the number that contributions add up to."""

    version: int
    prediction: Value
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a version said what it said to one row.

    id, at, logged_at, role : of a logged row, else None. label, observed_at : the label that holds, None where unknown.
    said : as logged; of a row that was given, as scored now. today : what the same version says to the row now.
    live : the champion at the time of the row. champion : what today's champion says to the same row.
    outcome : in words, what the score is. explained : in words, what contributions are of: the same, unless `by` shap they
    are of log-odds or the like. base : its mean over `background` reference rows; base and all contributions add up to
    `total`, missing it by `gap`. features : largest contribution first.
    of_class : of several classes the one whose chance it is.
    method : how the contributions were found, in words. reason : why there are none; then they are all None.
    """

    model: str
    id: str | None
    at: datetime | None
    logged_at: datetime | None
    role: str | None
    label: Value
    observed_at: datetime | None
    said: Said
    today: Said | None
    live: int | None
    champion: Said | None
    outcome: str
    features: tuple[FeatureLine, ...]
    reference_rows: int
    by: By = By.OURS
    of_class: Value = None
    explained: str = ""
    base: float | None = None
    total: float | None = None
    background: int = 0
    gap: float | None = None
    method: str = ""
    reason: str = ""
    note: str = ""

    @property
    def flips(self) -> bool:
        """Whether today's champion decides otherwise."""
        return self.champion is not None and self.champion.prediction != self.said.prediction

    @property
    def frame(self) -> pl.DataFrame:
        """The features as a frame, largest contribution first; values as text, for they are of several types."""
        rows = [
            (f.name, None if f.value is None else str(f.value), f.contribution.value, f.contribution.low,
             f.contribution.high, f.place.standing.value, f.place.percentile, f.place.share)
            for f in self.features
        ]  # fmt: skip
        names = ("feature", "value", "contribution", "low", "high", "standing", "percentile", "share")
        texts = ("feature", "value", "standing")
        schema = {name: pl.String if name in texts else pl.Float64 for name in names}
        return pl.DataFrame(rows, schema=schema, orient="row")


def place_of(value: Value, reference: pl.Series) -> Place:
    """Where `value` stands among the values of a reference column; NaN is missing, infinity a value out of range.

    >>> place_of(2.0, pl.Series([1.0, 2.0, 3.0, 4.0])).percentile
    0.375
    >>> place_of("x", pl.Series(["a", "b"])).standing.value
    'never seen in the reference'
    """
    numbers = reference.dtype.is_numeric()
    known = reference.fill_nan(None).drop_nulls() if reference.dtype.is_float() else reference.drop_nulls()
    if value is None or value != value:
        return Place(standing=Standing.MISSING, share=1 - known.len() / max(reference.len(), 1))
    if known.is_empty():
        return Place(standing=Standing.NO_REFERENCE)
    return _place_of_number(float(value), known) if numbers else _place_of_category(value, known, reference.len())


def _place_of_number(value: float, known: pl.Series) -> Place:
    below, equal = int((known < value).sum()), int((known == value).sum())
    standing = Standing.WITHIN
    if below + equal == 0:
        standing = Standing.BELOW
    elif below == known.len():
        standing = Standing.ABOVE
    return Place(standing=standing, percentile=(below + equal / 2) / known.len())


def _place_of_category(value: Value, known: pl.Series, rows: int) -> Place:
    same = int((known == value).sum())
    return Place(standing=Standing.WITHIN if same else Standing.NEVER_SEEN, share=same / rows)


def contributions(shares: Shares) -> list[Metric]:
    """Each player's contribution with its band; a point where every coalition was asked."""
    kind = "exact" if shares.exact else "sampled"
    return [
        Metric(value=float(value), low=float(value - error), high=float(value + error), kind=kind)
        for value, error in zip(shares.values, shares.errors, strict=True)
    ]


def hide_lines(lines: list[FeatureLine], hidden: frozenset[str]) -> list[FeatureLine]:
    """`lines` with those of `hidden` columns as one: what a single one contributed would tell its value."""
    shown = [line for line in lines if line.name not in hidden]
    unshown = [line.contribution for line in lines if line.name in hidden]
    if not unshown:
        return lines
    name = f"{len(unshown)} hidden column{'s' if len(unshown) > 1 else ''}"
    return [
        *shown,
        FeatureLine(name=name, value=None, place=Place(standing=Standing.HIDDEN), contribution=_sum(unshown)),
    ]


def _sum(parts: list[Metric]) -> Metric:
    values = [part.value for part in parts if part.value is not None]
    if len(values) < len(parts):
        return parts[0]
    total = sum(values)
    half = sum(part.high - part.value for part in parts if part.high is not None and part.value is not None)
    return Metric(value=total, low=total - half, high=total + half, kind=parts[0].kind)
