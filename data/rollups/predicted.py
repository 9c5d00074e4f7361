"""How right predictions without a score are: the figures of a reference, as the roll-ups would have them."""

from __future__ import annotations

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.outcomes import Sums
from pilothouse.data.measures.tasks import Confusion, Errors, measure_classes, measure_errors
from pilothouse.data.rollups.bins import measurable, numbers
from pilothouse.data.rollups.chances import class_of
from pilothouse.data.signature import Signature, Task


def predicted_performance(said: pl.Series, came: pl.Series, signature: Signature) -> dict[str, Metric]:
    """The metrics of a regression, or of several classes but for those that want the probability of each.

    said, came : predictions and labels of the same rows; rows without a label are left out.
    """
    rows = pl.DataFrame({"said": said, "came": came}).drop_nulls("came")
    if signature.task is Task.REGRESSION:
        return measure_errors(_errors(rows))
    return measure_classes(_confusion(rows, signature))


def _errors(rows: pl.DataFrame) -> Errors:
    there = rows.filter(measurable("said"), measurable("came"))
    came = numbers(there["came"])
    errors = numbers(there["said"]) - came
    return Errors(error=Sums.of(errors), absolute=Sums.of(np.abs(errors)), target=Sums.of(came), labelled=rows.height)


def _confusion(rows: pl.DataFrame, signature: Signature) -> Confusion:
    classes = len(signature.target.classes)
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    answered = rows.drop_nulls("said")
    true, predicted = (class_of(answered[name], signature).to_numpy() for name in ("came", "said"))
    np.add.at(counts, (true, predicted), 1)
    return Confusion(counts=counts, labelled=rows.height)
