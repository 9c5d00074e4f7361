"""Fairness beside fairlearn: the rates of each group, and the disparities, on flights and on planted groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pilothouse.data.demo.flights import load_flights
from pilothouse.data.measures.fairness import DISPARITIES, binary_counts, disparities, error_disparities, rates
from tests.golden.agreement import Agreement

Values = npt.NDArray[Any]
FLIGHTS = 20_000
ROUNDING = 1e-12
"""Our rates are one division of whole numbers, as fairlearn's; ratios and differences round once more."""


def run() -> list[Agreement]:
    return [a for name, make in _DATA.items() for a in _agreements(name, *make())]


def planted() -> tuple[Values, Values, Values]:
    """Groups of very different sizes that are selected at different rates: group, said, came."""
    rng = np.random.default_rng(3)
    group = rng.choice(["ä", "b", "<c>", "d"], 8000, p=[0.6, 0.3, 0.08, 0.02])
    share = np.select([group == "ä", group == "b", group == "<c>"], [0.5, 0.3, 0.7], 0.1)
    came = (rng.random(8000) < share).astype(float)
    return group, np.where(rng.random(8000) < 0.8, came, 1 - came), came


def flights() -> tuple[Values, Values, Values]:
    """Origin, a rule of thumb (late in the day, or a carrier that is often late), and whether the flight was late."""
    rows = load_flights().drop_nulls(["origin", "departure_minute", "late"]).tail(FLIGHTS)
    said = (rows["departure_minute"] > 900) | rows["carrier"].is_in(["EV", "FL"])
    return rows["origin"].to_numpy(), said.cast(float).to_numpy(), rows["late"].cast(float).to_numpy()


_DATA: dict[str, Callable[[], tuple[Values, Values, Values]]] = {"flights": flights, "planted": planted}


def _agreements(data: str, group: Values, said: Values, came: Values) -> list[Agreement]:
    from fairlearn import metrics as theirs
    from sklearn.metrics import accuracy_score, mean_absolute_error, precision_score

    names, codes = np.unique(group, return_inverse=True)
    counts = binary_counts(codes, len(names), said, came)
    ours = rates(counts, len(names))
    by_name = {
        "selection_rate": theirs.selection_rate,
        "tpr": theirs.true_positive_rate,
        "fpr": theirs.false_positive_rate,
        "accuracy": accuracy_score,
        "precision": precision_score,
    }
    frame = theirs.MetricFrame(metrics=by_name, y_true=came, y_pred=said, sensitive_features=group)
    found = [
        _agreement(name, "fairlearn MetricFrame", data, [g[name].value for g in ours], frame.by_group[name].loc[names])
        for name in by_name
    ]
    apart = disparities(counts, list(names))
    accuracy = theirs.MetricFrame(metrics=accuracy_score, y_true=came, y_pred=said, sensitive_features=group)
    for name in DISPARITIES:
        theirs_has = hasattr(theirs, name)
        rival = f"fairlearn {name}" if theirs_has else "fairlearn MetricFrame.difference"
        their = getattr(theirs, name)(came, said, sensitive_features=group) if theirs_has else accuracy.difference()
        found.append(_agreement(name, rival, data, [apart[name].value.value], [their]))
    errors = theirs.MetricFrame(metrics=mean_absolute_error, y_true=came, y_pred=said / 3, sensitive_features=group)
    gap = error_disparities(codes, list(names), said / 3 - came)["mae_difference"].value.value
    return [
        *found,
        _agreement("mae_difference", "fairlearn MetricFrame.difference", data, [gap], [errors.difference()]),
    ]


def _agreement(measure: str, rival: str, data: str, ours: list[float | None], their: Any) -> Agreement:
    gaps = np.abs(np.array(ours, float) - np.array(their, float))
    return Agreement(
        measure=measure, rival=rival, data=data, compared=len(gaps), largest=float(gaps.max()), allowed=ROUNDING
    )
