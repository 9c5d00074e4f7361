"""Frozen: laws that features follow in practice, and ways in which they change. Written before any error was looked at.

Nothing here is to be tuned to a result: a bound that fails is reported as failed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ROWS = 20_000
"""Of the reference, and of the window that is compared with it."""


def normal(rng: np.random.Generator) -> Floats:
    return rng.normal(10, 3, ROWS)


def uniform(rng: np.random.Generator) -> Floats:
    return rng.uniform(-1, 1, ROWS)


def lognormal(rng: np.random.Generator) -> Floats:
    return rng.lognormal(3, 1.5, ROWS)


def pareto(rng: np.random.Generator) -> Floats:
    """Its mean exists, its variance does not."""
    return 1 + rng.pareto(1.5, ROWS)


def cauchy(rng: np.random.Generator) -> Floats:
    """Not even its mean exists."""
    return rng.standard_cauchy(ROWS)


def bimodal(rng: np.random.Generator) -> Floats:
    return np.where(rng.random(ROWS) < 0.3, rng.normal(-5, 1, ROWS), rng.normal(5, 0.5, ROWS))


def counts(rng: np.random.Generator) -> Floats:
    """Whole numbers: every value ties with many."""
    return rng.poisson(6, ROWS).astype(float)


def prices(rng: np.random.Generator) -> Floats:
    """Amounts rounded to a half, some of them favourites: more values than bins, and ties."""
    rounded = np.round(rng.gamma(2, 60, ROWS) * 2) / 2
    return np.where(rng.random(ROWS) < 0.15, 99.5, rounded)


def zero_inflated(rng: np.random.Generator) -> Floats:
    return np.where(rng.random(ROWS) < 0.7, 0.0, rng.gamma(2, 50, ROWS))


def rare_events(rng: np.random.Generator) -> Floats:
    """0, and 1 for two rows of a thousand."""
    return (rng.random(ROWS) < 0.002).astype(float)


def half_missing(rng: np.random.Generator) -> Floats:
    return np.where(rng.random(ROWS) < 0.5, np.nan, rng.exponential(2, ROWS))


def unchanged(values: Floats, rng: np.random.Generator) -> Floats:
    return values


def moved(values: Floats, rng: np.random.Generator) -> Floats:
    """By a third of the distance between the quartiles; where that is 0, one row in fifty is 1 more."""
    low, high = np.nanquantile(values, [0.25, 0.75])
    step = (high - low) / 3
    if step == 0:
        return values + (rng.random(ROWS) < 0.02)
    whole = bool(np.all(values[~np.isnan(values)] % 0.5 == 0))
    return values + (max(1.0, np.round(step)) if whole else step)


def widened(values: Floats, rng: np.random.Generator) -> Floats:
    """Half as far again from the median."""
    middle = np.nanmedian(values)
    return middle + 1.5 * (values - middle)


def tailed(values: Floats, rng: np.random.Generator) -> Floats:
    """Two rows in a hundred lie far out, where the reference has nothing."""
    low, high = np.nanmin(values), np.nanmax(values)
    far = high + (high - low) * rng.uniform(0.1, 0.5, ROWS)
    return np.where(rng.random(ROWS) < 0.02, far, values)


def thinned(values: Floats, rng: np.random.Generator) -> Floats:
    """A fifth of the rows is missing, more often where values are high."""
    order = np.argsort(np.argsort(np.nan_to_num(values))) / ROWS
    return np.where(rng.random(ROWS) < 0.4 * order, np.nan, values)


LAWS: dict[str, Callable[[np.random.Generator], Floats]] = {
    law.__name__: law
    for law in (
        normal, uniform, lognormal, pareto, cauchy, bimodal, counts, prices, zero_inflated, rare_events, half_missing,
    )
}  # fmt: skip
SHIFTS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    shift.__name__: shift for shift in (unchanged, moved, widened, tailed, thinned)
}


def reference_of(law: str) -> Floats:
    return LAWS[law](np.random.default_rng([7, *law.encode()]))


def window_of(law: str, shift: str) -> Floats:
    rng = np.random.default_rng([8, *law.encode(), 0, *shift.encode()])
    return SHIFTS[shift](LAWS[law](rng), rng)
