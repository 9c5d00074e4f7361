"""Drift from the values themselves, without bins: exact, at the price of reading every row.

Both samples are sorted once; what follows is a pass over the longer and a look-up of each value of the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.measures.drift import (
    DECILES,
    Counts,
    Floats,
    decile_groups,
    jensen_shannon,
    ks_probability,
    psi,
)
from pilothouse.data.measures.feature_drift import Seen, describe, why_silent
from pilothouse.data.rollups.bins import numbers, texts
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import NUMERIC


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberSample:
    """Values of a numeric column. values : float64, rising, infinities among them. missing : how many had none."""

    values: Floats
    missing: int

    @classmethod
    def of(cls, column: pl.Series) -> NumberSample:
        values = numbers(column)
        # NaN sorts last, so what is missing can be cut off instead of searched for.
        ordered = np.sort(values)
        present = int(np.searchsorted(ordered, np.nan, side="left"))
        return cls(values=ordered[:present], missing=len(ordered) - present)

    @cached_property
    def decile_edges(self) -> Floats:
        """Where the tenths of this sample meet: float64, at most nine, rising. A value equal to an edge goes right.

        Up to ten distinct values are a group each, as in the roll-ups.
        """
        distinct, counts = np.unique(self.values[np.isfinite(self.values)], return_counts=True)
        if len(distinct) <= DECILES:
            return distinct[1:]
        groups = decile_groups(counts)
        edges: Floats = distinct[1:][np.diff(groups) > 0]
        return edges

    def counts_between(self, edges: Floats) -> Counts:
        """Rows by group, the ends open: int64, shape (edges + 1,)."""
        return np.diff(np.searchsorted(self.values, edges, side="left"), prepend=0, append=len(self.values))

    def outside(self, low: float | None, high: float | None) -> int:
        """How many values lie below `low` or above `high`, an infinity among them; None counts as 0."""
        upto = np.searchsorted(self.values, high or 0.0, side="right")
        inside = upto - np.searchsorted(self.values, low or 0.0, side="left")
        return len(self.values) - int(inside)

    def within(self, low: float, high: float) -> Floats:
        """The values, an infinity as `low` or `high`, as the roll-ups take it; rising."""
        if len(self.values) == 0 or np.isfinite(self.values[[0, -1]]).all():
            return self.values
        return np.sort(np.nan_to_num(self.values, neginf=low, posinf=high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CategorySample:
    """Values of a category. counts : by value, as two columns `value` and `count`. missing : how many had none."""

    counts: pl.DataFrame
    missing: int

    @classmethod
    def of(cls, column: pl.Series) -> CategorySample:
        counted = column.value_counts()
        values = counted.select(value=texts(counted.to_series(0)), count=pl.col("count").cast(pl.Int64))
        return cls(counts=values.drop_nulls("value"), missing=column.null_count())


Sample = NumberSample | CategorySample


def sample_of(feature: FeatureProfile, column: pl.Series) -> Sample:
    """`column` as the kind of sample that `feature` is compared by."""
    return NumberSample.of(column) if feature.kind in NUMERIC else CategorySample.of(column)


def measure_exactly(feature: FeatureProfile, reference: Sample, current: Sample) -> FeatureDrift:
    """Drift of a window against the reference, from all values of both; the same measures as `measure_drift`."""
    if isinstance(reference, NumberSample) and isinstance(current, NumberSample):
        return _numbers(feature, reference, current)
    if isinstance(reference, CategorySample) and isinstance(current, CategorySample):
        return _categories(feature, reference, current)
    raise TypeError(f"samples of {feature.name} are of two kinds")


def _numbers(feature: FeatureProfile, reference: NumberSample, current: NumberSample) -> FeatureDrift:
    known = reference.counts_between(reference.decile_edges)
    counts = current.counts_between(reference.decile_edges)
    seen = Seen(
        rows=len(current.values) + current.missing,
        present=len(current.values),
        new=None,
        outside=current.outside(feature.low, feature.high),
    )
    silence = why_silent(known, seen)
    if silence:
        return describe(feature, seen, (known, counts), {}, silence)
    distance = ks_statistic(reference.values, current.values)
    low, high = feature.low or 0.0, feature.high or 0.0
    unit = feature.sd or 0.0
    moved = wasserstein_distance(reference.within(low, high), current.within(low, high)) / unit if unit > 0 else None
    measured = {
        "psi": psi(known, counts),
        "jensen_shannon": jensen_shannon(known, counts),
        "ks": distance,
        "ks_p": ks_probability(distance, len(reference.values), len(current.values)),
        "wasserstein": moved,
    }
    return describe(feature, seen, (known, counts), measured, "")


def _categories(feature: FeatureProfile, reference: CategorySample, current: CategorySample) -> FeatureDrift:
    both = reference.counts.join(current.counts, on="value", how="left", suffix="_now")
    present = int(current.counts["count"].sum())
    new = present - int(both["count_now"].sum())
    # All new values are one bin, as in the roll-ups: each by itself would count as an empty bin of the reference.
    known = np.append(both["count"].to_numpy(), 0)
    counts = np.append(both["count_now"].fill_null(0).to_numpy(), new)
    seen = Seen(rows=present + current.missing, present=present, new=new)
    silence = why_silent(known, seen)
    measured = {} if silence else {"psi": psi(known, counts), "jensen_shannon": jensen_shannon(known, counts)}
    return describe(feature, seen, (known, counts), measured, silence)


def ks_statistic(reference: Floats, current: Floats) -> float:
    """Two-sample Kolmogorov-Smirnov D, 0 to 1: to the last digit what SciPy's `ks_2samp` gives.

    reference, current : float64, rising, no NaN, at least one value each. Between two values of one sample its
    distribution function is flat and the other's only rises, so D is attained at a value of the shorter sample, or
    just before one.

    >>> ks_statistic(np.array([1.0, 2.0, 3.0]), np.array([2.5, 3.5]))
    0.6666666666666666
    """
    few, many = sorted((reference, current), key=len)
    starts = np.flatnonzero(np.concatenate([[True], few[1:] != few[:-1]]))
    ends = np.append(starts[1:], len(few))
    before = starts / len(few) - np.searchsorted(many, few[starts], side="left") / len(many)
    upto = ends / len(few) - np.searchsorted(many, few[starts], side="right") / len(many)
    return float(max(np.abs(before).max(), np.abs(upto).max()))


def wasserstein_distance(reference: Floats, current: Floats) -> float:
    """Wasserstein-1 distance, in the values' own unit: what SciPy's `wasserstein_distance` gives, to rounding.

    reference, current : float64, rising, finite, at least one value each. It is the area between the two quantile
    functions (Vallender 1974): each value of the longer sample spans 1/n of it and meets one value of the shorter
    sample there, or two where a step of the shorter one falls inside its span.

    >>> wasserstein_distance(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0]))
    5.0
    """
    few, many = sorted((reference, current), key=len)
    m, n = len(few), len(many)
    steps = np.arange(1, m, dtype=np.int64) * n
    # The first value of the longer sample that begins at, or after, each step of the shorter one.
    begins = -(-steps // m)
    gaps = np.repeat(few, np.diff(begins, prepend=0, append=n))
    np.subtract(many, gaps, out=gaps)
    np.abs(gaps, out=gaps)
    return float((gaps.sum() + _shared(few, many, steps, begins)) / n)


def _shared(few: Floats, many: Floats, steps: Counts, begins: Counts) -> float:
    """What values whose span holds a step add: for the part past it they meet the shorter sample's next value."""
    m = len(few)
    split = np.flatnonzero(steps % m)
    value, past = many[begins[split] - 1], begins[split] - steps[split] / m
    return float((past * (np.abs(value - few[split + 1]) - np.abs(value - few[split]))).sum())
