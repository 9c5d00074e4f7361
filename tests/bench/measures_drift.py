"""Every measure of drift, thresholds and all features together, in processor time, against SciPy and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from pilothouse.data.measures.multivariate import MOST_ROWS, SEED, coded, tell_apart
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row
from tests.bench.worlds import reference_rows

_UNIT = "CPU ms"
_SCIPY = "SciPy's functions, rows read from the log"
_SKLEARN = "scikit-learn's cross_validate and permutation_importance"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """Over 28 days. The question as the product answers it, from counts; the rival reads the rows it needs."""
    window = model.window("28d")
    reference = reference_rows(model)
    known, seen = _samples(model, reference)
    acts: dict[str, Callable[[], object]] = {
        "measures": lambda: model.history.drift(window),
        "scipy": lambda: _scipy(model, reference),
        "together": lambda: tell_apart(known, seen),
        "sklearn": lambda: _sklearn(known, seen),
        "thresholds": lambda: model.calibrate_drift(),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    model.calibrate_drift(clear=True)
    width = len(model.signature.features)
    return [
        Row(name=f"every measure of {width} features, 28 d: {_SCIPY}", ours=found["measures"], rival=found["scipy"],
            goal=3.0, unit=_UNIT, size=size),
        Row(name=f"all features together, {known.height:,} + {seen.height:,} rows: {_SKLEARN}", ours=found["together"],
            rival=found["sklearn"], unit=_UNIT, size=size),
        Row(name=f"thresholds of {width} features, calibrated", ours=found["thresholds"], unit=_UNIT, size=size),
    ]  # fmt: skip


def _current(model: ModelHandle) -> pl.DataFrame:
    columns = [f.column for f in model.signature.features]
    return model.prediction_log.predictions(model.window("28d"), columns=columns)


def _samples(model: ModelHandle, reference: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    current = _current(model)
    known, seen = (f.sample(min(MOST_ROWS, f.height), seed=SEED) for f in (reference.select(current.columns), current))
    return known, seen


def _scipy(model: ModelHandle, reference: pl.DataFrame) -> list[float]:
    """The same measures as one would write them: over values of a category, over tenths of a number."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance
    from scipy.stats.contingency import association

    current, found = _current(model), []
    for feature in model.signature.features:
        known, seen = (frame[feature.column].drop_nulls() for frame in (reference, current))
        if feature.numeric:
            values = known.to_numpy(), seen.to_numpy()
            found += [ks_2samp(*values, method="asymp").statistic, wasserstein_distance(*values)]
            edges = np.unique(np.quantile(values[0], np.arange(1, 10) / 10))
            table = np.array([np.bincount(np.searchsorted(edges, v), minlength=len(edges) + 1) for v in values])
        else:
            names = pl.concat([known, seen]).unique()
            table = np.array([[int((c == name).sum()) for name in names] for c in (known, seen)])
        table = table[:, table.sum(axis=0) > 0]
        shares = table / table.sum(axis=1, keepdims=True)
        found += [
            chi2_contingency(table, correction=False).statistic,
            chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic,
            association(table),
            jensenshannon(*shares),
            np.abs(shares[0] - shares[1]).sum() / 2,
        ]
    return found


def _sklearn(known: pl.DataFrame, seen: pl.DataFrame) -> float:
    """The same trees over the same folds, with the library's own loops."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from threadpoolctl import threadpool_limits

    values, categories = coded(known, seen)
    came = np.repeat([0, 1], [known.height, seen.height])
    trees = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, early_stopping=False, categorical_features=categories, random_state=SEED
    )
    folds = list(StratifiedKFold(5, shuffle=True, random_state=SEED).split(values, came))
    # One thread for both: what is compared is the work, not how threads wait for each other.
    with threadpool_limits(1):
        judged = cross_validate(trees, values, came, cv=folds, scoring="roc_auc", return_estimator=True)
        for fitted, (_, held) in zip(judged["estimator"], folds, strict=True):
            permutation_importance(fitted, values[held], came[held], scoring="roc_auc", n_repeats=1, random_state=SEED)
    return float(judged["test_score"].mean())
