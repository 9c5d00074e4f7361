"""Errors of a regression before any label has come: a second model, fitted on the reference, that foretells them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilothouse.data.measures.estimate import Expected
from pilothouse.data.measures.outcomes import Floats

FOLDS = 5
LEAST_REFERENCE = 500
"""Labelled reference rows below which no second model is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossModel:
    """Foretells |error| and squared error of a row; one model for each fold left out.

    spread : the variance of a row's |error|, and of its squared error, as a multiple of the square of what was foretold.
    """

    absolute: tuple[Any, ...]
    squared: tuple[Any, ...]
    spread: tuple[float, float]
    rows: int

    @classmethod
    def of(cls, inputs: Floats, categories: NDArray[np.bool_], errors: Floats) -> LossModel:
        """Fit on reference rows.

        inputs : float64, shape (rows, columns), NaN for missing: the features and the prediction. categories : bool,
        shape (columns,): which of them number categories. errors : float64, shape (rows,): prediction - label.
        Source: direct loss estimation as NannyML has it, with gradient boosting for the mean of the loss.
        """
        absolute, of_absolute = _fitted(inputs, categories, np.abs(errors))
        squared, of_squared = _fitted(inputs, categories, errors**2)
        return cls(absolute=absolute, squared=squared, spread=(of_absolute, of_squared), rows=len(errors))

    def foretell(self, inputs: Floats) -> Foretold:
        """What is to be expected of each row; columns as in `of`."""
        absolute, squared = _told(self.absolute, inputs), _told(self.squared, inputs)
        scatter = [self.spread[0] * absolute.mean(axis=0) ** 2, self.spread[1] * squared.mean(axis=0) ** 2]
        return Foretold(absolute=absolute, squared=squared, scatter=np.array(scatter))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Foretold:
    """What is expected of rows.

    absolute, squared : float64, shape (folds, rows): |error| and squared error, by each of the models. scatter : float64,
    shape (2, rows): the variance of both around that.
    """

    absolute: Floats
    squared: Floats
    scatter: Floats

    @classmethod
    def pooled(cls, parts: Sequence[Foretold]) -> Foretold:
        """Rows of several versions. Each left the same folds of the reference out, so what that changes adds up."""
        names = ("absolute", "squared", "scatter")
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts], axis=1) for name in names})


def estimate_errors(told: Foretold) -> dict[str, Expected | str]:
    """MAE and RMSE to be expected of rows, in the target's unit.

    Bands: what single errors scatter around what was foretold of rows left out of the fit, and how far the estimate
    moves when a fold of the reference is left out (delete-a-group jackknife, Kott 2001). They hold as long as a row's
    error is as large as that of rows like it in the reference.
    """
    if told.absolute.shape[1] == 0:
        return dict.fromkeys(("mae", "rmse"), "no row has a prediction")
    mae, mse = _expected(told.absolute, told.scatter[0]), _expected(told.squared, told.scatter[1])
    rmse = math.sqrt(mse.value)
    if rmse == 0:
        return {"mae": mae, "rmse": mse}
    return {
        "mae": mae,
        "rmse": Expected(value=rmse, noise=mse.noise / (2 * rmse), doubt=mse.doubt / (2 * rmse), high=None),
    }


def realized_errors(errors: Floats) -> dict[str, float]:
    """MAE and RMSE of rows whose label has come."""
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}


def _fitted(inputs: Floats, categories: NDArray[np.bool_], losses: Floats) -> tuple[tuple[Any, ...], float]:
    """A model for each fold left out, and how widely the losses of that fold scatter around its answers."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    fold = np.random.default_rng(0).permutation(len(losses)) % FOLDS
    models, told = [], np.empty(len(losses))
    # Its threads wait for each other in a busy loop: beside other work two of them took a hundred times as long as one.
    with threadpool_limits(1):
        for left_out in range(FOLDS):
            model = HistGradientBoostingRegressor(
                max_iter=60, min_samples_leaf=40, early_stopping=False, categorical_features=categories, random_state=0
            ).fit(inputs[fold != left_out], losses[fold != left_out])
            models.append(model)
            told[fold == left_out] = np.maximum(model.predict(inputs[fold == left_out]), 0.0)
    size = (told**2).mean()
    return tuple(models), float(((losses - told) ** 2).mean() / size) if size else 0.0


def _told(models: tuple[Any, ...], inputs: Floats) -> Floats:
    if len(inputs) == 0:  # scikit-learn refuses to predict nothing
        return np.zeros((len(models), 0))
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return np.array([np.maximum(model.predict(inputs), 0.0) for model in models])


def _expected(each: Floats, scatter: Floats) -> Expected:
    means = each.mean(axis=1)
    noise = math.sqrt(scatter.sum()) / each.shape[1]
    doubt = math.sqrt((FOLDS - 1) / FOLDS * ((means - means.mean()) ** 2).sum())
    return Expected(value=float(means.mean()), noise=noise, doubt=doubt, high=None)
