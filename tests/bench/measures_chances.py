"""What the probabilities of several classes are worth, in processor time: every metric with its band, against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pilothouse.data.history.exact import exact_performance
from pilothouse.data.rollups.outcomes import count_outcomes, realized
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row
from tests.golden.chances import theirs
from tests.planted.classes import WEIGHTS, contributions_of, honest_classes

_UNIT = "CPU ms"
_RIVAL = "scikit-learn without bands, rows in memory"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """As many planted rows of four classes as the model's 28 days have labels: the demo has no model of several classes."""
    window = model.window("28d")
    labelled = model.history.performance(window).labelled
    chances, true = honest_classes(WEIGHTS, labelled, seed=1)
    contributions, signature = contributions_of(chances, true)
    counts = count_outcomes(contributions, signature, "UTC", None)
    acts: dict[str, Callable[[], object]] = {
        "exact": lambda: exact_performance(contributions, signature),
        "counted": lambda: realized(counts, signature),
        "rival": lambda: of_sklearn(chances, true),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    what = f"metrics of four classes, {labelled:,} rows"
    return [
        Row(name=f"{what}, from counts: {_RIVAL}", ours=found["counted"], rival=found["rival"], unit=_UNIT, size=size),
        Row(name=f"{what}, exact: {_RIVAL}", ours=found["exact"], rival=found["rival"], unit=_UNIT, size=size),
    ]


def of_sklearn(chances: NDArray[np.float64], true: NDArray[np.int64]) -> None:
    """What ours gives too: the metrics of the class that is said, and those of the probabilities."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    said = chances.argmax(axis=1)
    accuracy_score(true, said)
    precision_recall_fscore_support(true, said, average="macro", zero_division=0)
    theirs(chances, true)
