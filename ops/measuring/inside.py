"""A version's pipeline taken apart: its last estimator, and which columns of that stand for which feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.errors import CannotExplain
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.signature import Signature
from pilothouse.ops.scoring import SklearnScorer, fitted_names, model_frame

Make = Callable[[pl.DataFrame], Floats]
_ORDERS = 3
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside:
    """make : from rows to the columns that `estimator` takes. owners : int64, shape (columns,): the feature of each."""

    estimator: Any
    make: Make
    owners: Ints

    def by_feature(self, values: Floats, features: int) -> Floats:
        """Contributions of columns, shape (rows, columns, ...), summed up to those of features."""
        found = np.zeros((features, *np.moveaxis(values, 1, 0).shape[1:]))
        np.add.at(found, self.owners, np.moveaxis(values, 1, 0))
        return np.moveaxis(found, 0, 1)


def take_apart(scorer: SklearnScorer, signature: Signature, rows: pl.DataFrame) -> Inside:
    """The inside of a scorer, for `rows` and mixtures of them. Raises CannotExplain where a column is made of several
    features, or is no number."""
    estimator, make = _parts(scorer.model, signature)
    return Inside(estimator=estimator, make=make, owners=_owners(make, rows.select(signature.names)))


def _parts(model: Any, signature: Signature) -> tuple[Any, Make]:
    from sklearn.pipeline import Pipeline

    from pilothouse.ops.runtimes.native import LightGBMFile, XGBoostFile

    named = fitted_names(model) is not None

    def given(rows: pl.DataFrame) -> Any:
        frame = model_frame(signature, rows)
        return frame if named else frame.to_numpy()

    if isinstance(model, Pipeline) and len(model) > 1:
        return model[-1], lambda rows: _numbers(_carried(model, given(rows)))
    if isinstance(model, XGBoostFile | LightGBMFile):
        model = model.fitted if isinstance(model, XGBoostFile) else model.booster
    estimator = model[-1] if isinstance(model, Pipeline) else model
    return estimator, lambda rows: _numbers(given(rows))


def _carried(pipeline: Any, rows: Any) -> Any:
    """`rows` as they come to the last step. One step at a time: a slice of a pipeline warns that it was never fitted."""
    for _, step in pipeline.steps[:-1]:
        rows = rows if step in (None, "passthrough") else step.transform(rows)
    return rows


def _numbers(made: Any) -> Floats:
    dense = made.toarray() if hasattr(made, "toarray") else made
    try:
        return np.asarray(dense, dtype=np.float64)
    except (TypeError, ValueError):
        raise CannotExplain("its last estimator takes columns that are no numbers") from None


def _owners(make: Make, rows: pl.DataFrame) -> Ints:
    """The feature that each column is made of, found by dealing out one feature after the other, and then proven: a row
    mixed of two must have the columns of both, each from the row that its feature came from."""
    rng, plain = np.random.default_rng(_SEED), make(rows)
    owners = np.full(plain.shape[1], -1, dtype=np.int64)
    for place, name in enumerate(rows.columns):
        touched = np.zeros(len(owners), dtype=bool)
        for _ in range(_ORDERS):
            order = rng.permutation(rows.height)
            touched |= _differ(make(rows.with_columns(rows[name].gather(order))), plain).any(axis=0)
        if (owners[touched] >= 0).any():
            raise _several()
        owners[touched] = place
    for _ in range(_ORDERS):
        _prove(make, rows, plain, owners, rng)
    # A column that nothing changes contributes nothing, whoever it is given to.
    return np.maximum(owners, 0)


def _prove(make: Make, rows: pl.DataFrame, plain: Floats, owners: Ints, rng: np.random.Generator) -> None:
    height, own = rows.height, rng.random((rows.height, rows.width)) < 0.5
    other = rng.permutation(height)
    sources = np.where(own, np.arange(height)[:, None], other[:, None])
    mixed = pl.DataFrame([rows[name].gather(sources[:, at]) for at, name in enumerate(rows.columns)])
    wanted = np.where(own[:, np.maximum(owners, 0)] | (owners < 0), plain, plain[other])
    if _differ(make(mixed), wanted).any():
        raise _several()


def _differ(one: Floats, other: Floats) -> Bools:
    if one.shape != other.shape:
        raise _several()
    found: Bools = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return found


def _several() -> CannotExplain:
    return CannotExplain("its pipeline makes columns of several features")
