"""Write data/nannyml_cbpe_classes.json: NannyML's estimates of models of several classes that ours are compared with.

It runs where `make_nannyml` does, by hand; unless told not to, NannyML reports its use to another host:

    NML_DISABLE_USAGE_LOGGING=1 nannyml/bin/python -m tests.golden.make_nannyml_classes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nannyml
import pandas as pd

from tests.planted.estimate_class_worlds import ClassRows, ClassWorld, covariate, covariate_fitted

OUT = Path(__file__).resolve().parent / "data" / "nannyml_cbpe_classes.json"
SEEDS = 20
METRICS = ["roc_auc", "accuracy", "precision", "recall", "f1"]
CLASSES = ["a", "b", "c", "d"]


def main() -> None:
    found: dict[str, Any] = {
        "nannyml": nannyml.__version__,
        "pandas": pd.__version__,
        "made_by": "tests/golden/make_nannyml_classes.py",
        "seeds": SEEDS,
        "covariate": [estimates(covariate(seed)) for seed in range(SEEDS)],
        "covariate_fitted": [estimates(covariate_fitted(seed)) for seed in range(SEEDS)],
    }
    OUT.write_text(json.dumps(found, indent=0) + "\n")


def estimates(world: ClassWorld) -> dict[str, Any]:
    """What NannyML says of each window: value, low, high of each metric; and which classes it calibrated."""
    estimator = nannyml.CBPE(
        y_pred_proba={name: f"score_{name}" for name in CLASSES}, y_pred="said", y_true="label", metrics=METRICS,
        chunk_number=1, problem_type="classification_multiclass",
    )  # fmt: skip
    estimator.fit(frame(world.reference))
    calibrated = [type(estimator._calibrators[name]).__name__ != "NoopCalibrator" for name in CLASSES]
    return {"calibrated": calibrated, "windows": [row(estimator, window) for window in world.windows]}


def row(estimator: Any, window: ClassRows) -> dict[str, Sequence[float]]:
    result = estimator.estimate(frame(window).drop(columns="label")).filter(period="analysis").to_df()
    names = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
    return {metric: [float(result[metric][name].iloc[-1]) for name in names] for metric in METRICS}


def frame(rows: ClassRows) -> pd.DataFrame:
    scores = {f"score_{name}": rows.scores[:, place] for place, name in enumerate(CLASSES)}
    said = [CLASSES[place] for place in rows.scores.argmax(axis=1)]
    return pd.DataFrame(scores | {"said": said, "label": [CLASSES[place] for place in rows.labels]})


if __name__ == "__main__":
    main()
