"""Multiclass and regression models, from roll-ups, against scikit-learn; then and now; and the recount that watches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, mean_squared_error, r2_score
from tests.integration.history.conftest import NOW, Book

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.rollups.recount import RecountReport, counted_days, recount
from pilothouse.data.rollups.store import Cursor, replace_rows, rollup_folder
from pilothouse.data.signature import Kind, Target, Task
from pilothouse.data.windows import Window

ROWS = 900
DAY = timedelta(days=1)
START = NOW - 3 * DAY
WHOLE = Window(START, NOW + DAY)
CLASSES = ("blue", "green", "red")


def keep(book: Book, predictions: list[object], labels: list[object]) -> None:
    """Rows over three days, a third of them labelled only after the first fold."""
    at = [START + i * 3 * DAY / ROWS for i in range(ROWS)]
    rows = pl.DataFrame({"prediction_id": [str(i) for i in range(ROWS)], "at": at, "logged_at": at})
    same = {"version": 1, "role": "champion", "status": "ok", "spool": "test"}
    book.append_predictions(
        rows.with_columns(pl.col("at").dt.date().alias("day"), **{n: pl.lit(v) for n, v in same.items()}).with_columns(
            pl.Series("prediction", predictions), pl.lit(1.0).alias("x_wind"), pl.lit("AA").alias("x_carrier")
        )
    )
    told = rows.select("prediction_id", observed_at="at", recorded_at="at", day=pl.col("at").dt.date()).with_columns(
        pl.Series("label", labels), spool=pl.lit("test")
    )
    book.append_labels(told[: 2 * ROWS // 3])
    book.fold()
    book.append_labels(told[2 * ROWS // 3 :])
    book.fold()


def test_several_classes_are_judged_as_scikit_learn_does(book: Book) -> None:
    target = Target(name="colour", kind=Kind.CATEGORY, classes=CLASSES)
    book.signature = replace(book.signature, task=Task.MULTICLASS, target=target)
    dice = np.random.default_rng(3)
    true = dice.choice(CLASSES, ROWS, p=[0.5, 0.4, 0.1])
    predicted = np.where(dice.random(ROWS) < 0.7, true, dice.choice(CLASSES, ROWS))
    keep(book, list(predicted), list(true))
    found = book.history().performance(WHOLE)
    assert (found.rows, found.labelled) == (ROWS, ROWS)
    assert found.metrics["accuracy"].value == pytest.approx(accuracy_score(true, predicted), abs=1e-12)
    assert found.metrics["macro_f1"].value == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-12)
    assert found.metrics["log_loss"].reason == "no labelled row has a probability for each class"
    before = book.history().performance(WHOLE, as_known=NOW.replace(hour=0) - DAY)
    assert 0 < before.labelled < ROWS


def test_a_regression_is_judged_as_scikit_learn_does(book: Book) -> None:
    target = Target(name="delay", kind=Kind.NUMBER)
    book.signature = replace(book.signature, task=Task.REGRESSION, target=target)
    dice = np.random.default_rng(4)
    true = dice.normal(10, 5, ROWS)
    predicted = true + dice.normal(0.5, 2, ROWS)
    keep(book, list(predicted), list(true))
    metrics = book.history().performance(WHOLE).metrics
    expected = {
        "mae": mean_absolute_error(true, predicted),
        "rmse": mean_squared_error(true, predicted) ** 0.5,
        "r2": r2_score(true, predicted),
        "bias": float((predicted - true).mean()),
    }
    assert {name: metric.value for name, metric in metrics.items()} == pytest.approx(expected, rel=1e-9)
    assert _recounted(book).differing == 0


def test_a_recount_sees_one_row_too_many(book: Book) -> None:
    keep(book, [0.0] * ROWS, [1.0] * ROWS)
    assert _recounted(book).differing == 0
    folder = rollup_folder(book.workspace, "flights")
    rows = pl.concat(
        [pl.read_parquet(f, hive_partitioning=False).with_columns(period=pl.lit(p)) for f, p in _files(folder)]
    )
    wrong = rows.with_row_index().with_columns(
        pl.when(pl.col("index") == 0).then(pl.col("n").list.eval(pl.element() + 1)).otherwise("n").alias("n")
    )
    table = wrong.select(folder.schema.names).to_arrow().cast(folder.schema)
    replace_rows(folder, table, None, Cursor.of(folder).marks())
    found = [
        _recounted(book, place).differing
        for place in range(len(counted_days(book.workspace, "flights", book.settings)))
    ]
    assert sum(found) >= 1
    with pytest.raises(EmptyWindow, match="has no rows"):
        recount(
            book.workspace, "flights", book.signature, book.profile, book.policy, book.settings,
            (NOW - 90 * DAY).astimezone(UTC).date(),
        )  # fmt: skip


def _files(folder: object) -> list[tuple[str, str]]:
    return [(path, folder.partition_value(path)) for path in folder.files()]  # type: ignore[attr-defined]


def _recounted(book: Book, place: int = 0) -> RecountReport:
    day = counted_days(book.workspace, "flights", book.settings)[place]
    return recount(book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, day)
