"""What the log says of canaries and shadows, for every task, against planted rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from tests.integration.history.conftest import NOW, Book

from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.signature import Kind, Signature, Target, Task
from pilothouse.data.windows import Window
from pilothouse.ops.releases.trying import paired_metrics

ROWS = 40
LOGGED = Window(NOW - timedelta(hours=1), NOW + timedelta(hours=1))
OUTSIDE = NOW - timedelta(hours=2)


def keep(book: Book, answers: list[object], shadow: list[object]) -> PredictionLog:
    """Rows answered by version 1 and, every fourth, by the canary 2; the shadow 3 was asked about all but the first."""
    ids = [str(i) for i in range(ROWS)]
    version = [2 if i % 4 == 3 else 1 for i in range(ROWS)]
    role = ["canary" if v == 2 else "champion" for v in version]
    answered = rows(ids, version, role, answers)
    early = rows(["early"], [1], ["champion"], answers[:1]).with_columns(
        logged_at=pl.lit(OUTSIDE, pl.Datetime("us", "UTC"))
    )
    book.append_predictions(pl.concat([answered, early]))
    book.append_predictions(rows(ids[1:], [3] * (ROWS - 1), ["shadow"] * (ROWS - 1), shadow[1:]))
    return PredictionLog(book.workspace, "flights", book.signature, book.policy)


def rows(ids: list[str], version: list[int], role: list[str], predictions: list[object]) -> pl.DataFrame:
    numbers = [float(p) if isinstance(p, float) else 0.25 for p in predictions]
    return pl.DataFrame(
        {
            "prediction_id": ids, "at": NOW, "logged_at": NOW, "version": version, "role": role, "status": "ok",
            "spool": "test", "prediction": predictions, "score": numbers, "latency_us": [1000 * (i + 1) for i in range(len(ids))],
            "day": NOW.date(), "x_wind": 1.0, "x_carrier": "AA",
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "logged_at": pl.Datetime("us", "UTC")},
    )  # fmt: skip


def of(book: Book, task: Task, target: Target) -> Signature:
    book.signature = replace(book.signature, task=task, target=target)
    return book.signature


def test_of_a_regression_the_predictions_are_compared(book: Book) -> None:
    signature = of(book, Task.REGRESSION, Target(name="delay", kind=Kind.NUMBER))
    log = keep(book, [float(i) for i in range(ROWS)], [i + 2.0 for i in range(ROWS)])
    pairs = log.pairs(LOGGED, 3)
    assert pairs == {"rows": ROWS - 1, "agreement": 0.0, "difference": 2.0, "distance": 2.0}
    said = {row["version"]: row for row in log.answers(LOGGED).iter_rows(named=True)}
    canary = [float(i) for i in range(ROWS) if i % 4 == 3]
    assert (said[2]["rows"], said[2]["role"], said[2]["mean"]) == (10, "canary", sum(canary) / 10)
    assert (said[1]["rows"], said[1]["errors"], said[1]["positive"]) == (30, 0, None)
    frame = pl.DataFrame({"prediction": [1.0, 2.0], "prediction_shadow": [1.0, 4.0], "label": [2.0, 2.0]})
    answers, shadow = paired_metrics(signature, frame)
    assert (answers["mae"].value, shadow["mae"].value) == (0.5, 1.5)


def test_of_several_classes_the_share_that_agrees_is_told(book: Book) -> None:
    signature = of(book, Task.MULTICLASS, Target(name="colour", kind=Kind.CATEGORY, classes=("blue", "green")))
    log = keep(book, ["blue"] * ROWS, ["blue" if i % 2 else "green" for i in range(ROWS)])
    pairs = log.pairs(LOGGED, 3)
    assert (pairs["rows"], pairs["difference"], pairs["distance"]) == (ROWS - 1, None, None)
    assert pairs["agreement"] == pytest.approx(20 / 39)
    assert log.pairs(LOGGED, 9)["rows"] == 0
    assert set(log.answers(LOGGED)["mean"]) == {None}
    frame = pl.DataFrame({"prediction": ["blue"] * 4, "prediction_shadow": ["green"] * 4, "label": ["blue"] * 4})
    answers, shadow = paired_metrics(signature, frame)
    assert (answers["accuracy"].value, shadow["accuracy"].value) == (1.0, 0.0)


def test_requests_are_those_of_a_span_and_never_a_shadow_s(book: Book) -> None:
    of(book, Task.REGRESSION, Target(name="delay", kind=Kind.NUMBER))
    log = keep(book, [float(i) for i in range(ROWS)], [float(i) for i in range(ROWS)])
    requests = log.requests(LOGGED)
    assert (requests.height, set(requests["version"]), requests["rows"].sum()) == (ROWS, {1, 2}, ROWS)
    assert log.requests(Window(OUTSIDE, OUTSIDE + timedelta(seconds=1)))["spool"].to_list() == ["test"]
