"""Answers from roll-ups against SciPy and scikit-learn on the log's own rows, with planted shifts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from tests.integration.history.conftest import NOW, Book, Label, Prediction, at

from pilothouse.data.errors import UnknownFeature
from pilothouse.data.history.results import State
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.schema import Role
from pilothouse.data.policies import LabelPolicy, Silence
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window

WEEK, DAY = timedelta(weeks=1), timedelta(days=1)


def traffic(
    rows: int,
    start: datetime,
    end: datetime,
    *,
    seed: int = 5,
    wind: float = 0.0,
    noise: float = 1.0,
    share: float = 0.3,
) -> pl.DataFrame:
    """Predictions spread evenly over [start, end), with the label that would come true in a column of its own.

    wind : shift of the feature's mean. noise : standard deviation of what the score does not know, in log-odds.
    """
    rng = np.random.default_rng(seed)
    step = (end - start) / rows
    known = rng.normal(np.log(share / (1 - share)), 1, rows)
    chance = 1 / (1 + np.exp(-known - rng.normal(0, noise, rows)))
    return pl.DataFrame(
        {
            "prediction_id": [f"{seed}-{i:07d}" for i in range(rows)],
            "at": [start + i * step for i in range(rows)],
            "version": 1,
            "role": "champion",
            "x_wind": rng.normal(wind, 1, rows),
            "x_carrier": rng.choice(["AA", "BB", "CC"], rows, p=[0.5, 0.3, 0.2]),
            "score": 1 / (1 + np.exp(-known)),
            "latency_us": rng.integers(1_000, 9_000, rows),
            "status": "ok",
            "spool": "test",
            "true": (rng.random(rows) < chance).astype(float),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    ).with_columns(pl.col("at").alias("logged_at"), pl.col("at").dt.date().alias("day"))


def keep(book: Book, frame: pl.DataFrame, *, labelled: float = 1.0, delay: timedelta = timedelta(hours=5)) -> None:
    """Log `frame`, and label its first rows of each hundred."""
    book.append_predictions(frame.drop("true"))
    told = frame.with_row_index("row").filter(pl.col("row") % 100 < labelled * 100)
    labels = told.select(
        "prediction_id",
        pl.col("true").alias("label"),
        observed_at=pl.col("at") + delay,
        recorded_at=pl.col("at") + delay,
        spool=pl.lit("test"),
    )
    if labels.height:
        book.append_labels(labels.with_columns(pl.col("recorded_at").dt.date().alias("day")))


def exported(book: Book, window: Window) -> pl.DataFrame:
    """Labelled rows of a window as the log's own reader gives them."""
    log = PredictionLog(book.workspace, "flights", book.signature, book.policy, clock=lambda: NOW)
    return log.labelled(window).filter(pl.col("label").is_not_null())


def test_weekly_auc_is_that_of_the_exported_rows(book: Book) -> None:
    keep(book, traffic(14_000, NOW - 4 * WEEK, NOW), labelled=0.8)
    book.fold()
    points = book.history().performance_trend(Window(NOW - 4 * WEEK, NOW), WEEK)
    assert len(points) == 5
    for point in points:
        truth = exported(book, point.window)
        assert point.labelled == truth.height
        assert point.metrics["roc_auc"].value == pytest.approx(roc_auc_score(truth["label"], truth["score"]), abs=0.001)
    assert points[2].coverage == pytest.approx(0.8, abs=0.01)
    assert [point.mature for point in points] == [True, True, True, True, False]
    pairs = book.history().stretches(Window(NOW - 4 * WEEK, NOW), 2 * WEEK)
    assert [pair.window for pair in pairs] == [Window(a.window.start, b.window.end) for a, b in pairwise(points)]
    assert [pair.labelled for pair in pairs] == [a.labelled + b.labelled for a, b in pairwise(points)]
    whole = book.history().performance(pairs[1].window).metrics["roc_auc"]
    assert pairs[1].metrics["roc_auc"].value == pytest.approx(whole.value)


def test_auc_with_one_positive_in_a_thousand(book: Book) -> None:
    keep(book, traffic(120_000, NOW - 6 * DAY, NOW, share=0.0004))
    book.fold()
    window = Window(NOW - 6 * DAY, NOW)
    found, truth = book.history().performance(window), exported(book, window)
    assert 0.0005 < (found.metrics["positive_rate"].value or 0) < 0.002
    assert found.metrics["roc_auc"].value == pytest.approx(roc_auc_score(truth["label"], truth["score"]), abs=0.005)


