"""Latency percentiles from counts over bins that are equally spaced in the logarithm."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def percentile_ms(counts: npt.NDArray[np.int64], share: float, steps_per_decade: int) -> float | None:
    """The latency, in milliseconds, that `share` of the rows do not exceed; None without rows.

    counts : int64, shape (slots,); slot k holds latencies of 10**(k / steps_per_decade) microseconds and a little more.
    Inside a slot rows are taken as evenly spread in the logarithm, so with 100 steps a decade the error is below 2.4 %.
    """
    total = int(counts.sum())
    if total == 0:
        return None
    wanted = share * total
    reached = np.cumsum(counts)
    slot = int(np.searchsorted(reached, wanted, side="left"))
    inside = (wanted - (reached[slot] - counts[slot])) / counts[slot] if counts[slot] else 0.0
    return math.pow(10, (slot + inside) / steps_per_decade) / 1000
