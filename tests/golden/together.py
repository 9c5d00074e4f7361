"""Bands by bucket against the same figures by other means: scikit-learn's metrics without each day, statsmodels by cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.demo.flights import load_flights
from pilothouse.data.measures.together import jackknife, without_each
from pilothouse.data.rollups.together import spreads_of
from tests.golden.agreement import Agreement
from tests.planted.shared_hours import SIGNATURES, counted
from tests.planted.shared_worlds import BINARY, DRAWS, REGRESSION

Floats = npt.NDArray[np.float64]
Measure = Callable[[pl.DataFrame], float]
ROUNDING = 1e-9
THRESHOLD = 0.5
_STEPS = {"roc_auc": 5e-3, "pr_auc": 2e-2}
"""Relative, of the standard error: scores by step count as ties."""


def run() -> list[Agreement]:
    rng = np.random.default_rng(3)
    planted = DRAWS["binary"](BINARY["both"], 14, rng)
    numbers = DRAWS["regression"](REGRESSION["both"], 14, rng)
    return [
        *_by_leaving_out("planted", "binary", planted, _sklearn_binary()),
        *_by_leaving_out("planted", "regression", numbers, _sklearn_numbers()),
        *_by_leaving_out("flights", "binary", _flights(), _sklearn_binary()),
        _clustered_mean("planted", *_equal_buckets(numbers)),
    ]


def _flights() -> pl.DataFrame:
    """Thirty days of flights, their days of unequal size, with a score that follows the time of departure and the wind."""
    rows = load_flights().drop_nulls(("late",)).head(27_000)
    odds = (pl.col("departure_minute") - 900) / 400 + (pl.col("wind_speed").fill_null(0.0) - 12) / 20 - 1
    return rows.select(
        "at",
        score=1 / (1 + (-odds).exp()),
        prediction=(odds >= 0).cast(pl.Int64),
        label=pl.col("late").cast(pl.Int64),
        day=pl.col("at").dt.date(),
        recorded=pl.col("at").dt.date(),
        version=pl.lit(1, pl.Int64),
        role=pl.lit("champion"),
        sign=pl.lit(1, pl.Int8),
    )


def _by_leaving_out(data: str, task: str, rows: pl.DataFrame, measures: Mapping[str, Measure]) -> Iterator[Agreement]:
    """The standard error of each metric: ours from counts by day, theirs by measuring the rows without each day."""
    ours = spreads_of(counted(task, rows), measures, SIGNATURES[task], THRESHOLD)
    days = rows["day"].unique().sort().to_list()
    for name, measure in measures.items():
        whole = measure(rows)
        without = np.array([measure(rows.filter(pl.col("day") != day)) for day in days])
        theirs = np.sqrt((len(days) - 1) / len(days) * ((without - whole) ** 2).sum())
        spread = ours[name]
        far = abs(spread.error / theirs - 1) if spread is not None else np.inf
        yield Agreement(
            measure=f"{name}, error by days", rival="scikit-learn without each day", data=data, compared=1,
            largest=float(far), allowed=_STEPS.get(name, ROUNDING), relative=True,
            note="scores of one step count as ties" if name in _STEPS else "",
        )  # fmt: skip


def _sklearn_binary() -> Mapping[str, Measure]:
    from sklearn import metrics

    def of(rows: pl.DataFrame) -> tuple[npt.NDArray[np.int64], Floats]:
        return rows["label"].to_numpy(), rows["score"].to_numpy()

    return {
        "roc_auc": lambda rows: float(metrics.roc_auc_score(*of(rows))),
        "pr_auc": lambda rows: float(metrics.average_precision_score(*of(rows))),
        "log_loss": lambda rows: float(metrics.log_loss(*of(rows))),
        "brier": lambda rows: float(metrics.brier_score_loss(*of(rows))),
        "f1": lambda rows: float(metrics.f1_score(of(rows)[0], of(rows)[1] >= THRESHOLD)),
        "mcc": lambda rows: float(metrics.matthews_corrcoef(of(rows)[0], of(rows)[1] >= THRESHOLD)),
        "recall": lambda rows: float(metrics.recall_score(of(rows)[0], of(rows)[1] >= THRESHOLD)),
    }


def _sklearn_numbers() -> Mapping[str, Measure]:
    from sklearn import metrics

    return {
        "mae": lambda rows: float(metrics.mean_absolute_error(rows["label"], rows["prediction"])),
        "rmse": lambda rows: float(metrics.root_mean_squared_error(rows["label"], rows["prediction"])),
        "r2": lambda rows: float(metrics.r2_score(rows["label"], rows["prediction"])),
        "bias": lambda rows: float((rows["prediction"] - rows["label"]).to_numpy().mean()),
    }


def _equal_buckets(rows: pl.DataFrame) -> tuple[Floats, npt.NDArray[np.int64]]:
    return (rows["prediction"] - rows["label"]).to_numpy(), rows["day"].to_numpy()


def _clustered_mean(data: str, values: Floats, days: npt.NDArray[np.int64]) -> Agreement:
    """Of equal days the jackknife of a mean is the sandwich of a regression on a constant, with G / (G - 1)."""
    from statsmodels.api import OLS

    fitted = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": days})
    sums = np.bincount(days, weights=values)
    rows = np.bincount(days).astype(np.float64)
    found = jackknife(without_each(sums) / without_each(rows), rows)
    return Agreement(
        measure="mean, error by days", rival="statsmodels OLS, cluster-robust", data=data, compared=1,
        largest=float(abs((found.error if found else np.inf) / fitted.bse[0] - 1)), allowed=ROUNDING, relative=True,
    )  # fmt: skip
