"""Weak segments and fairness, in processor time, against a shallow tree of scikit-learn and fairlearn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from pilothouse.data.measures.outcomes import log_losses
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, labelled_rows
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

_UNIT = "CPU ms"
_GROUPED = "origin"
_DRAWS = 20


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """Over 28 days; every contender reads its rows from the log."""
    window = model.window("28d")
    acts: dict[str, Callable[[], object]] = {
        "weak": lambda: model.weak_segments(window),
        "tree": lambda: tree(model, window),
        "fair": lambda: model.fairness(_GROUPED, window, every="4w"),
        "fairlearn": lambda: fairlearn(model, window),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    return [
        Row(name="weak segments, all pairs of columns, 28 d: scikit-learn's regression tree of depth 2 on the loss",
            ours=found["weak"], rival=found["tree"], unit=_UNIT, size=size),
        Row(name=f"fairness by {_GROUPED} with bands, 28 d: fairlearn, {_DRAWS} bootstrap draws (ours 2,000)",
            ours=found["fair"], rival=found["fairlearn"], unit=_UNIT, size=size),
    ]  # fmt: skip


def tree(model: ModelHandle, window: Window) -> object:
    """Leaves of 1 % of the rows at least; no half held back, no test, no band: what one would write oneself."""
    from sklearn.tree import DecisionTreeRegressor

    told = _told(model, window)
    names = [f.name for f in model.signature.features]
    columns = [
        told[name] if told[name].dtype.is_numeric() else told[name].cast(pl.Categorical).to_physical() for name in names
    ]
    matrix = np.column_stack([column.cast(pl.Float64).fill_null(np.nan).to_numpy() for column in columns])
    loss = log_losses(told[SCORED].to_numpy(), told[TRUE].to_numpy() == 1)
    return DecisionTreeRegressor(max_depth=2, min_samples_leaf=0.01).fit(matrix, loss)


def fairlearn(model: ModelHandle, window: Window) -> object:
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score, precision_score

    told = _told(model, window)
    measured = {
        "selection_rate": metrics.selection_rate, "tpr": metrics.true_positive_rate,
        "fpr": metrics.false_positive_rate, "accuracy": accuracy_score,
        "precision": partial(precision_score, zero_division=0),
    }  # fmt: skip
    frame = metrics.MetricFrame(
        metrics=measured, y_true=told[TRUE].to_numpy(), y_pred=told[SAID].to_numpy(),
        sensitive_features=told[_GROUPED].to_numpy(), n_boot=_DRAWS, ci_quantiles=[0.025, 0.975], random_state=1,
    )  # fmt: skip
    return frame.difference_ci(), frame.ratio_ci()


def _told(model: ModelHandle, window: Window) -> pl.DataFrame:
    return labelled_rows(model, window).drop_nulls([SAID, SCORED, TRUE])
