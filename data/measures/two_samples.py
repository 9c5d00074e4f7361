"""Two samples counted over the same bins: tests of chance, and sizes of the change that do not grow with the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.measures.drift import Counts, Floats, shares

LEAST_EXPECTED = 5.0
"""Rows that chance must lead one to expect in a bin before chi-squared speaks of it. Source: Cochran (1954)."""

Tested = tuple[float, float]
"""A statistic, and how likely chance alone makes one as large."""


def chi_square(reference: Counts, current: Counts) -> Tested:
    """Pearson's chi-squared of two samples and its p, without correction; bins that are empty in both are left out.

    reference, current : int64, shape (bins,), missing left out. Both are samples: the reference's own noise counts.
    Raises EmptyWindow if either sums to zero. Source: Pearson (1900); SciPy's `chi2_contingency(correction=False)`.

    >>> [round(x, 6) for x in chi_square(np.array([50, 50]), np.array([40, 60]))]
    [2.020202, 0.155218]
    """
    table = _table(reference, current)
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, chi_square_probability(statistic, table.shape[1] - 1)


def g_test(reference: Counts, current: Counts) -> Tested:
    """The likelihood-ratio statistic G of two samples and its p; arguments and errors as in `chi_square`.

    Source: Woolf (1957); SciPy's `chi2_contingency(lambda_="log-likelihood", correction=False)`.
    """
    table = _table(reference, current)
    expected = _expected(table)
    held = table > 0
    # Rounding alone can make the sum a hair less than nothing.
    statistic = max(0.0, 2 * float((table[held] * np.log(table[held] / expected[held])).sum()))
    return statistic, chi_square_probability(statistic, table.shape[1] - 1)


def cramers_v(reference: Counts, current: Counts) -> float:
    """How closely bin and sample hang together, 0 to 1: the root of chi-squared per row. Errors as in `chi_square`.

    Source: Cramer (1946) for a table of two rows; SciPy's `contingency.association`.
    """
    return math.sqrt(min(1.0, chi_square(reference, current)[0] / int(reference.sum() + current.sum())))


def total_variation(reference: Counts, current: Counts) -> float:
    """Share of the rows that would have to change their bin, 0 to 1. Raises EmptyWindow. Source: Levin and Peres (2017)."""
    return float(np.abs(shares(reference, "the reference") - shares(current, "the window")).sum() / 2)


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance, 0 to 1. Raises EmptyWindow. Source: Hellinger (1909), with the factor that ends it at 1."""
    gaps = np.sqrt(shares(reference, "the reference")) - np.sqrt(shares(current, "the window"))
    return float(math.sqrt(min(1.0, float((gaps**2).sum()) / 2)))


def two_shares(hits: int, n: int, hits_now: int, n_now: int) -> Tested:
    """z of the change of a share, and its two-sided p: rising is positive. n, n_now : at least 1.

    The variance is that of the pooled share; where all rows agree it is 0, and so is z. Source: Fleiss (1981), ch. 2,
    without correction: its square is chi-squared of the table of two by two.

    >>> z, p = two_shares(50, 100, 60, 100)
    >>> round(z, 6), round(p, 6)
    (1.421338, 0.155218)
    """
    pooled = (hits + hits_now) / (n + n_now)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_now))
    z = (hits_now / n_now - hits / n) / error if error > 0 else 0.0
    return z, math.erfc(abs(z) / math.sqrt(2))


def without_sparse(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """The counts with all bins in which fewer than five rows are expected, in either sample, as one bin at the end.

    Chi-squared's law holds only where a few rows are expected in each bin. Where even the sparse ones together are too
    few, they join the smallest of the others. Source: Cochran (1954).
    """
    table = np.stack([reference, current])
    sparse = _expected(table).min(axis=0) < LEAST_EXPECTED
    if not sparse.any():
        return reference, current
    kept, rest = table[:, ~sparse], table[:, sparse].sum(axis=1, keepdims=True)
    merged = np.concatenate([kept, rest], axis=1)
    if kept.shape[1] and _expected(merged)[:, -1].min() < LEAST_EXPECTED:
        smallest = int(kept.sum(axis=0).argmin())
        kept[:, smallest] += rest[:, 0]
        merged = kept
    return merged[0], merged[1]


def chi_square_probability(statistic: float, degrees: int) -> float:
    """Chance of a chi-squared this large; 1 without degrees of freedom.

    Source: Abramowitz and Stegun (1964), 26.4.4 and 26.4.5: finite sums, so nothing is approximated.

    >>> round(chi_square_probability(3.841458820694124, 1), 12)
    0.05
    """
    if degrees < 1 or statistic <= 0:
        return 1.0
    half, odd = statistic / 2, degrees % 2
    start = math.erfc(math.sqrt(half)) if odd else 0.0
    powers = [k + odd / 2 for k in range(degrees // 2)]
    terms = (math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)
    return min(1.0, start + math.fsum(terms))


def false_discovery(chances: Sequence[float]) -> list[float]:
    """Each chance adjusted for their number: calling all with q <= 0.05 different, one in twenty of these calls is wrong.

    Source: Benjamini and Hochberg (1995), the step-up procedure; SciPy's `false_discovery_control`.

    >>> false_discovery([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    if not chances:
        return []
    order = np.argsort(chances)
    stepped = np.asarray(chances, float)[order] * len(chances) / np.arange(1, len(chances) + 1)
    found = np.empty(len(chances))
    found[order] = np.minimum(1.0, np.minimum.accumulate(stepped[::-1])[::-1])
    return [float(q) for q in found]


def _table(reference: Counts, current: Counts) -> Floats:
    for counts, what in ((reference, "the reference"), (current, "the window")):
        if counts.sum() <= 0:
            raise EmptyWindow(what)
    both = np.stack([reference, current]).astype(np.float64)
    held: Floats = both[:, both.sum(axis=0) > 0]
    return held


def _expected(table: Floats | Counts) -> Floats:
    """What each cell would hold if both samples had one law."""
    totals = table.sum()
    expected: Floats = table.sum(axis=1, keepdims=True) * (table.sum(axis=0, keepdims=True) / totals)
    return expected
