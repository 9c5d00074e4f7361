"""Estimates without labels beside NannyML's, and the measures under them beside scikit-learn's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

from pilothouse.data.measures.calibrate import Flags, Way, calibrate
from pilothouse.data.measures.estimate import METRICS, Expected, Told, estimate_binary
from pilothouse.data.measures.outcomes import Floats
from tests.golden.agreement import Agreement
from tests.golden.estimate_rows import flights
from tests.planted.estimate_worlds import Scored, World, covariate

NANNYML = Path(__file__).resolve().parent / "data" / "nannyml_cbpe.json"
_PLANTED = 4
_THEIR_NAMES = {
    "roc_auc": "roc_auc", "average_precision": "pr_auc", "accuracy": "accuracy", "precision": "precision",
    "recall": "recall", "f1": "f1",
}  # fmt: skip
_ROUNDED = "NannyML rounds its counts to five digits, and breaks ties of the score by the order of rows"


def run() -> list[Agreement]:
    kept: dict[str, Any] = json.loads(NANNYML.read_text())
    planted = [(covariate(seed), kept["covariate"][seed]) for seed in range(_PLANTED)]
    return [
        *_beside_nannyml("flights", [(flights(), kept["flights"])], kept["nannyml"]),
        *_beside_nannyml("planted", planted, kept["nannyml"]),
        *_beside_sklearn("flights", flights()),
        *_beside_sklearn("planted", covariate(0)),
    ]


def _beside_nannyml(data: str, pairs: Sequence[tuple[World, dict[str, Any]]], version: str) -> Iterator[Agreement]:
    gaps: dict[str, list[float]] = {name: [] for name in _THEIR_NAMES}
    for world, theirs in pairs:
        way = Way.ISOTONIC if theirs["calibrated"] else Way.AS_IT_IS
        known = calibrate(world.reference.scores, world.reference.labels, way)
        for rows, told in zip(world.windows, theirs["windows"], strict=True):
            ours = _values(Told.by(known, rows.scores, rows.scores >= 0.5))
            for name, mine in _THEIR_NAMES.items():
                gaps[name].append(abs(ours[mine] - told[name][0]))
    for name, found in gaps.items():
        # Flights of one carrier at one hour have one score, and the order of such rows is no part of a model.
        loose = name in ("roc_auc", "average_precision")
        yield Agreement(
            measure=f"estimated {_THEIR_NAMES[name]}", rival=f"NannyML {version} CBPE, its calibration", data=data,
            compared=len(found), largest=max(found), allowed=1e-4 if loose else 1e-9, note=_ROUNDED if loose else "",
        )  # fmt: skip


def _beside_sklearn(data: str, world: World) -> Iterator[Agreement]:
    """Each row twice, once of each class, weighted by the chance of it: the same expectation, by scikit-learn."""
    known = calibrate(world.reference.scores, world.reference.labels)
    gaps: dict[str, list[float]] = {}
    for rows in world.windows:
        told = Told.by(known, rows.scores, rows.scores >= 0.5)
        ours, theirs = _values(told), _sklearn(rows, told)
        # How far chance alone lengthens a calibration error is in no library; a simulation says it in the unit tests.
        assert theirs.keys() == set(METRICS) - {"ece"}
        for name, value in theirs.items():
            gaps.setdefault(name, []).append(abs(ours[name] - value))
    for name, found in gaps.items():
        yield Agreement(
            measure=f"expected {name}", rival="scikit-learn, rows weighted by chance", data=data, compared=len(found),
            largest=max(found), allowed=1e-9,
        )  # fmt: skip


def _sklearn(rows: Scored, told: Told) -> dict[str, float]:
    labels: Flags = np.repeat([True, False], len(rows.scores))
    scores, said = np.tile(rows.scores, 2), np.tile(told.said, 2)
    weights: Floats = np.concatenate([told.chances, 1 - told.chances])
    weighted = partial(_weighted, weights=weights)
    auc = weighted(metrics.roc_auc_score, labels, scores)
    return {
        "roc_auc": auc,
        "gini": 2 * auc - 1,
        "pr_auc": weighted(metrics.average_precision_score, labels, scores),
        "log_loss": weighted(metrics.log_loss, labels, scores),
        "brier": weighted(metrics.brier_score_loss, labels, scores),
        "positive_rate": float(told.chances.mean()),
        "accuracy": weighted(metrics.accuracy_score, labels, said),
        "balanced_accuracy": weighted(metrics.balanced_accuracy_score, labels, said),
        "precision": weighted(metrics.precision_score, labels, said),
        "recall": weighted(metrics.recall_score, labels, said),
        "specificity": weighted(metrics.recall_score, ~labels, ~said),
        "f1": weighted(metrics.f1_score, labels, said),
        "mcc": weighted(metrics.matthews_corrcoef, labels, said),
    }


def _weighted(measure: Any, labels: Flags, given: Any, weights: Floats) -> float:
    return float(measure(labels, given, sample_weight=weights))


def _values(told: Told) -> dict[str, float]:
    return {name: each.value for name, each in estimate_binary(told).items() if isinstance(each, Expected)}
