"""A package holds the libraries that its model leans on, and not whatever happened to be loaded beside them."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import packages_distributions
from types import SimpleNamespace
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skops.io import dumps

from pilothouse.ops.deploy.pins import leans_on, pinned

ALL = {"python": "3.11", "scikit-learn": "1", "lightgbm": "4", "xgboost": "3", "catboost": "1"}


def version(code: Any = None) -> Any:
    return SimpleNamespace(libraries=ALL, code=code)


@pytest.mark.parametrize(
    ("library", "name"),
    [("lightgbm", "LGBMClassifier"), ("xgboost", "XGBClassifier"), ("catboost", "CatBoostClassifier")],
)
def test_only_the_library_of_the_model_is_needed(library: str, name: str) -> None:
    model = getattr(import_module(library), name)()
    needed = leans_on(version(), dumps(make_pipeline(model)))
    assert needed == set(packages_distributions()[library])
    pins = pinned("pilothouse", besides=needed)
    assert needed <= {line.partition("==")[0] for line in pins}


def test_scikit_learn_alone_needs_none_of_them_and_own_code_may_need_all() -> None:
    plain = dumps(LogisticRegression())
    assert leans_on(version(), plain) == set()
    assert leans_on(version(), b"an ONNX file") == set()
    assert len(leans_on(version(code="own"), plain)) == 3
