"""The probability of each class, from roll-ups and exactly, against scikit-learn; late, corrected and missing ones too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score, top_k_accuracy_score
from tests.integration.history.conftest import NOW, Book

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.chances import MOST_CLASSES
from pilothouse.data.rollups.recount import counted_days, recount
from pilothouse.data.signature import Kind, Target, Task
from pilothouse.data.windows import Window

DAY = timedelta(days=1)
START = NOW - 3 * DAY
WHOLE = Window(START, NOW + DAY)
Floats = npt.NDArray[np.float64]


def colours(book: Book, classes: int = 4) -> tuple[str, ...]:
    names = tuple(f"colour {place:02}" for place in range(classes))
    target = Target(name="colour", kind=Kind.CATEGORY, classes=names)
    book.signature = replace(book.signature, task=Task.MULTICLASS, target=target)
    return names


def said(rows: int, classes: int, seed: int = 5) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Honest probabilities, and the classes that came true."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(classes, 0.7), rows)
    true = (chances.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    return chances, true


def log(book: Book, chances: Sequence[list[float] | None], predictions: Sequence[str], first: int = 0) -> None:
    rows = len(predictions)
    at = [START + i * 3 * DAY / rows for i in range(rows)]
    frame = pl.DataFrame({"prediction_id": [str(first + i) for i in range(rows)], "at": at, "logged_at": at})
    same = {"version": 1, "role": "champion", "status": "ok", "spool": "test", "x_wind": 1.0, "x_carrier": "AA"}
    given = {"prediction": pl.Series(predictions), "scores": pl.Series(chances, dtype=pl.List(pl.Float64))}
    book.append_predictions(
        frame.with_columns(day=pl.col("at").dt.date(), **{n: pl.lit(v) for n, v in same.items()}, **given)
    )


def tell(book: Book, ids: Sequence[int], labels: Sequence[str], later: timedelta = timedelta()) -> None:
    rows = pl.DataFrame({"prediction_id": [str(i) for i in ids], "label": list(labels)})
    book.append_labels(
        rows.with_columns(observed_at=pl.lit(NOW + later), recorded_at=pl.lit(NOW + later), spool=pl.lit("test"))
        .with_columns(day=pl.col("recorded_at").dt.date())
    )  # fmt: skip


def expected(chances: Floats, true: npt.NDArray[np.int64]) -> dict[str, float]:
    classes = chances.shape[1]
    places = np.arange(classes)
    once = np.eye(classes)[true]
    found = {
        "log_loss": log_loss(true, chances, labels=places),
        "brier": float(((chances - once) ** 2).sum(axis=1).mean()),
        "macro_roc_auc": roc_auc_score(true, chances, multi_class="ovr", labels=places),
        "weighted_roc_auc": roc_auc_score(true, chances, multi_class="ovr", labels=places, average="weighted"),
    }
    return found | {
        f"top_{k}": top_k_accuracy_score(true, chances, k=k, labels=places) for k in (2, 3, 5) if k < classes
    }


def test_roll_ups_agree_with_scikit_learn_and_with_a_recount(book: Book) -> None:
    names = colours(book)
    chances, true = said(900, len(names))
    log(book, chances.tolist(), [names[i] for i in chances.argmax(axis=1)])
    tell(book, range(600), [names[i] for i in true[:600]])
    book.fold()
    # The rest comes late, and a third of what was told before was wrong and is corrected.
    wrong = true.copy()
    wrong[:200] = (true[:200] + 1) % len(names)
    tell(book, range(200), [names[i] for i in wrong[:200]], later=timedelta(hours=1))
    tell(book, range(600, 900), [names[i] for i in true[600:]], later=timedelta(hours=1))
    book.fold()
    counted, exact = book.history().performance(WHOLE), book.history().performance(WHOLE, exact=True)
    assert exact.exact
    for name, value in expected(chances, wrong).items():
        steps = "roc_auc" in name
        assert counted.metrics[name].value == pytest.approx(value, abs=1e-3 if steps else 1e-12), name
        assert exact.metrics[name].value == pytest.approx(value, abs=1e-12), name
        _holds(counted.metrics[name])
    for day in counted_days(book.workspace, "flights", book.settings):
        again = recount(book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, day)
        assert (again.differing, again.where) == (0, ())


def test_rows_from_before_scores_were_logged_are_left_out_of_what_needs_them(book: Book) -> None:
    names = colours(book, 3)
    chances, true = said(400, len(names))
    best = [names[i] for i in chances.argmax(axis=1)]
    log(book, [None] * 200, best[:200])
    tell(book, range(400), [names[i] for i in true])
    book.fold()
    before = book.history().performance(WHOLE).metrics
    assert before["accuracy"].value is not None
    assert before["log_loss"].reason == "no labelled row has a probability for each class"
    log(book, chances[200:].tolist(), best[200:], first=200)
    book.fold()
    found = book.history().performance(WHOLE)
    assert found.labelled == 400
    for name, value in expected(chances[200:], true[200:]).items():
        assert found.metrics[name].value == pytest.approx(value, abs=2e-3), name
    assert "top_3" not in found.metrics


def test_many_classes_are_counted_but_for_each_against_the_rest(book: Book) -> None:
    names = colours(book, MOST_CLASSES + 5)
    chances, true = said(600, len(names))
    log(book, chances.tolist(), [names[i] for i in chances.argmax(axis=1)])
    tell(book, range(600), [names[i] for i in true])
    book.fold()
    counted = book.history().performance(WHOLE).metrics
    assert counted["macro_roc_auc"].reason.startswith("with more than 20 classes")
    exact = book.history().performance(WHOLE, exact=True).metrics
    for name, value in expected(chances, true).items():
        assert exact[name].value == pytest.approx(value, abs=1e-12), name


def test_a_label_that_is_no_class_was_given_a_probability_of_nothing(book: Book) -> None:
    names = colours(book, 3)
    log(book, [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], [names[2], names[2]])
    tell(book, [0, 1], [names[2], "mauve"])
    book.fold()
    found = book.history().performance(WHOLE).metrics
    assert found["log_loss"].value == pytest.approx((-np.log(0.5) - np.log(np.finfo(float).eps)) / 2)
    assert found["top_2"].value == pytest.approx(0.5)
    assert found["macro_roc_auc"].reason == "only one class among 2 labelled rows; ROC AUC compares two"


def _holds(metric: Metric) -> None:
    assert metric.value is not None
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low <= metric.value <= metric.high
