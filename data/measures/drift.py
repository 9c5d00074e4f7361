"""Drift: how far a distribution has moved from the reference, from counts over the same bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pilothouse.data.errors import EmptyWindow

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

EMPTY_SHARE = 1e-4
"""What an empty bin counts as in PSI, so that its logarithm exists. Source: Siddiqi (2006), ch. 8."""
DECILES = 10
ROWS_PER_BIN = 20
LEAST_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """When drift is worth a look. PSI: 0.1 and 0.2 by Siddiqi (2006); a rise of the missing share: our own."""

    psi_watch: float = 0.1
    psi_critical: float = 0.2
    missing_watch: float = 0.1
    missing_critical: float = 0.3


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index of `current` against `reference`, in nats, >= 0.

    reference, current : int64, shape (bins,). Counts over the same bins, missing left out (it is a measure of its own).
    An empty bin counts as a share of 1e-4. Raises EmptyWindow if either sums to zero. Source: Siddiqi (2006), ch. 8.

    >>> psi(np.array([50, 50]), np.array([50, 50]))
    0.0
    """
    expected, actual = shares(reference, "the reference"), shares(current, "the window")
    either = (expected > 0) | (actual > 0)
    expected = np.where(expected > 0, expected, EMPTY_SHARE)[either]
    actual = np.where(actual > 0, actual, EMPTY_SHARE)[either]
    return float(((actual - expected) * np.log(actual / expected)).sum())


def ks_distance(reference: Counts, current: Counts) -> float:
    """Kolmogorov-Smirnov D between two samples binned in rising order: 0 to 1, too small by at most one bin's share.

    reference, current : int64, shape (bins,), missing left out. Exact where a bin is a value. Raises EmptyWindow.
    """
    gaps = np.cumsum(shares(reference, "the reference")) - np.cumsum(shares(current, "the window"))
    return float(np.abs(gaps).max())


def ks_probability(distance: float, n: int, m: int) -> float:
    """Chance of a D this large when both samples come from one continuous law.

    Source: Smirnov (1948), the limit law of the two-sided statistic with n and m rows; too large where values tie.
    """
    scaled = math.sqrt(n * m / (n + m)) * distance
    if scaled < 0.2:  # The alternating series converges slowly here, and the sum is 1 to twelve digits.
        return 1.0
    terms = ((2 if k % 2 else -2) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


def wasserstein(
    reference: Counts, reference_sums: Floats, current: Counts, current_sums: Floats, unit: float
) -> float | None:
    """Wasserstein-1 distance, in units of `unit` (the reference's standard deviation); None when that is 0.

    Each bin's rows stand at the bin's own mean: with midpoints the distance was off by up to 9.5 sd on heavy tails.
    reference, current : int64, shape (bins,), missing left out; *_sums : float64, the sums of their values.
    Raises EmptyWindow if either has no rows.
    """
    if unit <= 0:
        return None
    mass = np.concatenate([shares(current, "the window"), -shares(reference, "the reference")])
    counts = np.concatenate([current, reference])
    means = np.concatenate([current_sums, reference_sums])[counts != 0] / counts[counts != 0]
    order = np.argsort(means)
    gaps = np.abs(np.cumsum(mass[counts != 0][order])[:-1])
    return float((gaps * np.diff(means[order])).sum() / unit)


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance: the root of the divergence in nats, 0 to 0.833. Raises EmptyWindow.

    Source: Endres and Schindelin (2003); SciPy's `jensenshannon` with its default base.
    """
    p, q = shares(reference, "the reference"), shares(current, "the window")
    middle = (p + q) / 2
    return math.sqrt(max(0.0, (_divergence(p, middle) + _divergence(q, middle)) / 2))


def decile_groups(counts: Counts) -> npt.NDArray[np.int64]:
    """Which tenth of the reference each bin belongs to: int64, shape (bins,), 0 to 9 and rising.

    A bin goes where the middle of its mass lies; with no ties, 160 quantile bins give the exact deciles.
    """
    shares = counts / counts.sum()
    middles = np.cumsum(shares) - shares / 2
    groups: npt.NDArray[np.int64] = np.minimum((middles * DECILES).astype(np.int64), DECILES - 1)
    return groups


def rows_needed(groups: int) -> int:
    """Rows of a window from which its PSI over `groups` bins may be read.

    PSI of two samples of one law is about (groups - 1) / rows (Yurdakul 2018): 20 rows a bin keep that at 0.05.
    """
    return max(LEAST_ROWS, ROWS_PER_BIN * (groups - 1))


def shares(counts: Counts, what: str) -> Floats:
    """`counts` over their sum. Raises EmptyWindow, which calls them `what`, where that is 0."""
    total = counts.sum()
    if total <= 0:
        raise EmptyWindow(what)
    found: Floats = counts / total
    return found


def _divergence(p: Floats, middle: Floats) -> float:
    held = p > 0
    return float((p[held] * np.log(p[held] / middle[held])).sum())
