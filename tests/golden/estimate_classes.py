"""Estimates of several classes without labels beside NannyML's, and the measures under them beside scikit-learn's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

from pilothouse.data.measures.calibrate import Way
from pilothouse.data.measures.calibrate_classes import calibrate_classes
from pilothouse.data.measures.chances import tops
from pilothouse.data.measures.estimate import Expected
from pilothouse.data.measures.estimate_classes import ToldClasses, estimate_classes, metric_names
from pilothouse.data.measures.outcomes import Floats, Ints
from tests.golden import chances
from tests.golden.agreement import Agreement
from tests.planted.estimate_class_worlds import ClassRows, ClassWorld, covariate

NANNYML = Path(__file__).resolve().parent / "data" / "nannyml_cbpe_classes.json"
_PLANTED = 4
_THEIR_NAMES = {
    "roc_auc": "macro_roc_auc", "accuracy": "accuracy", "precision": "macro_precision", "recall": "macro_recall",
    "f1": "macro_f1",
}  # fmt: skip
_ROUNDED = "NannyML rounds its counts to five digits"


def run() -> list[Agreement]:
    kept: dict[str, Any] = json.loads(NANNYML.read_text())
    known = [(covariate(seed), kept["covariate"][seed]) for seed in range(_PLANTED)]
    return [
        *_beside_nannyml(known, kept["nannyml"]),
        *_beside_sklearn("planted", covariate(0)),
        *_beside_sklearn("flights", flights()),
        *_realized_beside_sklearn("planted", covariate(1).windows[0]),
        *_realized_beside_sklearn("flights", flights().windows[0]),
    ]


def flights() -> ClassWorld:
    """From which of three airports a flight leaves: half of the judged flights as the reference, the rest as a window."""
    scores, labels = chances.flights()
    half = len(labels) // 2
    parts = (slice(half), slice(half, None))
    reference, window = (ClassRows(scores=scores[part], labels=labels[part]) for part in parts)
    return ClassWorld(reference=reference, windows=(window,))


def _beside_nannyml(pairs: Sequence[tuple[ClassWorld, dict[str, Any]]], version: str) -> Iterator[Agreement]:
    gaps: dict[str, list[float]] = {name: [] for name in _THEIR_NAMES}
    for world, theirs in pairs:
        assert all(theirs["calibrated"])
        known = calibrate_classes(world.reference.scores, world.reference.labels, Way.ISOTONIC)
        for rows, told in zip(world.windows, theirs["windows"], strict=True):
            ours = _values(ToldClasses.by(known, rows.scores, rows.scores.argmax(axis=1)))
            for name, mine in _THEIR_NAMES.items():
                gaps[name].append(abs(ours[mine] - told[name][0]))
    for name, found in gaps.items():
        yield Agreement(
            measure=f"estimated {_THEIR_NAMES[name]}", rival=f"NannyML {version} CBPE, its calibration", data="planted",
            compared=len(found), largest=max(found), allowed=1e-6 if name == "roc_auc" else 1e-9,
            note=_ROUNDED if name == "roc_auc" else "",
        )  # fmt: skip


def _beside_sklearn(data: str, world: ClassWorld) -> Iterator[Agreement]:
    """Each row once of every class, weighted by the chance of it: the same expectation, by scikit-learn."""
    known = calibrate_classes(world.reference.scores, world.reference.labels)
    gaps: dict[str, list[float]] = {}
    for rows in world.windows:
        classes, said = rows.scores.shape[1], rows.scores.argmax(axis=1)
        told = ToldClasses.by(known, rows.scores, said)
        ours, labels = _values(told), np.repeat(np.arange(classes), len(said))
        theirs = _sklearn(labels, np.tile(rows.scores, (classes, 1)), np.tile(said, classes), told.chances.T.ravel())
        # How far chance alone lengthens a calibration error is in no library; a simulation says it in the unit tests.
        assert theirs.keys() == set(metric_names(classes)) - {"ece"}
        for name, value in theirs.items():
            gaps.setdefault(name, []).append(abs(ours[name] - value))
    yield from _agreements("expected", "scikit-learn, rows weighted by chance", data, gaps)


def _realized_beside_sklearn(data: str, rows: ClassRows) -> Iterator[Agreement]:
    said = rows.scores.argmax(axis=1)
    ours = _values(ToldClasses.realized(rows.scores, said, rows.labels))
    theirs = _sklearn(rows.labels, rows.scores, said, np.ones(len(said)))
    yield from _agreements(
        "realized", "scikit-learn", data, {name: [abs(ours[name] - value)] for name, value in theirs.items()}
    )


def _agreements(which: str, rival: str, data: str, gaps: dict[str, list[float]]) -> Iterator[Agreement]:
    for name, found in gaps.items():
        yield Agreement(
            measure=f"{which} {name}", rival=rival, data=data, compared=len(found), largest=max(found), allowed=1e-9
        )


def _sklearn(labels: Ints, scores: Floats, said: Ints, weights: Floats) -> dict[str, float]:
    places = np.arange(scores.shape[1])
    weighted = partial(_weighted, true=labels, weights=weights)
    averages = {
        f"{average}_{name}": weighted(measure, said, average=average, zero_division=0, labels=places)
        for average in ("macro", "weighted")
        for name, measure in (
            ("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)
        )
    }  # fmt: skip
    ordered = {
        f"{average}_roc_auc": weighted(metrics.roc_auc_score, scores, average=average, multi_class="ovr", labels=places)
        for average in ("macro", "weighted")
    }
    within = {
        f"top_{k}": weighted(metrics.top_k_accuracy_score, scores, k=k, labels=places) for k in tops(scores.shape[1])
    }
    return averages | ordered | within | {
        "accuracy": weighted(metrics.accuracy_score, said),
        "balanced_accuracy": weighted(metrics.balanced_accuracy_score, said),
        "kappa": float(metrics.cohen_kappa_score(labels, said, sample_weight=weights)),
        "mcc": weighted(metrics.matthews_corrcoef, said),
        "log_loss": weighted(metrics.log_loss, scores, labels=places),
        "brier": weighted(metrics.brier_score_loss, scores, labels=places),
    }  # fmt: skip


def _weighted(measure: Any, given: Any, *, true: Ints, weights: Floats, **more: Any) -> float:
    return float(measure(true, given, sample_weight=weights, **more))


def _values(told: ToldClasses) -> dict[str, float]:
    return {name: each.value for name, each in estimate_classes(told).items() if isinstance(each, Expected)}
