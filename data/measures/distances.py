"""How far what was said will lie from what comes true, over bins of rows whose labels are still to come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pilothouse.data.measures.outcomes import Floats, Ints

_CERTAIN = 40.0
"""Standard deviations beyond which a gap has a side for sure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distances:
    """The mean distance as it is to be expected.

    noise : standard deviation that the chance of single labels gives it. slopes : float64, shape (rows,): its change with
    what each row said.
    """

    value: float
    noise: float
    slopes: Floats


def expected_distances(said: Floats, chances: Floats, bins: Ints) -> Distances:
    """The sum over bins of |what their rows said - how many of them come true|, divided by all rows.

    said, chances, bins : shape (rows,): from 0 to 1, and the bin of each. A bin's gap is taken as a normal number. A distance
    is never below 0, so chance alone lengthens it: even scores that are true miss what comes true in each bin by a little.
    Chances of 0 and 1 give the distance itself. Source: Leone, Nelson and Nottingham (1961), the folded normal distribution.
    """
    gaps = np.bincount(bins, weights=said - chances).astype(np.float64)
    spread = np.sqrt(np.bincount(bins, weights=chances * (1 - chances)).astype(np.float64))
    # A gap of 0 without spread has no side, and whichever is taken adds nothing.
    sides = np.divide(gaps, spread, out=np.where(gaps < 0, -np.inf, np.inf), where=spread > 0)
    sides = np.clip(sides, -_CERTAIN, _CERTAIN)
    slopes = np.array([math.erf(side / math.sqrt(2)) for side in sides])
    means = math.sqrt(2 / math.pi) * spread * np.exp(-(sides**2) / 2) + gaps * slopes
    variance = float((gaps**2 + spread**2 - means**2).clip(min=0.0).sum())
    rows = len(said)
    return Distances(value=float(means.sum()) / rows, noise=math.sqrt(variance) / rows, slopes=slopes[bins] / rows)
