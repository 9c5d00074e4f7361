"""Rows that are hard to measure, and a house in which a model has answered them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

MODEL = "hard"
START = parse_time("2026-03-02T00:00:00Z")
WEEKS = 4
WINDOW = Window(START, START + timedelta(weeks=WEEKS))
HUGE = 2**53
WORDS = ("na\u00efve", "nai\u0308ve", "Ψυχή", "سلام", "👩‍🚀", "a 'quote'", 'a "quote"', "a,b;c\td", "", "NULL", "İ")
"""Composed and decomposed, right to left, joined, quoting, separating, empty, and what others take for missing."""


def hard_rows(rows: int, seed: int, *, later: bool = False) -> pl.DataFrame:
    """Features of every hostile kind beside one that the label `failed` depends on. later : as they come once served."""
    rng = np.random.default_rng(seed)
    known = rng.normal(0.3 if later else 0, 1, rows)
    endless = rng.normal(size=rows)
    if later:
        endless[:: rows // 20] = np.inf
        endless[1 :: rows // 20] = -np.inf
    return pl.DataFrame(
        {
            "known": known,
            "size": rng.gamma(2, 100 if later else 80, rows),
            "gone": pl.Series(np.full(rows, np.nan) if later else rng.normal(size=rows)).fill_nan(None),
            "constant": np.full(rows, 7.0),
            "stuck": np.full(rows, 0.5) if later else rng.normal(size=rows),
            "endless": endless,
            "huge": HUGE - rng.integers(0, 1000, rows),
            "word": rng.choice(WORDS, rows),
            "flag": rng.random(rows) < 0.4,
            "group": rng.choice(["north", "Ψυχή", "👩‍🚀"], rows),
            "failed": (rng.random(rows) < 1 / (1 + np.exp(-2 * known))).astype(int),
        }
    )


def many_features(rows: int, seed: int, *, later: bool = False) -> pl.DataFrame:
    """The same label among 300 features, of which three have moved."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 300))
    values[:, :3] += 0.8 if later else 0.0
    failed = (rng.random(rows) < 1 / (1 + np.exp(-2 * values[:, 0]))).astype(int)
    names = ["known", *(f"f{number:03}" for number in range(1, 300))]
    return pl.DataFrame(values, schema=names).with_columns(
        failed=pl.Series(failed), group=pl.Series(rng.choice(["north", "south"], rows))
    )


def make_hard(
    folder: Path,
    served: pl.DataFrame,
    reference: pl.DataFrame,
    *,
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows,
    order: np.random.Generator | None = None,
) -> House:
    """A house whose model has answered `served`, evenly over `WINDOW`, each with its label a day later.

    change : done to the reference, what is learned from and what is served. order : deals the rows of each day out anew
    among its moments, and shuffles the order in which they are logged.
    """
    workspace = Workspace.create(folder)
    workspace.settings_file.write_text('onnx = "never"\ntime_zone = "UTC"\n')
    house = House.open(workspace.root)
    reference = change(reference)
    house.register(
        MODEL, _fitted(reference), reference=reference, target="failed", context=["group"], trusted=("numpy.dtype",)
    )
    house.clock = lambda: WINDOW.end + timedelta(days=8)
    rows = change(served).with_columns(id=pl.format("row {}", pl.int_range(served.height)))
    if order is not None:
        days = WEEKS * 7
        rows = rows[np.concatenate([order.permutation(day) for day in np.array_split(np.arange(rows.height), days)])]
    model, step = house[MODEL], (WINDOW.end - WINDOW.start) / served.height
    at = pl.Series([WINDOW.start + number * step for number in range(rows.height)])
    called = rows.with_columns(at=at, logged_at=at)
    answered = model.predict(called.drop("failed"))
    if order is not None:
        answered = answered[order.permutation(answered.height)]
    model.log(answered)
    came = called["at"] + timedelta(days=1)
    model.label(called.select("id", pl.col("failed").alias("label"), observed_at=came, recorded_at=came))
    house.catch_up()
    return house


def _fitted(rows: pl.DataFrame) -> Any:
    """Logistic regression on `known` alone: it takes whatever else comes."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learned = rows.drop("failed", "group").to_pandas()
    kept = make_column_transformer((StandardScaler(), ["known"]), remainder="drop")
    return make_pipeline(kept, LogisticRegression()).fit(learned, rows["failed"].to_numpy())
