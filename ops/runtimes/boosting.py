"""LightGBM and XGBoost behind their scikit-learn interface: which of them is in use, and how it is converted."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

LIBRARIES = ("lightgbm", "xgboost")
SKLEARN = "sklearn"


def runtime_of(model: Any) -> str:
    """Which library made `model`, or the last step of it: one of LIBRARIES, else `sklearn`."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    library = type(last).__module__.partition(".")[0]
    return library if library in LIBRARIES else SKLEARN


def versions() -> dict[str, str]:
    """Versions of those libraries that this process has in use."""
    return {name: str(sys.modules[name].__version__) for name in LIBRARIES if name in sys.modules}


@cache
def register_boosting() -> None:
    """Tell scikit-learn's converter of those libraries that are installed."""
    if find_spec("onnxmltools") is None:
        return
    if find_spec("lightgbm") is not None:
        _register_lightgbm()
    if find_spec("xgboost") is not None:
        _register_xgboost()


def _register_lightgbm() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    _register("LightGbm", LGBMClassifier, LGBMRegressor, convert_lightgbm)


def _register_xgboost() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor

    def convert(scope: Any, operator: Any, container: Any) -> None:
        # The converter knows features by their numbers only.
        booster = operator.raw_operator.get_booster()
        names, booster.feature_names = booster.feature_names, None
        try:
            convert_xgboost(scope, operator, container)
        finally:
            booster.feature_names = names

    _register("XGBoost", XGBClassifier, XGBRegressor, convert)


def _register(library: str, classifier: type, regressor: type, convert: Any) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    update_registered_converter(
        classifier, f"{library}{classifier.__name__}", calculate_linear_classifier_output_shapes, convert,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )  # fmt: skip
    update_registered_converter(
        regressor, f"{library}{regressor.__name__}", calculate_linear_regressor_output_shapes, convert
    )
