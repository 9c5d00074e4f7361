"""Whether bands hold the truth where the rows of an hour, or of a day, share something; and at what price where none do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.binary import measure_binary
from pilothouse.data.measures.errors import measure_rows
from pilothouse.data.rollups.outcomes import count_outcomes, outcomes_in
from pilothouse.data.rollups.ranked import ranked_in
from pilothouse.data.rollups.together import widen
from pilothouse.data.signature import Kind, Signature, Target, Task
from tests.planted.shared_worlds import BINARY, DRAWS, REGRESSION, START, Shared
from tests.planted.verdict import Verdict

SEEDS = {"small": 4, "full": 200}
SPANS = {"small": (28,), "full": (7, 14, 28)}
COVERAGE = {"small": 0.5, "full": 0.92}
"""Of bands that promise 95 %; few worlds cannot say more."""
_SMALL = ("both", "alone")
LARGE_DAYS = {"small": 200, "full": 3_000}
THRESHOLD = 0.5
_TIMES = 60
_MAIN = {
    "binary": ("roc_auc", "log_loss", "brier", "accuracy", "recall", "f1", "pr_auc", "positive_rate"),
    "regression": ("mae", "rmse", "bias", "r2", "median_ae", "error_p95"),
}
SIGNATURES = {
    "binary": Signature(features=(), target=Target(name="y", kind=Kind.INTEGER, classes=(0, 1)), task=Task.BINARY),
    "regression": Signature(features=(), target=Target(name="y", kind=Kind.NUMBER), task=Task.REGRESSION),
}
WORLDS: Mapping[str, Mapping[str, Shared]] = {"binary": BINARY, "regression": REGRESSION}

Found = dict[str, Metric]


def run(size: str) -> list[Verdict]:
    return [
        verdict
        for task, worlds in WORLDS.items()
        for world, shared in worlds.items()
        if size == "full" or world in _SMALL
        for days in SPANS[size]
        for verdict in _judged(task, world, shared, days, size)
    ]


def counted(task: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Roll-up rows by day, as a history gives them for a window's days."""
    counts = count_outcomes(rows, SIGNATURES[task], "UTC", None)
    return counts.with_columns(point=(pl.col("bucket") - START).dt.total_days())


def by_rows(task: str, rows: pl.DataFrame, times: int = _TIMES) -> Found:
    """Metrics whose bands take rows one by one; of a regression from every row: by steps a quantile is not sharp."""
    if task == "binary":
        counts = counted(task, rows)
        return measure_binary(outcomes_in(counts), ranked_in(counts), THRESHOLD, times=times)
    return measure_rows(rows["prediction"].to_numpy(), rows["label"].to_numpy(), rows.height, times)


def both(task: str, shared: Shared, days: int, seed: int) -> tuple[Found, Found]:
    """Metrics of one window with bands by rows, and by days."""
    return both_of(task, DRAWS[task](shared, days, np.random.default_rng([7, days, seed])))


def both_of(task: str, rows: pl.DataFrame) -> tuple[Found, Found]:
    """Metrics of labelled rows with bands by rows, and by days."""
    plain, counts = by_rows(task, rows), counted(task, rows)
    return plain, widen(plain, counts, "days", SIGNATURES[task], THRESHOLD)


def _judged(task: str, world: str, shared: Shared, days: int, size: str) -> Iterator[Verdict]:
    truth = by_rows(task, DRAWS[task](shared, LARGE_DAYS[size], np.random.default_rng(1)), times=0)
    held: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for seed in range(SEEDS[size]):
        plain, wide = both(task, shared, days, seed)
        for name in _MAIN[task]:
            held[name].append((_inside(plain[name], truth[name]), _inside(wide[name], truth[name]), wide[name].wider))
    for name, found in held.items():
        before, after, wider = (float(np.mean(each)) for each in zip(*found, strict=True))
        yield Verdict(
            name=f"{task}, {world}, {days} days: band of {name}", seeds=len(found), value=after, unit="of worlds",
            goal=COVERAGE[size], detail=f"{before:.3f} by rows; {wider:.2f} times as wide on average",
        )  # fmt: skip


def _inside(metric: Metric, truth: Metric) -> bool:
    if metric.low is None or metric.high is None or truth.value is None:
        return False
    return metric.low <= truth.value <= metric.high
