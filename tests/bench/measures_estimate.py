"""Performance without labels, in processor time: every metric with its band, against a bootstrap of scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from pilothouse.data.measures.calibrate import Calibration, calibrate
from pilothouse.data.measures.estimate import METRICS, Told, estimate_binary
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.rollups.bins import numbers
from pilothouse.ops.measuring.frames import SCORED, TRUE, judged_version, reference_rows
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

DRAWS = 20
_UNIT = "CPU ms"
_RIVAL = f"scikit-learn's ROC AUC alone, {DRAWS} draws of the labels"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """Over 28 days, the scores in memory for both; and the whole question, with the scoreboard of half a year."""
    reference = reference_rows(model, judged_version(model, None)).filter(pl.col(SCORED).is_finite())
    labels = (reference[TRUE] == model.signature.target.positive).fill_null(False).to_numpy()
    known = calibrate(numbers(reference[SCORED]), labels)
    scores = numbers(model.prediction_log.predictions(model.window("28d"), columns=["score"])["score"])
    scores = scores[np.isfinite(scores)]
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: estimate_binary(Told.by(known, scores, scores >= 0.5)),
        "rival": lambda: drawn(known, scores),
        "whole": lambda: model.estimate("28d"),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    what = f"{len(METRICS)} estimated metrics with bands, {len(scores):,} scores"
    return [
        Row(name=f"{what}: {_RIVAL}", ours=found["ours"], rival=found["rival"], goal=3.0, unit=_UNIT, size=size),
        Row(name="estimate over 28 d, judged by half a year", ours=found["whole"], unit=_UNIT, size=size),
    ]


def drawn(known: Calibration, scores: Floats) -> tuple[float, float]:
    """Mean and spread over labels drawn by their chances, as one would write it oneself."""
    from sklearn.metrics import roc_auc_score

    chances, rng = known.chances_of(scores), np.random.default_rng(0)
    found = [roc_auc_score(rng.random(len(scores)) < chances, scores) for _ in range(DRAWS)]
    return float(np.mean(found)), float(np.std(found))
