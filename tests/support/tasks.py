"""A house with two models that are not binary: rents (a regression) and triage (four classes), made through the usual doors."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.windows import parse_time
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

RENTS, TRIAGE = "rents", "triage"
FIRST = parse_time("2026-03-02T00:00:00Z")
DAYS, ROWS, UNLABELLED = 42, 1800, 150
CLASSES = ("home", "immediate", "routine", "urgent")
"""Sorted, as the target has them."""


def rents(rows: int, seed: int, wear: float = 0.0) -> pl.DataFrame:
    """Flats whose rent rises with their size. wear : how much less than the model knows the `harbour` has come to cost."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(9, 8, rows)
    district = rng.choice(["centre", "harbour", "hills"], rows, p=[0.5, 0.3, 0.2])
    furnished = rng.random(rows) < 0.4
    base = 300 + 11 * size + 150 * furnished + 250 * (district == "centre") - wear * (district == "harbour")
    return pl.DataFrame(
        {
            "size": size,
            "district": district,
            "furnished": furnished,
            "agency": rng.choice(["Alder", "Birch", "Cedar"], rows),
            "rent": base + rng.normal(0, 60 + 0.8 * size, rows),
        }
    )


def triage(rows: int, seed: int, wear: float = 0.0) -> pl.DataFrame:
    """Patients and how soon they had to be seen. wear : share of those with a `fever` whose class is any class."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(1, 95, rows)
    complaint = rng.choice(["chest pain", "fever", "injury"], rows, p=[0.2, 0.4, 0.4])
    ambulance = rng.random(rows) < 0.25
    need = age / 30 + 1.6 * (complaint == "chest pain") + 1.8 * ambulance + rng.logistic(0, 0.6, rows)
    soon = np.array(["home", "routine", "urgent", "immediate"])[np.digitize(need, [1.2, 2.6, 4.4])]
    worn = (complaint == "fever") & (rng.random(rows) < wear)
    return pl.DataFrame(
        {
            "age": age,
            "complaint": complaint,
            "ambulance": ambulance,
            "ward": rng.choice(["east", "north", "west"], rows),
            "urgency": np.where(worn, rng.choice(CLASSES, rows), soon),
        }
    )


def make_tasks(folder: Path, rows: int = ROWS, first: datetime = FIRST) -> House:
    """Six weeks of `rows` rows of each model, from `first` on; labels came a day later, but for the newest `UNLABELLED` in 1,800."""
    workspace = Workspace.create(folder)
    workspace.settings_file.write_text('onnx = "never"\ntime_zone = "UTC"\n')
    house = House.open(workspace.root)
    for name, told, context, task in (
        (RENTS, "rent", "agency", "regression"),
        (TRIAGE, "urgency", "ward", "multiclass"),
    ):
        made = rents if name == RENTS else triage
        house.register(
            name, fitted(made(1500, seed=1), told, context), reference=made(1500, seed=2), target=told, task=task,
            context=[context], trusted=("numpy.dtype",),
        )  # fmt: skip
        logged(house, name, answers(made, rows), told, first)
    house.catch_up()
    return house


def fitted(train: pl.DataFrame, target: str, context: str) -> Any:
    """A scikit-learn pipeline fitted on all columns but the target and the context."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    known, features = train[target], train.drop(target, context)
    texts = [name for name, kind in features.schema.items() if kind == pl.String]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), texts),
        (StandardScaler(), [name for name in features.columns if name not in texts]),
    )
    model = LinearRegression() if known.dtype.is_numeric() else LogisticRegression(max_iter=500)
    frame = features.to_pandas().astype(dict.fromkeys(texts, object))
    return make_pipeline(columns, model).fit(frame, known.to_numpy())


def answers(made: Any, rows: int) -> pl.DataFrame:
    """Rows of which the second half is no longer what the model has learned."""
    return pl.concat([made(rows // 2, seed=3), made(rows - rows // 2, seed=4, wear=350.0 if made is rents else 1.0)])


def times(rows: int, first: datetime = FIRST) -> list[datetime]:
    return [first + timedelta(days=DAYS) * n / rows for n in range(rows)]


def logged(house: House, name: str, rows: pl.DataFrame, target: str, first: datetime = FIRST) -> None:
    """Log what the model says of `rows`, and the labels of all but the newest a day later."""
    model, at = house[name], times(rows.height, first)
    called = rows.with_columns(
        id=pl.format("r{}", pl.int_range(rows.height)), at=pl.Series(at), logged_at=pl.Series(at)
    )
    model.log(model.predict(called.drop(target)))
    told = called.head(rows.height - rows.height * UNLABELLED // ROWS)
    came = told["at"] + timedelta(days=1)
    model.label(told.select("id", pl.col(target).alias("label"), observed_at=came, recorded_at=came))


def labelled(rows: pl.DataFrame) -> NDArray[np.bool_]:
    """Which of `answers` have a label."""
    return np.arange(rows.height) < rows.height - rows.height * UNLABELLED // ROWS
