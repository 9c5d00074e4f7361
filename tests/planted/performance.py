"""Whether bands of realized performance hold the truth as often as they promise, and whether savings are no illusion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.binary import measure_binary
from pilothouse.data.measures.classes import measure_crossing
from pilothouse.data.measures.costs import best_threshold, calibrated_threshold
from pilothouse.data.measures.errors import measure_rows
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.policies import Costs
from pilothouse.data.rollups.outcomes import outcomes_of
from tests.planted.verdict import Verdict

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_Draw = Callable[[int, np.random.Generator], tuple[Floats, Floats]]
SEEDS = {"small": 24, "full": 400}
CHEAP_SEEDS = {"small": 24, "full": 1000}
COVERAGE = {"small": 0.79, "full": 0.92}
"""Of bands that promise 95 %. With 24 worlds chance alone brings one of many metrics down to 0.8."""
LARGE = 1_000_000
COSTS = Costs(fp=1.0, fn=4.0)
_COMMON, _RARE = "common", "rare"
_WORLDS = {_COMMON: (-0.8, 1.3, 1500, 0.5), _RARE: (-4.0, 1.2, 4000, 0.06)}
"""Mean and spread of the log-odds, rows of a window, threshold."""


def scored(world: str, rows: int, rng: np.random.Generator) -> tuple[Floats, Flags]:
    """Scores that are true probabilities, and what came true."""
    centre, spread, _, _ = _WORLDS[world]
    scores = 1 / (1 + np.exp(-rng.normal(centre, spread, rows)))
    return scores, rng.random(rows) < scores


def crossed(rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The confusion of four classes of unequal size, and of one that nobody saw."""
    shares = np.array(
        [[0.40, 0.06, 0.02, 0.02], [0.05, 0.20, 0.03, 0.02], [0.01, 0.03, 0.08, 0.01], [0.02, 0.01, 0.01, 0.03]]
    )
    drawn = np.zeros((5, 5), np.int64)
    drawn[:4, :4] = rng.multinomial(rows, shares.ravel()).reshape(4, 4)
    return drawn


