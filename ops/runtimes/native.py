"""Files that gradient boosting libraries write themselves, read back as fitted estimators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from pilothouse.data.errors import UnfitModel
from pilothouse.data.signature import Task


def read_catboost(path: Path, task: Task) -> Any:
    """Raises UnfitModel."""
    catboost = _library("catboost", path)
    model = catboost.CatBoostRegressor() if task is Task.REGRESSION else catboost.CatBoostClassifier()
    return _read(path, lambda: model.load_model(str(path)))


def read_xgboost(path: Path, task: Task) -> Any:
    """Raises UnfitModel."""
    xgboost = _library("xgboost", path)
    model = xgboost.XGBRegressor() if task is Task.REGRESSION else xgboost.XGBClassifier()
    _read(path, lambda: model.load_model(str(path)))
    return XGBoostFile(model)


def read_lightgbm(path: Path, _task: Task) -> Any:
    """Raises UnfitModel."""
    lightgbm = _library("lightgbm", path)
    text = path.read_text(encoding="utf-8", errors="replace")
    return LightGBMFile(_read(path, lambda: lightgbm.Booster(model_str=text)))


class XGBoostFile(BaseEstimator):  # type: ignore[misc]
    """An estimator of XGBoost as its file gives it back: without the settings that it was fitted with."""

    library = "xgboost"

    def __init__(self, fitted: Any = None) -> None:
        self.fitted = fitted

    def __getattr__(self, name: str) -> Any:
        if name not in ("classes_", "feature_names_in_", "predict", "predict_proba"):
            raise AttributeError(name)
        return getattr(self.fitted, name)


class LightGBMFile(BaseEstimator):  # type: ignore[misc]
    """A booster of LightGBM, whose file does not say which estimator it came from."""

    library = "lightgbm"

    def __init__(self, booster: Any = None) -> None:
        self.booster = booster

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        return np.array(self.booster.feature_name(), dtype=object)

    def predict(self, rows: Any) -> NDArray[np.float64]:
        """Numbers of shape (rows,)."""
        return np.asarray(self.booster.predict(rows), dtype=np.float64)

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """Chances of shape (rows, classes), or (rows,) of the positive class."""
        return np.asarray(self.booster.predict(rows), dtype=np.float64)


READERS: dict[str, Callable[[Path, Task], Any]] = {
    ".cbm": read_catboost,
    ".ubj": read_xgboost,
    ".json": read_xgboost,
    ".txt": read_lightgbm,
}


def _library(name: str, path: Path) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UnfitModel(
            path.name, f"{name} is not installed here; `pip install pilothouse[{_EXTRAS[name]}]`"
        ) from error


_EXTRAS = {"catboost": "catboost", "xgboost": "boosting", "lightgbm": "boosting"}


def _read(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        # Each library has errors of its own for what is no file of its kind.
        raise UnfitModel(path.name, f"it could not be read ({type(error).__name__})") from error
