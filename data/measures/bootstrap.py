"""Bands of values that have no law of their own: the same value of many samples drawn from the counts at hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pilothouse.data.measures.bands import Band
from pilothouse.data.measures.outcomes import Floats, Ints

TIMES = 200
_SEED = 20_260_301
_LEAST = 20
"""Samples in which a value must exist for a band to be drawn of them."""

Statistic = Callable[[Ints], Floats]
"""From counts of shape (samples, ...) to a value a sample: float64, shape (samples,); NaN where there is none."""


def resampled(counts: Ints, times: int = TIMES) -> Ints:
    """Counts of `times` samples: int64, shape (times, *counts.shape). The same counts always give the same samples.

    Each row stands in a sample as often as a Poisson law of mean 1 says, so that a group of n rows is Poisson of mean n.
    Source: Hanley and MacGibbon (2006); Chamandy et al. (2012), "Estimating uncertainty for massive data streams".
    """
    drawn: Ints = np.random.default_rng(_SEED).poisson(counts, (times, *counts.shape))
    return drawn


def as_said(rows: Ints, said: Floats, times: int = TIMES) -> Ints:
    """Counts of `times` samples in which what was said is true: negatives and positives, int64, (times, 2, groups).

    rows : of each group; said : the probability that its rows were given.
    Source: Broecker and Smith (2007), consistency resampling.
    """
    hits = np.random.default_rng(_SEED).binomial(rows, np.clip(said, 0.0, 1.0), (times, *rows.shape))
    drawn: Ints = np.stack([rows - hits, hits], axis=-2)
    return drawn


def percentile_band(values: Floats) -> Band | None:
    """The middle 95 % of the samples' values, NaN left out; None where too few samples have one, or all have the same.

    Rows without one mistake give samples without one, however few they are: that is no certainty.
    """
    known = values[np.isfinite(values)]
    if len(known) < _LEAST:
        return None
    low, high = (float(end) for end in np.percentile(known, [2.5, 97.5]))
    return (low, high) if low < high else None


def bootstrap_band(counts: Ints, statistic: Statistic, times: int = TIMES) -> Band | None:
    """The 95 % band of `statistic` of `counts`; None with `times` of 0, or where it seldom exists."""
    return percentile_band(statistic(resampled(counts, times))) if times else None


def lifted(value: float, found: Band | None) -> Band | None:
    """The band of a distance of 0 to 1, such as a calibration error, which chance only ever makes larger.

    found : what the samples have, as `bootstrap_band` gives it. A sample of the sample lies about as far above `value`
    as that lies above the truth. So the lower end is mirrored in it (the basic bootstrap: Davison and Hinkley 1997,
    5.2.1), and the upper one is the further of both: it errs wide.
    """
    if found is None:
        return None
    low, high = 2 * value - found[1], max(found[1], 2 * value - found[0])
    return min(max(0.0, low), value), min(1.0, max(high, value))