@pytest.mark.parametrize("hours_kept_days", [60, 1])
def test_drift_of_a_ragged_window_is_that_of_its_rows(book: Book, hours_kept_days: int) -> None:
    """Once from hours at the ends, once, where no hours were kept, from the log itself."""
    book.settings = Settings(hours_kept_days=hours_kept_days)
    keep(book, traffic(9_000, NOW - 20 * DAY, NOW, wind=0.5))
    book.fold()
    window = Window(at("03-25 07:17") + timedelta(seconds=13), at("04-05 19:43"))
    found = book.history().drift(window)
    sample = book.profile.sample
    assert sample is not None
    rows = PredictionLog(book.workspace, "flights", book.signature, book.policy).predictions(window)
    truth = stats.ks_2samp(sample["x_wind"].to_numpy(), rows["x_wind"].to_numpy())
    wind = found.features[0]
    assert (wind.name, wind.state, wind.rows, found.rows) == ("wind", State.CRITICAL, rows.height, rows.height)
    assert wind.ks == pytest.approx(truth.statistic, abs=1 / 160)
    assert found.features[1].state is State.HEALTHY
    performance = book.history().performance(window)
    exact = exported(book, window)
    assert performance.labelled == exact.height
    assert performance.metrics["mean_score"].value == pytest.approx(exact["score"].mean())


def test_a_scan_finds_the_row_that_file_statistics_cut_to_the_millisecond(book: Book) -> None:
    book.settings = Settings(hours_kept_days=1)
    moment = at("04-01 10:00") + timedelta(microseconds=190_555)
    book.log([Prediction("a", moment, 0.5)])
    book.log([Prediction("later", at("04-05 10:00"), 0.5)])
    book.fold()
    window = Window(moment - timedelta(microseconds=100), moment + timedelta(microseconds=1))
    assert book.history().performance(window).rows == 1


def test_drift_by_day_follows_the_shift(book: Book) -> None:
    keep(book, traffic(4_000, NOW - 4 * DAY, NOW - 2 * DAY))
    keep(book, traffic(4_000, NOW - 2 * DAY, NOW, seed=6, wind=1.0))
    book.fold()
    points = book.history().drift_trend(Window(at("04-06 12:00"), NOW), DAY)
    values = [point.psi["wind"] or 0 for point in points]
    assert [point.window.start.day for point in points] == [6, 7, 8, 9, 10]
    assert values[1] < 0.1 < 0.5 < values[3]


def test_days_and_hours_are_those_of_the_business_zone(book: Book) -> None:
    book.settings = Settings(time_zone="Asia/Kolkata")
    keep(book, traffic(960, NOW - 10 * DAY, NOW))
    book.fold()
    points = book.history().performance_trend(Window(NOW - 2 * DAY, NOW), DAY)
    assert [point.window.start.strftime("%H:%M") for point in points] == ["18:30"] * 3
    assert points[1].rows == 96
    assert [
        p.rows for p in book.history().traffic(Window(at("04-09 18:30"), at("04-09 21:30")), timedelta(hours=1))
    ] == [4] * 3


def test_traffic_shows_errors_versions_and_latency(book: Book) -> None:
    moment = at("04-09 10:00")
    book.log(Prediction(f"a{i}", moment + timedelta(minutes=i % 50), 0.5, latency_us=2000) for i in range(90))
    book.log(Prediction(f"e{i}", moment, None, status="error", latency_us=90_000) for i in range(10))
    book.log([Prediction("s", moment, 0.5, version=2, role=Role.SHADOW), Prediction("b", moment, 0.5, version=2)])
    book.fold()
    first, second = book.history().traffic(Window(at("04-09 00:00"), at("04-10 00:00")), timedelta(hours=1))
    assert (first.version, first.rows, first.errors) == (1, 100, 10)
    assert first.p95_latency_ms == pytest.approx(2.0, rel=0.024)
    assert (second.version, second.rows, second.p50_latency_ms) == (2, 1, None)


def test_versions_are_told_apart(book: Book) -> None:
    book.log(Prediction(f"a{i}", at("04-09 10:00"), i / 10) for i in range(10))
    book.log(Prediction(f"b{i}", at("04-09 11:00"), i / 10, version=2) for i in range(5))
    book.tell([Label(1.0, at("04-09 12:00"), at("04-09 12:00"), id="b4")])
    book.fold()
    history, day = book.history(), Window(at("04-09 00:00"), at("04-10 00:00"))
    points = history.performance_trend(day, DAY, by_version=True)
    assert [(p.version, p.rows, p.labelled) for p in points] == [(1, 10, 0), (2, 5, 1)]
    assert history.performance(day, version=2).rows == 5
    assert history.drift(day, version=2).score is not None


