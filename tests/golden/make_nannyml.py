"""Write data/nannyml_cbpe.json: NannyML's estimates of the rows that ours are compared with.

NannyML wants an environment of its own, so this runs there, by hand, from the root of the project:

    python3.11 -m venv nannyml && nannyml/bin/pip install nannyml==0.13.1 pyarrow
    .venv/bin/python -m tests.golden.estimate_rows flights.parquet
    nannyml/bin/python -m tests.golden.make_nannyml flights.parquet

The planted rows are made by their seeds; those of the flights come by the file, which the second line writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nannyml
import numpy as np
import pandas as pd

from tests.planted.estimate_worlds import Scored, World, covariate, covariate_fitted

OUT = Path(__file__).resolve().parent / "data" / "nannyml_cbpe.json"
SEEDS = 20
METRICS = ["roc_auc", "average_precision", "accuracy", "precision", "recall", "f1"]
THRESHOLD = 0.5


def main(flights: str) -> None:
    found: dict[str, Any] = {
        "nannyml": nannyml.__version__,
        "pandas": pd.__version__,
        "made_by": "tests/golden/make_nannyml.py",
        "threshold": THRESHOLD,
        "seeds": SEEDS,
        "covariate": [estimates(covariate(seed)) for seed in range(SEEDS)],
        "covariate_fitted": [estimates(covariate_fitted(seed)) for seed in range(SEEDS)],
        "flights": estimates(from_frame(pd.read_parquet(flights))),
    }
    OUT.write_text(json.dumps(found, indent=0) + "\n")


def from_frame(rows: pd.DataFrame) -> World:
    """Columns part (0 for the reference, then the number of the week), score, label."""
    parts = [rows[rows["part"] == part] for part in sorted(rows["part"].unique())]
    read = [Scored(scores=p["score"].to_numpy(), labels=p["label"].to_numpy().astype(bool)) for p in parts]
    return World(reference=read[0], windows=tuple(read[1:]))


def estimates(world: World) -> dict[str, Any]:
    """What NannyML says of each window: value, low, high of each metric; and whether it calibrated."""
    estimator = nannyml.CBPE(
        y_pred_proba="score", y_pred="said", y_true="label", metrics=METRICS, chunk_number=1,
        problem_type="classification_binary",
    )  # fmt: skip
    estimator.fit(frame(world.reference))
    windows = [row(estimator, window) for window in world.windows]
    return {"calibrated": bool(estimator.needs_calibration), "windows": windows}


def row(estimator: Any, window: Scored) -> dict[str, Sequence[float]]:
    result = estimator.estimate(frame(window).drop(columns="label")).filter(period="analysis").to_df()
    names = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
    return {metric: [float(result[metric][name].iloc[-1]) for name in names] for metric in METRICS}


def frame(rows: Scored) -> pd.DataFrame:
    said = (rows.scores >= THRESHOLD).astype(int)
    return pd.DataFrame({"score": rows.scores, "said": said, "label": rows.labels.astype(np.int64)})


if __name__ == "__main__":
    main(sys.argv[1])
