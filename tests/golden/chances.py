"""Metrics of the probability of each class, from counts and exactly, against scikit-learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, top_k_accuracy_score

from pilothouse.data.history.exact import exact_performance
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.chances import tops
from pilothouse.data.rollups.outcomes import count_outcomes, realized
from tests.golden.agreement import Agreement
from tests.planted.classes import contributions_of, honest_classes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ROUNDING, STEPS = 1e-12, 1e-3
_BINS = 15


def run() -> list[Agreement]:
    """On flights by the airport they leave from, and on planted classes: three, ten and a rare one among four."""
    found = compared("flights", *flights())
    for name, weights in (("three", [1.0] * 3), ("ten", [0.5] * 10), ("rare", [3.0, 2.0, 1.0, 0.02])):
        found += compared(name, *honest_classes(np.array(weights), 4_000, seed=11))
    return found


def flights() -> tuple[Floats, Ints]:
    """A linear model of which of the three airports a flight leaves from, judged on flights it was not fitted on."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from pilothouse.data.demo.flights import load_flights

    week = load_flights()[:6_000]
    true = week["origin"].replace_strict({"EWR": 0, "JFK": 1, "LGA": 2}, return_dtype=pl.Int64).to_numpy()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "weekday"]),
        (StandardScaler(), ["distance", "departure_minute"]),
    )
    rows = week.select("carrier", "weekday", "distance", "departure_minute").to_pandas()
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(rows[:3_000], true[:3_000])
    return model.predict_proba(rows[3_000:]), true[3_000:]


def compared(data: str, chances: Floats, true: Ints) -> list[Agreement]:
    rivals = theirs(chances, true)
    counted, exact = ours(chances, true)
    found = []
    for name, (rival, value) in rivals.items():
        stepped = "roc_auc" in name
        found += [
            _agreement(f"{name}, from roll-ups", rival, data, counted[name], value, STEPS if stepped else ROUNDING),
            _agreement(f"{name}, exact", rival, data, exact[name], value, ROUNDING),
        ]
    return found


def ours(chances: Floats, true: Ints) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """From counts, and from the rows."""
    rows, signature = contributions_of(chances, true)
    return realized(count_outcomes(rows, signature, "UTC", None), signature), exact_performance(rows, signature)


def theirs(chances: Floats, true: Ints) -> dict[str, tuple[str, float]]:
    """Who says it, and what."""
    classes = chances.shape[1]
    places = np.arange(classes)
    aucs = {
        f"{average}_roc_auc": roc_auc_score(true, chances, multi_class="ovr", average=average, labels=places)
        for average in ("macro", "weighted")
    }
    within = {f"top_{k}": top_k_accuracy_score(true, chances, k=k, labels=places) for k in tops(classes)}
    found = {
        "log_loss": log_loss(true, chances, labels=places),
        "brier": brier_score_loss(true, chances, labels=places),
        **within,
        **aucs,
    }
    return {name: ("scikit-learn", float(value)) for name, value in found.items()} | {
        "ece": ("NumPy, row by row", _ece(chances, true))
    }


def _ece(chances: Floats, true: Ints) -> float:
    """Guo et al. (2017), equation 3, bin by bin."""
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == true
    found = 0.0
    for place in range(_BINS):
        low, high = place / _BINS, (place + 1) / _BINS
        inside = (sure >= low) & ((sure < high) | (place == _BINS - 1))
        if inside.any():
            found += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return float(found)


def _agreement(measure: str, rival: str, data: str, metric: Metric, value: float, allowed: float) -> Agreement:
    assert metric.value is not None, (measure, metric.reason)
    return Agreement(
        measure=measure, rival=rival, data=data, compared=1, largest=abs(metric.value - value), allowed=allowed
    )