def test_silence_may_mean_the_negative_class(book: Book) -> None:
    book.policy = LabelPolicy(horizon=DAY, silence=Silence.NEGATIVE)
    keep(book, traffic(1_000, NOW - 5 * DAY, NOW), labelled=0.5)
    book.fold()
    window = Window(NOW - 5 * DAY, NOW)
    found = book.history().performance(window)
    told = exported(book, window)
    assert found.labelled == told.height > 800
    assert found.metrics["positive_rate"].value == pytest.approx(told["label"].mean())
    assert found.metrics["roc_auc"].value == pytest.approx(roc_auc_score(told["label"], told["score"]), abs=0.001)


def test_an_empty_house_answers_in_words(book: Book) -> None:
    history = book.history()
    assert (history.data_end(), history.watermark().sealed_rows, history.watermark().behind) == (None, 0, False)
    window = Window(NOW - DAY, NOW)
    assert history.performance(window).metrics["roc_auc"].reason == "no labels yet"
    assert history.drift(window).features[0].reason == "no rows in this window"
    assert history.traffic(window, timedelta(hours=1)) == ()
    assert history.health(NOW).state is State.NO_DATA
    with pytest.raises(UnknownFeature, match="Did you mean 'wind'"):
        history.distribution("wnd", window)


def test_the_watermark_says_what_roll_ups_have_yet_to_take_in(book: Book) -> None:
    keep(book, traffic(100, NOW - DAY, NOW))
    book.fold()
    assert not book.history().watermark().behind
    keep(book, traffic(100, NOW - DAY, NOW, seed=6))
    mark = book.history().watermark()
    assert mark.behind
    assert (mark.sealed_rows, mark.prediction_version, mark.folded_prediction_version) == (200, 2, 1)
    assert book.history().performance(Window(NOW - DAY, NOW)).rows == 100


def test_a_history_answers_as_of_the_moment_it_was_asked_first(book: Book) -> None:
    keep(book, traffic(100, NOW - DAY, NOW))
    book.fold()
    history, window = book.history(), Window(NOW - DAY, NOW)
    assert history.performance(window).rows == 100
    keep(book, traffic(100, NOW - DAY, NOW, seed=6))
    book.fold()
    assert (history.performance(window).rows, book.history().performance(window).rows) == (100, 200)


def test_a_regression_without_predictions_has_drift_and_says_what_is_missing(book: Book) -> None:
    book.signature = replace(book.signature, task=Task.REGRESSION, target=replace(book.signature.target, classes=()))
    keep(book, traffic(600, NOW - DAY, NOW))
    book.fold()
    history, window = book.history(), Window(NOW - DAY, NOW)
    found = history.performance(window)
    assert (found.rows, found.labelled, found.coverage) == (600, 600, 1.0)
    (reason,) = {m.reason for m in found.metrics.values()}
    assert reason.startswith("no labelled row has numbers as prediction and label")
    assert history.drift(window).features[0].psi is not None
    assert history.health(NOW).reasons[0].sentence.startswith("Too few labelled rows to say")


def test_health_waits_until_labels_are_due(book: Book) -> None:
    keep(book, traffic(600, NOW - DAY, NOW))
    book.fold()
    assert book.history().health(NOW).state is State.NO_DATA
    keep(book, traffic(600, NOW - DAY - book.policy.horizon - DAY, NOW - DAY - book.policy.horizon, seed=8))
    book.fold()
    assert book.history().health(NOW).state is not State.NO_DATA


def test_health_speaks_of_the_drift_of_all_rows_whoever_answered_them(book: Book) -> None:
    keep(book, traffic(4_000, NOW - 2 * WEEK, NOW - DAY / 24))
    keep(book, traffic(200, NOW - DAY / 24, NOW, seed=6, wind=3.0).with_columns(version=pl.lit(2)))
    book.fold()
    alone = book.history().drift(Window(NOW - 2 * WEEK, NOW), version=2).features
    assert max(feature.psi or 0 for feature in alone) > 1
    assert "drift" not in [reason.rule for reason in book.history().health(NOW, version=2).reasons]


def test_a_model_gone_stale_is_critical_with_a_true_sentence(book: Book) -> None:
    keep(book, traffic(20_000, NOW - 16 * WEEK, NOW - 4 * WEEK, noise=0.3))
    keep(book, traffic(8_000, NOW - 4 * WEEK, NOW, seed=6, noise=3.0))
    book.fold()
    health = book.history().health(NOW)
    reason = health.reasons[0]
    assert (health.state, reason.rule, reason.act) == (State.CRITICAL, "auc_decay", "Retrain")
    assert reason.value is not None
    assert f"{reason.value:.3f} below its best" in reason.sentence
    assert reason.sentence.endswith("; the rule allows 0.03")