def guessed_far_from_0(rows: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """As `guessed`, with labels that never come near 0: else the mean of errors as shares of labels does not exist."""
    said = rng.gamma(4, 10, rows) + 5
    return said, said * np.exp(rng.normal(0.05, 0.25, rows))


def guessed(rows: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Predictions and labels of a regression whose errors have heavy tails and lean to one side."""
    said = rng.gamma(4, 10, rows) + 5
    return said, said - 1.5 - 0.2 * said * rng.standard_t(5, rows)


def binary(size: str) -> list[Verdict]:
    """Every metric of a binary model, in a world of many positives and in one of few."""
    found = []
    for world, (_, _, rows, threshold) in _WORLDS.items():
        truth = _binary_metrics(*scored(world, LARGE, np.random.default_rng(1)), threshold)
        # Of scores that are probabilities no distance is true; what a large sample shows is chance.
        truth["ece"] = 0.0
        samples = (_bands(world, rows, threshold, seed) for seed in range(SEEDS[size]))
        found += _coverage(f"{world} positives", samples, truth, size)
    return found


def others(size: str) -> list[Verdict]:
    """Every metric of a multiclass model and of a regression."""
    of_classes = _values(measure_crossing(crossed(LARGE, np.random.default_rng(1)), 0))
    classes = (measure_crossing(crossed(1200, np.random.default_rng(100 + seed))) for seed in range(CHEAP_SEEDS[size]))
    return [
        *_coverage("classes", classes, of_classes, size),
        *_numbers("regression", guessed, size, without="mape"),
        *_numbers("labels far from 0", guessed_far_from_0, size),
    ]


def _numbers(where: str, draw: _Draw, size: str, *, without: str = "") -> list[Verdict]:
    truth = _values(measure_rows(*draw(LARGE, np.random.default_rng(1)), LARGE, 0))
    samples = (measure_rows(*draw(1200, np.random.default_rng(100 + seed)), 1200) for seed in range(CHEAP_SEEDS[size]))
    return _coverage(where, ({k: m for k, m in found.items() if k != without} for found in samples), truth, size)


def savings(size: str) -> list[Verdict]:
    """The threshold of least cost where the truth is known: scores are probabilities, so it follows from the costs."""
    best, worlds = calibrated_threshold(COSTS) or 0.0, range(SEEDS[size])
    large = Ranked.of_scores(*scored(_COMMON, LARGE, np.random.default_rng(1)))
    rows = _WORLDS[_COMMON][2]
    worth = (_cost(large, 0.5) - _cost(large, best)) * rows
    saved = [best_threshold(_window(seed), COSTS, 0.5) for seed in worlds]
    idle = [best_threshold(_window(seed), COSTS, best) for seed in worlds]
    held = [_inside(s.threshold, best) for s in saved]
    paid = [_inside(s.saving, worth) for s in saved]
    false = [s.saving.low is not None and s.saving.low > 0 for s in idle]
    plain = np.mean([s.present_cost - s.cost for s in idle]) / np.mean([s.present_cost for s in idle])
    mended = np.mean([s.saving.value for s in idle]) / np.mean([s.present_cost for s in idle])
    n, goal = len(worlds), COVERAGE[size] - 0.05
    return [
        Verdict(name="band holds the best threshold", seeds=n, value=float(np.mean(held)), unit="of worlds", goal=goal),
        Verdict(name="band holds the true saving", seeds=n, value=float(np.mean(paid)), unit="of worlds", goal=goal),
        Verdict(
            name="best threshold in force: a saving is claimed", seeds=n, value=float(np.mean(false)), unit="of worlds",
            goal=0.05, at_most=True,
        ),
        Verdict(
            name="best threshold in force: saving shown on average", seeds=n, value=float(abs(mended)),
            unit="of the cost", goal=0.005, at_most=True, detail=f"{plain:.4f} without what chance adds taken off",
        ),
    ]  # fmt: skip


def _window(seed: int) -> Ranked:
    return Ranked.of_scores(*scored(_COMMON, _WORLDS[_COMMON][2], np.random.default_rng(100 + seed)))


def _cost(rows: Ranked, threshold: float) -> float:
    """Of one row."""
    _, fp, fn, _ = rows.cells(threshold)
    return float(fp * COSTS.fp + fn * COSTS.fn) / rows.rows


def _bands(world: str, rows: int, threshold: float, seed: int) -> dict[str, Metric]:
    scores, positive = scored(world, rows, np.random.default_rng(100 + seed))
    return measure_binary(outcomes_of(scores, positive), Ranked.of_scores(scores, positive), threshold)


def _binary_metrics(scores: Floats, positive: Flags, threshold: float) -> dict[str, float]:
    ranked = Ranked.of_scores(scores, positive)
    return _values(measure_binary(outcomes_of(scores, positive), ranked, threshold, times=0))


def _values(found: Mapping[str, Metric]) -> dict[str, float]:
    return {name: metric.value for name, metric in found.items() if metric.value is not None}


def _coverage(
    where: str, samples: Iterator[Mapping[str, Metric]], truth: Mapping[str, float], size: str
) -> list[Verdict]:
    held: dict[str, list[bool]] = defaultdict(list)
    for found in samples:
        for name, metric in found.items():
            if metric.value is not None and metric.low is not None:
                held[name].append(_inside(metric, truth[name]))
    return [
        Verdict(
            name=f"{where}: band of {name} holds the truth", seeds=len(hits), value=float(np.mean(hits)),
            unit="of worlds", goal=COVERAGE[size],
        )
        for name, hits in held.items()
    ]  # fmt: skip


def _inside(metric: Metric, truth: float) -> bool:
    return metric.low is not None and metric.high is not None and metric.low - 1e-12 <= truth <= metric.high + 1e-12


def run(size: str) -> list[Verdict]:
    return [*binary(size), *others(size), *savings(size)]
