"""Several classes with honest probabilities: bands cover the truth, and a model that is too sure is seen to be."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.rollups.chances import judged
from pilothouse.data.rollups.outcomes import count_outcomes, realized
from pilothouse.data.signature import Kind, Signature, Target, Task
from tests.planted.verdict import Verdict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WEIGHTS = np.array([1.5, 1.0, 0.5, 0.2])
SEEDS = {"small": 4, "full": 20}
WINDOWS, ROWS, MANY = 25, 500, 200_000
COVERED = 0.9
METRICS = ("log_loss", "brier", "top_2", "top_3", "macro_roc_auc", "weighted_roc_auc")


def run(size: str) -> list[Verdict]:
    seeds = SEEDS[size]
    truth = {name: _value(metric) for name, metric in metrics_of(*honest_classes(WEIGHTS, MANY, seed=10_000)).items()}
    found = [metrics_of(*world) for seed in range(seeds) for world in windows_of(seed)]
    return [
        *(_coverage(name, truth[name], [metrics[name] for metrics in found], seeds) for name in METRICS),
        _too_sure(seeds),
    ]


def honest_classes(weights: Floats, rows: int, seed: int) -> tuple[Floats, Ints]:
    """Probabilities of each class, float64 (rows, classes), and what came true by them; no class is left out.

    Frozen: the figures of the planted case rest on it.
    """
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(weights, rows)
    true = (chances.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    true[-len(weights) :] = np.arange(len(weights))
    return chances, true


def windows_of(seed: int) -> list[tuple[Floats, Ints]]:
    return [honest_classes(WEIGHTS, ROWS, seed * WINDOWS + window) for window in range(WINDOWS)]


def contributions_of(chances: Floats, true: Ints) -> tuple[pl.DataFrame, Signature]:
    """The labelled rows as the fold sees them, and the signature of their model, which says its likeliest class."""
    names = np.array([f"class {place:02}" for place in range(chances.shape[1])])
    target = Target(name="kind", kind=Kind.CATEGORY, classes=tuple(names.tolist()))
    signature = Signature(features=(), target=target, task=Task.MULTICLASS)
    rows = pl.DataFrame(
        {
            "prediction": names[chances.argmax(axis=1)],
            "label": names[true],
            "scores": pl.Series(chances.tolist(), dtype=pl.List(pl.Float64)),
        }
    ).with_columns(
        at=pl.lit(datetime(2026, 3, 3, 12, tzinfo=UTC)).dt.cast_time_unit("us"),
        version=pl.lit(1, pl.Int64),
        role=pl.lit("champion"),
        score=pl.lit(None, pl.Float64),
        recorded=pl.lit(date(2026, 3, 4)),
        sign=pl.lit(1, pl.Int8),
    )
    return judged(rows, signature, whole=True), signature


def metrics_of(chances: Floats, true: Ints) -> dict[str, Metric]:
    """From counts, as the roll-ups have them."""
    rows, signature = contributions_of(chances, true)
    return realized(count_outcomes(rows, signature, "UTC", None), signature)


def _coverage(name: str, truth: float, found: list[Metric], seeds: int) -> Verdict:
    inside = [m.low is not None and m.high is not None and m.low <= truth <= m.high for m in found]
    width = float(np.mean([(m.high or 0.0) - (m.low or 0.0) for m in found]))
    return Verdict(
        name=f"the band of {name} covers the truth, {ROWS} rows of four classes",
        seeds=seeds,
        value=float(np.mean(inside)),
        unit="share",
        goal=COVERED,
        detail=f"{len(found)} windows; the truth is {truth:.4f}, the mean width {width:.4f}",
    )


def _too_sure(seeds: int) -> Verdict:
    """A model whose odds are the square of the true ones, beside the honest one on the same rows."""
    higher = []
    for seed in range(seeds):
        chances, true = honest_classes(WEIGHTS, 4 * ROWS, seed)
        sharp = chances**2 / (chances**2).sum(axis=1, keepdims=True)
        higher.append(_value(metrics_of(sharp, true)["ece"]) > 2 * _value(metrics_of(chances, true)["ece"]))
    return Verdict(
        name="a model that is too sure has more than twice the calibration error",
        seeds=seeds,
        value=float(np.mean(higher)),
        unit="share",
        goal=0.95,
        detail=f"{4 * ROWS} rows a seed",
    )


def _value(metric: Metric) -> float:
    return np.nan if metric.value is None else metric.value
