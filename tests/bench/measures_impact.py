"""What drift costs, in processor time: each feature's effect with its band, against scikit-learn and a bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.history.results import Metric
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.impact import Shift, measure_effects
from pilothouse.data.measures.reweighting import WeightedAuc, support
from pilothouse.data.rollups.bins import numbers
from pilothouse.data.rollups.profile import STORED
from pilothouse.ops.measuring.frames import SCORED, TRUE, judged_version, reference_rows
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

Floats = NDArray[np.float64]
RESAMPLES = 20
_UNIT = "CPU ms"
_RIVAL = f"scikit-learn's weighted ROC AUC, {RESAMPLES} resamples a feature"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """Effects over 28 days, the rows in memory for both; and the whole question, with scoring and counting."""
    reference, shifts = _material(model)
    scores, positive = numbers(reference[SCORED]), (reference[TRUE] == model.signature.target.positive).to_numpy()
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: measure_effects(
            "roc_auc", WeightedAuc(scores, positive), shifts, len(scores), Metric(value=None, reason="not asked")
        ),
        "rival": lambda: bootstrap(scores, positive, shifts),
        "whole": lambda: model.impact("28d", "roc_auc"),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    what = f"effect of {len(shifts)} features on ROC AUC with bands, {len(scores):,} reference rows"
    return [
        Row(name=f"{what}: {_RIVAL}", ours=found["ours"], rival=found["rival"], goal=3.0, unit=_UNIT, size=size),
        Row(name="impact over 28 d, reference scored before", ours=found["whole"], unit=_UNIT, size=size),
    ]


def bootstrap(scores: Floats, positive: NDArray[np.bool_], shifts: Sequence[Shift]) -> list[float]:
    """The width of each effect's band, as one would write it oneself."""
    return [float(np.std([_once(scores, positive, shift, seed) for seed in range(RESAMPLES)])) for shift in shifts]


def _once(scores: Floats, positive: NDArray[np.bool_], shift: Shift, seed: int) -> float:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(scores), len(scores))
    current = rng.multinomial(int(shift.current.sum()), shift.current / shift.current.sum())
    codes = shift.codes[drawn]
    known = support(np.bincount(codes, minlength=len(current)), current, shift.ordered)
    return float(roc_auc_score(positive[drawn], scores[drawn], sample_weight=known.ratios[codes]))


def _material(model: ModelHandle) -> tuple[pl.DataFrame, list[Shift]]:
    reference = reference_rows(model, judged_version(model, None)).drop_nulls([SCORED, TRUE])
    features = {f.name: model.profile.features[f.column.removeprefix(STORED)] for f in model.signature.features}
    columns = [f.column for f in model.signature.features]
    window = model.prediction_log.predictions(model.window("28d"), columns=(*columns, "status"))
    answered = window.filter(pl.col("status") == Status.OK).rename({f.column: f.name for f in model.signature.features})
    shifts = [
        Shift.of(name, profile, reference[name], np.bincount(profile.bins.codes(answered[name]), minlength=profile.bins.slots))
        for name, profile in features.items()
    ]  # fmt: skip
    return reference, shifts
