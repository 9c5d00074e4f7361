"""Every metric of a regression: from all its rows, or from counts by size of the error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z, mean_metric
from pilothouse.data.measures.bootstrap import TIMES, bootstrap_band, percentile_band
from pilothouse.data.measures.outcomes import Floats, Ints, Sums
from pilothouse.data.measures.report import ErrorBar
from pilothouse.data.measures.tasks import Errors, measure_errors

QUANTILES = {"error_p05": 0.05, "error_p25": 0.25, "error_p50": 0.5, "error_p75": 0.75, "error_p95": 0.95}
"""Quantiles of the error (prediction - label), by name."""
_BARS = 30
_SEED = 20_260_302
_SAMPLED_AT_ONCE = 4_000_000
_FROM_ROWS = "needs every row: ask for it with exact"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sized:
    """Errors in groups by rising error. counts : int64; mean : float64, the mean error of each; shape (groups,)."""

    counts: Ints
    mean: Floats

    @classmethod
    def of(cls, errors: Floats) -> Sized:
        """A group a row. errors : float64, finite."""
        return cls(counts=np.ones(len(errors), np.int64), mean=np.sort(errors))


def measure_counted(outcomes: Errors, sized: Sized, times: int = TIMES) -> dict[str, Metric]:
    """Metrics from roll-ups: means are exact, quantiles of the error within the 4.7 % of one step of its size.

    R2 has no band, and what divides by each label is None: both need the rows.
    """
    found = measure_errors(outcomes)
    if outcomes.error.n == 0:
        return found | dict.fromkeys((*_OF_SIZES, *_OF_ROWS), found["mae"])
    sizes = {name: _sized(sized, measure, times) for name, measure in _OF_SIZES.items()}
    found |= {"mae": mean_metric(outcomes.absolute, lowest=0.0), "rmse": _with(found["rmse"], _root_band(sized))}
    return found | sizes | dict.fromkeys(_OF_ROWS, Metric(value=None, reason=_FROM_ROWS))


def measure_rows(said: Floats, came: Floats, labelled: int, times: int = TIMES) -> dict[str, Metric]:
    """Every metric from the rows themselves. said, came : float64, shape (rows,), finite.

    mape and smape are shares: |error| / |label| over rows whose label is not 0, and 2 |error| / (|label| + |prediction|),
    which is 0 where both are. Sources: Hyndman and Koehler (2006); Makridakis (1993) for smape.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # Numbers near the end of their range have squares beyond it: what follows from these is None, with the reason.
        return _measured_rows(said, came, labelled, times)


def _measured_rows(said: Floats, came: Floats, labelled: int, times: int) -> dict[str, Metric]:
    errors = said - came
    outcomes = Errors(error=Sums.of(errors), absolute=Sums.of(np.abs(errors)), target=Sums.of(came), labelled=labelled)
    sized = Sized.of(errors)
    found = measure_errors(outcomes)
    if len(errors) == 0:
        return found | dict.fromkeys((*_OF_SIZES, *_OF_ROWS), found["mae"])
    squares = _resampled_means(np.stack([errors**2, came**2, came]), times)
    found |= {
        "mae": mean_metric(outcomes.absolute, lowest=0.0),
        "rmse": _with(found["rmse"], _root_band(sized)),
        "r2": _with(found["r2"], _r2_band(squares)),
    }
    sizes = {name: _of_order(sized.mean, share) for name, share in QUANTILES.items()}
    shares = {"mape": _mape(errors, came), "smape": _smape(errors, said, came)}
    whole = found | {"median_ae": _of_order(np.sort(np.abs(errors)), 0.5)} | sizes | shares
    return {name: _finite(metric) for name, metric in whole.items()}


def _finite(metric: Metric) -> Metric:
    if metric.value is None or np.isfinite(metric.value):
        return metric
    return Metric(value=None, reason="the numbers are too large to be squared or added")


def error_bars(sized: Sized) -> tuple[ErrorBar, ...]:
    """The errors as at most thirty bars of equal width, from the 1st to the 99th percentile; the ends take the rest."""
    if sized.counts.sum() == 0:
        return ()
    low, high = (_quantile(sized.counts, sized.mean, share) for share in (0.01, 0.99))
    edges = np.linspace(low, high, _BARS + 1) if high > low else np.array([low, low])
    below = np.searchsorted(sized.mean, edges) if (sized.counts == 1).all() else _below(sized, edges)
    rows = np.diff(np.concatenate([[0], below[1:-1], [sized.counts.sum()]]))
    return tuple(
        ErrorBar(low=float(a), high=float(b), rows=int(n)) for a, b, n in zip(edges, edges[1:], rows, strict=False)
    )


def _below(sized: Sized, edges: Floats) -> Floats:
    """How many rows lie below each edge, a group spread between the middles of the gaps to its neighbours.

    Where groups are as wide as bars, bars of one and of two of them would else stand like the teeth of a comb.
    """
    ends = np.concatenate([sized.mean[:1], (sized.mean[1:] + sized.mean[:-1]) / 2, sized.mean[-1:]])
    below: Floats = np.rint(np.interp(edges, ends, np.concatenate([[0], sized.counts.cumsum()])))
    return below


def _r2_band(means: Floats) -> tuple[float, float] | None:
    """means : of squared errors, squared labels and labels, by sample: float64, shape (3, samples)."""
    spread = means[1] - means[2] ** 2
    return percentile_band(1 - np.divide(means[0], spread, out=np.full(len(spread), np.nan), where=spread > 0))


