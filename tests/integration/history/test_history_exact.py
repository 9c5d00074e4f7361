"""The exact scan against SciPy and scikit-learn, against the roll-ups, and under a limit; labels by cohort."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from tests.integration.history.conftest import Book, Label, Prediction, at
from tests.integration.history.test_history_answers import traffic

from pilothouse.data.errors import QueryTooSlow
from pilothouse.data.history.results import Change
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, following
from pilothouse.data.windows import Window

DAY = timedelta(days=1)
WEEK = Window(at("03-02 00:00"), at("03-09 00:00"))


def _filled(book: Book) -> pl.DataFrame:
    rows = traffic(6000, at("02-20 00:00"), at("03-12 00:00"), wind=0.4)
    book.append_predictions(rows)
    book.append_labels(
        rows.select(
            "prediction_id",
            label="true",
            observed_at=pl.col("at") + DAY,
            recorded_at=pl.col("at") + DAY,
            spool=pl.lit("test"),
        ).with_columns(day=pl.col("recorded_at").dt.date())
    )
    book.fold()
    return rows.filter(pl.col("at") >= WEEK.start, pl.col("at") < WEEK.end)


def test_exact_drift_is_that_of_the_rows_themselves(book: Book) -> None:
    rows, known = _filled(book), book.profile.sample["x_wind"]
    exact, counted = (book.history().drift(WEEK, exact=flag) for flag in (True, False))
    assert (exact.exact, exact.rows, exact.watermark) == (True, rows.height, counted.watermark)
    wind = next(f for f in exact.features if f.name == "wind")
    assert wind.ks == stats.ks_2samp(known, rows["x_wind"], method="asymp").statistic
    expected = stats.wasserstein_distance(known, rows["x_wind"]) / known.std(ddof=0)
    assert wind.wasserstein == pytest.approx(expected, rel=1e-12)
    for one, other in zip(exact.features, counted.features, strict=True):
        assert (one.name, one.state, one.missing, one.new_share) == (
            other.name, other.state, other.missing, other.new_share,
        )  # fmt: skip
        assert one.psi == pytest.approx(other.psi, abs=0.01)
    assert exact.score.ks == pytest.approx(counted.score.ks, abs=0.01)


def test_the_exact_scan_knows_versions_errors_and_empty_windows(book: Book) -> None:
    _filled(book)
    book.append_predictions(traffic(500, WEEK.start, WEEK.end, seed=9, wind=9.0).with_columns(version=2))
    book.append_predictions(traffic(300, WEEK.start, WEEK.end, seed=10).with_columns(status=pl.lit("error")))
    book.fold()
    history = book.history()
    assert history.drift(WEEK, 2, exact=True).rows == 500
    assert history.drift(WEEK, exact=True).rows == history.drift(WEEK).rows
    empty = history.drift(Window(at("01-01 00:00"), at("01-02 00:00")), exact=True)
    assert (empty.rows, empty.features[0].reason) == (0, "no rows in this window")


def test_exact_performance_is_scikit_learns_after_corrections_too(book: Book) -> None:
    rows = _filled(book)
    wrong = rows.head(50).with_columns(true=1 - pl.col("true"))
    book.append_labels(
        wrong.select(
            "prediction_id",
            label="true",
            observed_at=pl.col("at") + 2 * DAY,
            recorded_at=pl.col("at") + 4 * DAY,
            spool=pl.lit("test"),
        ).with_columns(day=pl.col("recorded_at").dt.date())
    )
    book.fold()
    now = pl.concat([wrong, rows.tail(-50)])
    exact, counted = (book.history().performance(WEEK, exact=flag) for flag in (True, False))
    assert exact.metrics["roc_auc"].value == pytest.approx(roc_auc_score(now["true"], now["score"]), rel=1e-12)
    assert counted.metrics["roc_auc"].value == pytest.approx(exact.metrics["roc_auc"].value, abs=0.002)
    assert exact.metrics["brier"].value == pytest.approx(counted.metrics["brier"].value)
    assert (exact.exact, exact.labelled) == (True, counted.labelled)


def test_a_scan_beyond_the_limit_says_what_to_do(book: Book) -> None:
    _filled(book)
    book.settings = Settings(query_limit_s=1e-6)
    with pytest.raises(QueryTooSlow, match="Ask for a narrower window"):
        book.history().drift(WEEK, exact=True)


def test_cohorts_tell_coverage_and_delay(book: Book) -> None:
    rows = [Prediction(id=f"p{n}", at=at("03-02 10:00") + (n % 2) * 12 * DAY, score=0.5) for n in range(40)]
    book.log(rows)
    early = [r for r in rows if r.at < at("03-09 00:00")]
    told = [
        Label(label=1.0, id=r.id, observed_at=r.at, recorded_at=r.at + (1 if n < 12 else 5) * DAY)
        for n, r in enumerate(early[:15])
    ]
    # A correction does not make its row's label late.
    told.append(Label(label=0.0, id=early[0].id, observed_at=rows[0].at + DAY, recorded_at=rows[0].at + 20 * DAY))
    book.tell(told)
    book.fold()
    first, second = book.history().label_coverage(Window(at("03-02 00:00"), at("03-16 00:00")), 7 * DAY)
    assert (first.rows, first.labelled, first.coverage, first.mature) == (20, 15, 0.75, True)
    assert (first.delay_p50, first.delay_p95) == (1 * DAY, 5 * DAY)
    assert (second.labelled, second.coverage, second.delay_p50, second.mature) == (0, 0.0, None, False)
    answer = book.history().labels(Window(at("03-02 00:00"), at("04-01 00:00")))
    assert (answer.facts.told, answer.facts.corrected, answer.facts.unknown) == (16, 1, 0)
    assert answer.watermark == book.history().watermark()


def test_columns_come_go_and_change_their_type_in_one_table(book: Book) -> None:
    before = book.signature
    book.log([Prediction(id=f"a{n}", at=at("03-01 10:00") + n * DAY, score=0.5, wind=3.0) for n in range(4)])
    wanted = replace(
        before,
        features=(Feature(name="wind", kind=Kind.CATEGORY), Feature(name="gust", kind=Kind.NUMBER)),
    )
    book.signature = following(wanted, before)
    assert [f.column for f in book.signature.features] == ["x_wind__2", "x_gust"]
    rows = [{"prediction_id": f"b{n}", "at": at("03-05 10:00") + n * DAY} for n in range(3)]
    book.append_predictions(
        pl.DataFrame(rows).with_columns(
            pl.col("at").alias("logged_at"), pl.col("at").dt.date().alias("day"),
            version=pl.lit(2, pl.Int64), role=pl.lit("champion"), status=pl.lit("ok"), spool=pl.lit("test"),
            x_wind__2=pl.lit("strong"), x_gust=pl.lit(7.0),
        )
    )  # fmt: skip
    changes = book.history().schema_changes(Window(at("03-01 00:00"), at("04-01 00:00")))
    assert [(c.column, c.kind, c.at) for c in changes] == [
        ("carrier", Change.DROPPED, at("03-05 00:00")),
        ("gust", Change.NEW, at("03-05 00:00")),
        ("wind", Change.RETYPED, at("03-05 00:00")),
    ]
    old = PredictionLog(book.workspace, "flights", before, book.policy)
    new = PredictionLog(book.workspace, "flights", book.signature, book.policy)
    assert old.predictions(columns=["x_wind"])["x_wind"].to_list() == [3.0] * 4 + [None] * 3
    assert new.predictions(columns=["x_wind__2"])["x_wind__2"].to_list() == [None] * 4 + ["strong"] * 3
