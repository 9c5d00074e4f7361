"""Every metric of a window in processor time: from counts and from rows, against scikit-learn metric by metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pilothouse.data.rollups.profile import LABEL, SCORE
from pilothouse.data.windows import Window
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

UNIT = "CPU ms"
_RIVAL = "scikit-learn, rows read from the log, bootstrap of PR AUC"
_TIMES = 200


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """All metrics with their bands over 28 days; the rival has its threshold metrics without bands."""
    window = model.window("28d")
    acts: dict[str, Callable[[], object]] = {
        "counts": lambda: model.metrics(window),
        "rows": lambda: model.metrics(window, exact=True),
        "rival": lambda: sklearn_metrics(model, window),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    return [
        Row(
            name=f"all metrics of 28 d, from {how}: {_RIVAL}", ours=found[how], rival=found["rival"], unit=UNIT, size=size
        )
        for how in ("counts", "rows")
    ]  # fmt: skip


def sklearn_metrics(model: ModelHandle, window: Window) -> list[float]:
    """What one would write oneself."""
    from sklearn import metrics

    held = model.prediction_log.labelled(window, columns=(SCORE,)).drop_nulls((SCORE, LABEL))
    scores, came = held[SCORE].to_numpy(), (held[LABEL] == model.signature.target.positive).to_numpy()
    said, rng = scores >= 0.5, np.random.default_rng(1)
    sampled = [
        metrics.average_precision_score(came, scores, sample_weight=rng.poisson(1.0, len(scores)))
        for _ in range(_TIMES)
    ]
    return [
        metrics.roc_auc_score(came, scores),
        metrics.average_precision_score(came, scores),
        metrics.log_loss(came, scores),
        metrics.brier_score_loss(came, scores),
        metrics.accuracy_score(came, said),
        metrics.balanced_accuracy_score(came, said),
        metrics.precision_score(came, said),
        metrics.recall_score(came, said),
        metrics.f1_score(came, said),
        metrics.matthews_corrcoef(came, said),
        *np.percentile(sampled, [2.5, 97.5]),
    ]
