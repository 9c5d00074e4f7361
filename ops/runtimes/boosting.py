"""LightGBM, XGBoost and CatBoost behind their scikit-learn interface: which of them is in use, how it is converted."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CATBOOST = "catboost"
LIBRARIES = ("lightgbm", "xgboost", CATBOOST)
SKLEARN = "sklearn"


def runtime_of(model: Any) -> str:
    """Which library made `model`, or the last step of it: one of LIBRARIES, else `sklearn`."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    library = getattr(type(last), "library", type(last).__module__.partition(".")[0])
    return library if library in LIBRARIES else SKLEARN


def versions() -> dict[str, str]:
    """Versions of those libraries that this process has in use."""
    return {name: str(sys.modules[name].__version__) for name in LIBRARIES if name in sys.modules}


def quiet(model: Any) -> Any:
    """`model` as it may be fitted anew in any folder: CatBoost writes its course into the present one."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if type(last).__module__.partition(".")[0] == CATBOOST:
        last.set_params(allow_writing_files=False, verbose=False)
    return model


def to_onnx(model: Any) -> bytes:
    """What CatBoost's own export makes of a model of its own. Raises its error for one with categories."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        file = Path(folder) / "model.onnx"
        model.save_model(str(file), format="onnx")
        return file.read_bytes()


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
