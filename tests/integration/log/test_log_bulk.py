"""The import's way into the log: as many rows as were given, in the table and in the roll-ups, wherever it dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tests.integration.history.conftest import NOW, Book, Prediction, _conformed, book

from pilothouse.data.log.bulk import BulkLog
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.schema import SUMS
from pilothouse.data.rollups.store import rollup_folder, stored_periods, stored_rows
from pilothouse.data.windows import Window

__all__ = ["book"]
START = NOW - timedelta(days=9)
WHOLE = Window(START, NOW + timedelta(days=1))
ROWS = 600


def chunk(book: Book, number: int) -> tuple[pa.Table, pa.Table]:
    """Predictions over nine days, every other one labelled, a third of them positive."""
    dice = np.random.default_rng(number)
    at = [START + timedelta(minutes=float(m)) for m in np.sort(dice.uniform(0, 9 * 24 * 60, ROWS))]
    frame = pl.DataFrame(
        {
            "prediction_id": [f"{number}-{i}" for i in range(ROWS)],
            "at": at,
            "logged_at": at,
            "version": 1,
            "role": "champion",
            "status": dice.choice(["ok", "error"], ROWS, p=[0.95, 0.05]),
            "x_wind": pl.Series(dice.normal(size=ROWS)).set(pl.Series(dice.random(ROWS) < 0.1), None),
            "x_carrier": dice.choice(["AA", "BB", "ZZ"], ROWS),
            "score": dice.random(ROWS),
            "spool": "import",
            "day": [moment.date() for moment in at],
        },
        schema_overrides={"x_wind": pl.Float64},
    )
    told = frame[::2].select(
        "prediction_id",
        (pl.int_range(pl.len()) % 3 == 0).cast(pl.Float64).alias("label"),
        pl.col("at").alias("observed_at"),
        pl.col("at").alias("recorded_at"),
        "spool",
        "day",
    )
    predictions = prediction_folder(book.workspace, "flights", book.signature).schema
    labels = label_folder(book.workspace, "flights", book.signature).schema
    return _conformed(frame, predictions), _conformed(told, labels)


def opened(book: Book, crash: str = "") -> BulkLog:
    def die(reached: str) -> None:
        if reached == crash:
            raise KeyboardInterrupt(reached)

    return BulkLog(
        book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, clock=lambda: NOW,
        crash=die,
    )  # fmt: skip


def same_as_rebuilt(book: Book) -> None:
    folder = rollup_folder(book.workspace, "flights")
    kept = stored_rows(folder, stored_periods(folder)).sort(pl.all())
    rebuild(book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, clock=lambda: NOW)
    folder.refresh()
    anew = stored_rows(folder, stored_periods(folder)).sort(pl.all())
    assert kept.height > 100
    assert kept.drop(SUMS).equals(anew.drop(SUMS))
    assert (kept.select(SUMS) - anew.select(SUMS)).select(pl.all().abs().max()).max_horizontal()[0] < 1e-9


def test_rows_and_roll_ups_of_an_import_are_those_of_a_rebuild(book: Book) -> None:
    with opened(book) as log:
        for number in (1, 2, 3):
            predictions, labels = chunk(book, number)
            predictions = predictions.take(np.random.default_rng(number).permutation(ROWS))
            report = log.append(predictions, {"import": number}, labels)
            assert (report.predictions, report.labels, report.repeated) == (ROWS, ROWS // 2, False)
    found = book.history().performance(WHOLE)
    assert (found.labelled, found.metrics["positive_rate"].value) == (3 * ROWS // 2, pytest.approx(1 / 3))
    assert book.history().watermark().sealed_rows == 3 * ROWS
    assert not book.history().watermark().behind
    same_as_rebuilt(book)


@pytest.mark.parametrize("point", ["bulk:labels", "bulk:written", "bulk:appended", "fold:computed", "fold:appended"])
def test_an_import_killed_anywhere_goes_on_where_it_stopped(book: Book, point: str) -> None:
    with opened(book) as log:
        log.append(chunk(book, 1)[0], {"import": 1}, chunk(book, 1)[1])
    with pytest.raises(KeyboardInterrupt, match=point), opened(book, crash=point) as log:
        log.append(chunk(book, 2)[0], {"import": 2}, chunk(book, 2)[1])
    book.fold()
    with opened(book) as log:
        assert log.mark("import") == (1 if point in ("bulk:labels", "bulk:written") else 2)
        again = log.append(chunk(book, 2)[0], {"import": 2}, chunk(book, 2)[1])
        assert again.repeated == (log.mark("import") == 2 and point not in ("bulk:labels", "bulk:written"))
    assert book.history().watermark().sealed_rows == 2 * ROWS
    assert book.history().performance(WHOLE).labelled == ROWS
    same_as_rebuilt(book)


def test_a_table_that_knows_more_columns_than_the_import_gets_nulls_in_them(book: Book) -> None:
    """A feature that the model has dropped since stays in the table, with its old rows."""
    with opened(book) as log:
        log.append(chunk(book, 1)[0], {"import": 1})
    kept = tuple(f for f in book.signature.features if f.name == "wind")
    book.signature = replace(book.signature, features=kept)
    with opened(book) as log:
        assert log.append(chunk(book, 2)[0], {"import": 2}).predictions == ROWS
    folder = prediction_folder(book.workspace, "flights", book.signature)
    rows = pl.read_parquet(folder.files()).with_columns(part=pl.col("prediction_id").str.head(1))
    nulls = rows.group_by("part").agg(pl.col("x_wind", "x_carrier").null_count()).sort("part")
    assert nulls["x_carrier"].to_list() == [0, ROWS]
    assert nulls["x_wind"].max() < ROWS / 5
    same_as_rebuilt(book)


def test_rows_sealed_while_an_import_runs_are_counted_too(book: Book) -> None:
    with opened(book) as log:
        log.append(chunk(book, 1)[0], {"import": 1})
        book.log([Prediction("live", START, 0.5)])
        log.append(chunk(book, 2)[0], {"import": 2})
    assert book.history().watermark().sealed_rows == 2 * ROWS + 1
    same_as_rebuilt(book)
