"""Realized performance against scikit-learn, metric by metric: from every row, and from the steps of the roll-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.demo.flights import load_flights
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.binary import measure_binary
from pilothouse.data.measures.classes import class_rows, measure_crossing
from pilothouse.data.measures.errors import QUANTILES, measure_rows
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.rollups.outcomes import outcomes_of
from tests.golden.agreement import Agreement

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ROUNDING = 1e-9
_NUMBERS = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "distance")
_COUNTED = {"roc_auc": 1e-3, "gini": 2e-3, "pr_auc": 2e-3, "ks": 2e-3, "ece": 5e-4}
"""What follows from the order of the scores is not exact in steps of it: what docs/performance.md allows."""


def run() -> list[Agreement]:
    found: list[Agreement] = []
    for data, scores, positive, threshold in _binary_worlds():
        found += _binary(data, scores, positive, threshold)
    for data, said, came in _class_worlds():
        found += _classes(data, said, came)
    for data, predicted, labels in _number_worlds():
        found += _numbers(data, predicted, labels)
    return found


def _binary_worlds() -> Iterator[tuple[str, Floats, Flags, float]]:
    rng = np.random.default_rng(5)
    for name, centre, rows in (("common positives", -0.5, 20_000), ("rare positives", -5.0, 100_000)):
        scores = 1 / (1 + np.exp(-rng.normal(centre, 1.4, rows)))
        yield name, scores, rng.random(rows) < scores, 0.5 if centre > -1 else 0.031
    flights, late = _flights()
    yield "flights", _fitted(flights, late), late, 0.25


def _flights() -> tuple[Floats, Flags]:
    rows = load_flights().drop_nulls(("late",)).head(60_000)
    known = [name for name in _NUMBERS if name in rows.columns]
    values = rows.select(pl.col(known).cast(pl.Float64).fill_null(strategy="mean").fill_null(0.0)).to_numpy()
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0), rows["late"].to_numpy() == 1


def _fitted(values: Floats, late: Flags) -> Floats:
    from sklearn.linear_model import LogisticRegression

    scores: Floats = LogisticRegression(max_iter=200).fit(values, late).predict_proba(values)[:, 1]
    return scores


def _class_worlds() -> Iterator[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    rng = np.random.default_rng(7)
    came = rng.choice(5, 8000, p=[0.5, 0.25, 0.15, 0.08, 0.02])
    yield "planted", np.where(rng.random(8000) < 0.7, came, rng.integers(0, 5, 8000)), came
    rows = load_flights().head(60_000)
    origins = rows["origin"].cast(pl.Categorical).to_physical().cast(pl.Int64).to_numpy()
    places = np.unique(origins, return_inverse=True)[1]
    by_carrier = (
        rows.with_columns(place=places).group_by("carrier").agg(pl.col("place").mode().sort().first().alias("said"))
    )
    yield "flights", rows.join(by_carrier, on="carrier", how="left", maintain_order="left")["said"].to_numpy(), places


def _number_worlds() -> Iterator[tuple[str, Floats, Floats]]:
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(9)
    said = rng.gamma(4, 10, 9000)
    yield "planted", said, said + 4 * rng.standard_t(3, 9000)
    values, _ = _flights()
    predicted: Floats = LinearRegression().fit(values[:, 1:], values[:, 0]).predict(values[:, 1:])
    # Away from 0, which no error can be a share of.
    yield "flights", predicted + 10, values[:, 0] + 10


def _binary(data: str, scores: Floats, positive: Flags, threshold: float) -> Iterator[Agreement]:
    outcomes, exact = outcomes_of(scores, positive), Ranked.of_scores(scores, positive)
    found = measure_binary(outcomes, exact, threshold, times=0)
    yield from _each(data, "", found, _sklearn_binary(scores, positive, threshold), lambda _: ROUNDING)
    counted = exact.coarse
    # What stands on a threshold is exact at the nearest edge of a step, which lies within 0.4 % of the odds.
    theirs = _sklearn_binary(scores, positive, counted.nearest(threshold))
    found = measure_binary(outcomes, counted, threshold, times=0)
    yield from _each(data, " from roll-ups", found, theirs, lambda name: _COUNTED.get(name, ROUNDING), _WHY)
    yield Agreement(
        measure="roc_auc from roll-ups", rival="within the slack that a report states", data=data, compared=1,
        largest=abs((found["roc_auc"].value or 0.0) - theirs["roc_auc"]), allowed=counted.tied,
        note="rows of one step count as ties; the slack is what that can change at most",
    )  # fmt: skip


_WHY = "rows of one step of the score count as ties, and a threshold stands at the nearest edge of a step"


def _sklearn_binary(scores: Floats, positive: Flags, threshold: float) -> dict[str, float]:
    from scipy.stats import ks_2samp
    from sklearn import metrics
    from sklearn.calibration import calibration_curve

    said = scores >= threshold
    share, mean = calibration_curve(positive, scores, n_bins=10, strategy="quantile")
    return {
        "roc_auc": metrics.roc_auc_score(positive, scores),
        "pr_auc": metrics.average_precision_score(positive, scores),
        "log_loss": metrics.log_loss(positive, scores),
        "brier": metrics.brier_score_loss(positive, scores),
        "ece": float(np.abs(share - mean).mean()),
        "accuracy": metrics.accuracy_score(positive, said),
        "precision": metrics.precision_score(positive, said),
        "recall": metrics.recall_score(positive, said),
        "specificity": metrics.recall_score(~positive, ~said),
        "f1": metrics.f1_score(positive, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(positive, said),
        "mcc": metrics.matthews_corrcoef(positive, said),
        "flagged": float(said.mean()),
        "gini": 2 * metrics.roc_auc_score(positive, scores) - 1,
        "ks": float(ks_2samp(scores[positive], scores[~positive], method="asymp").statistic),
        "positive_rate": float(positive.mean()),
        "mean_score": float(scores.mean()),
    }


def _classes(data: str, said: npt.NDArray[np.int64], came: npt.NDArray[np.int64]) -> Iterator[Agreement]:
    from sklearn import metrics

    size = int(max(said.max(), came.max())) + 1
    counts = np.zeros((size + 1, size + 1), np.int64)
    np.add.at(counts, (came, said), 1)
    theirs = {
        "accuracy": metrics.accuracy_score(came, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(came, said),
        "kappa": metrics.cohen_kappa_score(came, said),
        "mcc": metrics.matthews_corrcoef(came, said),
    }
    for kind in ("macro", "weighted"):
        three = metrics.precision_recall_fscore_support(came, said, average=kind, zero_division=0)[:3]
        theirs |= {f"{kind}_{name}": value for name, value in zip(("precision", "recall", "f1"), three, strict=True)}
    yield from _each(data, "", measure_crossing(counts, 0), theirs, lambda _: ROUNDING)
    by_class = np.array(metrics.precision_recall_fscore_support(came, said, zero_division=0))
    rows = class_rows(counts, [str(n) for n in range(size)])
    ours = np.array([[r.precision.value or 0, r.recall.value or 0, r.f1.value or 0, r.support] for r in rows]).T
    yield Agreement(
        measure="precision, recall, F1, support by class", rival="scikit-learn", data=data, compared=ours.size,
        largest=float(np.abs(ours - by_class).max()), allowed=ROUNDING,
    )  # fmt: skip


def _numbers(data: str, said: Floats, came: Floats) -> Iterator[Agreement]:
    from sklearn import metrics

    errors = said - came
    theirs = {
        "mae": metrics.mean_absolute_error(came, said),
        "rmse": metrics.root_mean_squared_error(came, said),
        "r2": metrics.r2_score(came, said),
        "mape": metrics.mean_absolute_percentage_error(came, said),
        "median_ae": metrics.median_absolute_error(came, said),
        "bias": float(errors.mean()),
        "smape": float((2 * np.abs(errors) / (np.abs(said) + np.abs(came))).mean()),
        **{name: float(np.quantile(errors, share)) for name, share in QUANTILES.items()},
    }
    yield from _each(data, "", measure_rows(said, came, len(said), 0), theirs, lambda _: ROUNDING)


def _each(
    data: str,
    how: str,
    found: Mapping[str, Metric],
    theirs: Mapping[str, float],
    allowed: Callable[[str], float],
    note: str = "",
) -> Iterator[Agreement]:
    for name, theirs_value in theirs.items():
        value = found[name].value
        far = abs(value - theirs_value) / max(1.0, abs(theirs_value)) if value is not None else float("inf")
        yield Agreement(
            measure=f"{name}{how}", rival="scikit-learn, NumPy, SciPy", data=data, compared=1, largest=far,
            allowed=allowed(name), note=note,
        )  # fmt: skip
