"""Answers about the past, in processor time: drift, the course of ROC AUC, health; from roll-ups, against the rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import polars as pl

from pilothouse.data.rollups.profile import LABEL, SCORE
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Window
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle
from tests.bench import (
    measures_chances,
    measures_drift,
    measures_estimate,
    measures_explain,
    measures_impact,
    measures_performance,
    measures_quality,
    measures_segments,
)
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row
from tests.bench.worlds import add_resampled, copy_of, reference_rows

TIMES = {"small": 5, "full": 9}
WEEKS = 30
MANY = 1_000_000
UNIT = "CPU ms"
FROM_LOG, PRESET = "SciPy, rows read from the log", "Evidently's DataDriftPreset, rows in memory"
LESS_THAN_SCIPY, LESS_THAN_EVIDENTLY = 3.0, 20.0
_ROOT = Path(__file__).resolve().parents[2]


def run(built: Path, size: str) -> list[Row]:
    """On the demo's log; `full` also on a million rows."""
    house = House.open(copy_of(built, "measures"))
    rows = measure(house[MODEL], size, TIMES[size])
    if size == "full":
        rows += measure(add_resampled(house, MANY, WEEKS), size, TIMES[size])
    house.close()
    return rows


def measure(model: ModelHandle, size: str, times: int) -> list[Row]:
    label = f"{size}, {model.history.watermark().sealed_rows:,} rows"
    return [
        *drift(model, label, times),
        *auc_trend(model, label, times),
        health(model, label, times),
        *measures_drift.rows(model, label, times),
        *measures_impact.rows(model, label, times),
        *measures_segments.rows(model, label, times),
        *measures_estimate.rows(model, label, times),
        *measures_chances.rows(model, label, times),
        *measures_quality.rows(model, label, times),
        *measures_performance.rows(model, label, times),
        *measures_explain.rows(model, label, times),
    ]


def drift(model: ModelHandle, size: str, times: int) -> list[Row]:
    """All features over 14 days. The rivals get their rows in memory; SciPy once more with reading them."""
    window = model.window("14d")
    reference = reference_rows(model)
    current = feature_rows(model, window)
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: model.history.drift(window),
        FROM_LOG: lambda: scipy_drift(model.signature, reference, feature_rows(model, window)),
        "SciPy, rows in memory": lambda: scipy_drift(model.signature, reference, current),
        "SciPy with its defaults, rows in memory": lambda: scipy_drift(model.signature, reference, current, "auto"),
    }
    contenders: dict[str, Callable[[], float]] = {name: partial(cpu_ms, act) for name, act in acts.items()}
    with evidently(model.signature, reference, current) as preset:
        found = alternate(contenders | {PRESET: preset}, times)
    goals = {FROM_LOG: LESS_THAN_SCIPY, PRESET: LESS_THAN_EVIDENTLY}
    return against_ours("drift of all features, 14 d", found, goals, size)


def auc_trend(model: ModelHandle, size: str, times: int) -> list[Row]:
    """Week by week over thirty weeks, every metric of ours against ROC AUC alone of scikit-learn."""
    window, week = model.window(f"{WEEKS}w"), timedelta(weeks=1)
    windows = model.history.steps(window, week)
    scored = scored_rows(model, window)
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: model.history.performance_trend(window, week),
        "scikit-learn, rows read from the log": lambda: sklearn_trend(scored_rows(model, window), windows),
        "scikit-learn, rows in memory": lambda: sklearn_trend(scored, windows),
    }
    found = alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times)
    return against_ours(f"weekly ROC AUC, {WEEKS} weeks", found, {}, size)


def health(model: ModelHandle, size: str, times: int) -> Row:
    found = median_of_each(alternate({"ours": lambda: cpu_ms(model.health)}, times))
    return Row(name="health", ours=found["ours"], unit=UNIT, size=size)


def against_ours(what: str, found: dict[str, list[float]], goals: dict[str, float], size: str) -> list[Row]:
    """A row for each rival in `found`."""
    medians = median_of_each(found)
    return [
        Row(name=f"{what}: {rival}", ours=medians["ours"], rival=value, goal=goals.get(rival), unit=UNIT, size=size)
        for rival, value in medians.items()
        if rival != "ours"
    ]


def feature_rows(model: ModelHandle, window: Window) -> pl.DataFrame:
    return model.prediction_log.predictions(window, columns=[f.column for f in model.signature.features])


def scored_rows(model: ModelHandle, window: Window) -> pl.DataFrame:
    return model.prediction_log.labelled(window, columns=("at", SCORE)).drop_nulls(LABEL)


def scipy_drift(
    signature: Signature, reference: pl.DataFrame, current: pl.DataFrame, method: str = "asymp"
) -> list[float]:
    """Kolmogorov and Smirnov's test of each number, chi-squared of each category: what one would write oneself.

    method : "asymp" has the p-value that ours has; the default, "auto", an exact and dear one below 10,000 rows.
    """
    from scipy.stats import chi2_contingency, ks_2samp

    return [
        ks_2samp(*_values(f.column, reference, current), method=method).statistic
        if f.numeric
        else chi2_contingency(_counts(f.column, reference, current)).statistic
        for f in signature.features
    ]


def _values(column: str, *frames: pl.DataFrame) -> list[object]:
    return [frame[column].drop_nulls().to_numpy() for frame in frames]


def _counts(column: str, reference: pl.DataFrame, current: pl.DataFrame) -> object:
    counted = [frame[column].value_counts(name=f"n{i}") for i, frame in enumerate((reference, current))]
    both = counted[0].join(counted[1], on=column, how="full").select("n0", "n1").fill_null(0)
    return both.to_numpy().T


def sklearn_trend(scored: pl.DataFrame, windows: list[Window]) -> list[float]:
    from sklearn.metrics import roc_auc_score

    found = []
    for window in windows:
        rows = scored.filter(pl.col("at") >= window.start, pl.col("at") < window.end)
        if rows[LABEL].n_unique() == 2:
            found.append(float(roc_auc_score(rows[LABEL].to_numpy(), rows[SCORE].to_numpy())))
    return found


@contextmanager
def evidently(signature: Signature, reference: pl.DataFrame, current: pl.DataFrame) -> Iterator[Callable[[], float]]:
    """Runs Evidently's drift preset in a child process each time it is called; gives the processor milliseconds."""
    columns = {
        "numeric": [f.column for f in signature.features if f.numeric],
        "categorical": [f.column for f in signature.features if not f.numeric],
    }
    with tempfile.TemporaryDirectory(prefix="bench-evidently-") as folder:
        for name, frame in (("reference", reference), ("current", current)):
            frame.select(columns["numeric"] + columns["categorical"]).write_parquet(Path(folder) / f"{name}.parquet")
        (Path(folder) / "columns.json").write_text(json.dumps(columns))
        command = [sys.executable, "-m", "tests.bench.evidently_child", folder]
        # At the end of the block the child's input is closed, which ends it.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as child:
            yield lambda: _ask(child)


def _ask(child: subprocess.Popen[str]) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return float(child.stdout.readline())