def _with(metric: Metric, band: tuple[float, float] | None) -> Metric:
    if metric.value is None or band is None:
        return metric
    return Metric(value=metric.value, low=min(band[0], metric.value), high=max(band[1], metric.value))


def _sized(sized: Sized, measure: Callable[[Ints, Floats], Floats], times: int) -> Metric:
    value = float(measure(sized.counts, sized.mean))
    return _with(Metric(value=value), bootstrap_band(sized.counts, lambda counts: measure(counts, sized.mean), times))


def _quantile(counts: Ints, mean: Floats, share: float) -> Floats:
    """The mean error of the group in which the quantile lies: counts (..., groups) -> (...)."""
    upto = counts.cumsum(axis=-1)
    place = (upto >= share * upto[..., -1:]).argmax(axis=-1)
    found: Floats = mean[place]
    return found


def _median_size(counts: Ints, mean: Floats) -> Floats:
    order = np.argsort(np.abs(mean), kind="stable")
    return _quantile(counts[..., order], np.abs(mean)[order], 0.5)


def _root_band(sized: Sized) -> tuple[float, float] | None:
    """Band of the root of a mean square, each end the further of two: a mean of squares leans, and its own spread is
    little known, the more so the heavier the tails of the errors are.

    Sources: the normal law of its logarithm by the delta method, DasGupta (2008), Asymptotic Theory of Statistics and
    Probability, 3.4; and the cubic that takes its skewness away, Hall (1992), "On the removal of skewness by
    transformation", at the point of a t law with the degrees of freedom of that spread, Satterthwaite (1946).
    """
    n, squares = int(sized.counts.sum()), sized.mean**2
    mean = float((sized.counts * squares).sum()) / n
    if n < 2 or not 0 < mean < np.inf:
        return None
    away = squares / mean - 1
    error = float(np.sqrt((sized.counts * away**2).sum() / (n - 1) / n))
    skewness, kurtosis = (_standardized(sized.counts, away, power) for power in (3, 4))
    far = _t_point(2 * n / max(kurtosis - 1, 1e-9))
    low = min(np.exp(-Z * error), max(0.0, 1 - error * _leaning(far, skewness, n)))
    high = max(np.exp(Z * error), 1 - error * _leaning(-far, skewness, n))
    return float(np.sqrt(mean * low)), float(np.sqrt(mean * high))


def _standardized(counts: Ints, away: Floats, power: int) -> float:
    """A standardized moment of values in groups; 0 where all are equal. away : how far each lies from the mean of all."""
    n = counts.sum()
    spread = float((counts * away**2).sum() / n)
    return float((counts * away**power).sum() / n) / spread ** (power / 2) if spread > 0 else 0.0


def _t_point(freedom: float) -> float:
    """The 97.5 % point of Student's law."""
    from scipy.special import stdtrit

    return float(stdtrit(min(freedom, 1e6), 0.975))


def _leaning(point: float, skewness: float, n: int) -> float:
    """Where a studentized mean lies when, its skewness taken away, it would lie at `point`."""
    lean = skewness / np.sqrt(n)
    # So close to none the quotient below loses its digits.
    return point if abs(lean) < 1e-6 else float(3 / lean * (np.cbrt(1 + lean * (point - lean / 6)) - 1))


def _of_order(ordered: Floats, share: float) -> Metric:
    """A quantile with the band of its order statistics, by the normal law of how many rows lie below it.

    Source: David and Nagaraja (2003), Order Statistics, 7.1.
    """
    n = len(ordered)
    half = Z * float(np.sqrt(n * share * (1 - share)))
    low, high = (int(np.clip(place, 0, n - 1)) for place in (np.floor(n * share - half), np.ceil(n * share + half)))
    value = float(np.quantile(ordered, share))
    return _with(Metric(value=value), (float(ordered[low]), float(ordered[high])))


def _mape(errors: Floats, came: Floats) -> Metric:
    kept = came != 0
    if not kept.any():
        return Metric(value=None, reason="every label is 0, and an error cannot be a share of 0")
    left = int((~kept).sum())
    found = mean_metric(Sums.of(np.abs(errors[kept]) / np.abs(came[kept])), lowest=0.0)
    if not left:
        return found
    return Metric(value=found.value, low=found.low, high=found.high, reason=f"{left:,} rows with a label of 0 left out")


def _smape(errors: Floats, said: Floats, came: Floats) -> Metric:
    whole = np.abs(said) + np.abs(came)
    shares = np.divide(2 * np.abs(errors), whole, out=np.zeros(len(errors)), where=whole > 0)
    return mean_metric(Sums.of(shares), lowest=0.0)


def _resampled_means(values: Floats, times: int) -> Floats:
    """Means of each line of `values` in `times` Poisson samples: (lines, rows) -> (lines, times)."""
    rng, n = np.random.default_rng(_SEED), values.shape[1]
    at_once = max(1, _SAMPLED_AT_ONCE // max(1, n))
    found = []
    for start in range(0, times, at_once):
        weights = rng.poisson(1.0, (min(at_once, times - start), n)).astype(np.float64)
        found.append((values @ weights.T) / np.maximum(1.0, weights.sum(axis=1)))
    return np.concatenate(found, axis=1) if found else np.empty((len(values), 0))


_OF_SIZES: dict[str, Callable[[Ints, Floats], Floats]] = {
    "median_ae": _median_size,
    **{name: partial(_quantile, share=share) for name, share in QUANTILES.items()},
}
_OF_ROWS = ("mape", "smape")
