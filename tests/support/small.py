"""A small workspace with one model, made through the same doors as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

MODEL = "loans"
ROW: dict[str, Any] = {"amount": 1200.0, "months": 24, "purpose": "car"}


def planted(rows: int, seed: int) -> pl.DataFrame:
    """Loans whose chance to fail rises with the amount and falls with the months."""
    rng = np.random.default_rng(seed)
    amount, months = rng.gamma(2, 1000, rows), rng.integers(6, 61, rows)
    log_odds = amount / 1500 - months / 20
    return pl.DataFrame(
        {
            "amount": amount,
            "months": months,
            "purpose": rng.choice(["car", "home", "study"], rows),
            "failed": (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


def make_small(folder: Path, settings: str = "") -> House:
    """A workspace at `folder` with the model `loans`, logistic regression, as version 1. settings : lines of TOML.

    It is not converted to ONNX unless the settings say so: that takes seconds.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train = planted(2000, seed=1)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["purpose"]), (StandardScaler(), ["amount", "months"])
    )
    model = make_pipeline(columns, LogisticRegression()).fit(
        train.drop("failed").to_pandas().astype({"purpose": object}), train["failed"].to_numpy()
    )
    workspace = Workspace.create(folder)
    workspace.settings_file.write_text(settings if "onnx" in settings else f'onnx = "never"\n{settings}')
    house = House.open(workspace.root)
    house.register(MODEL, model, reference=planted(1000, seed=2), target="failed", trusted=("numpy.dtype",))
    return house
