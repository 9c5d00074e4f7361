"""The fold: whatever the order of predictions, labels, corrections, compactions and crashes, figures equal a recount."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.integration.history.conftest import NOW, Book, Label, Prediction, at
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import CommitConflict, Unavailable
from pilothouse.data.log.schema import Role
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.rollups.fold import FoldReport, rebuild
from pilothouse.data.rollups.schema import SUMS
from pilothouse.data.rollups.store import compact_rollups, rollup_folder, stored_periods, stored_rows
from pilothouse.data.settings import Settings
from pilothouse.data.windows import Window

START = NOW - timedelta(days=12)


def test_a_second_fold_finds_nothing_to_do(book: Book) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3)])
    assert book.fold() == FoldReport(predictions=1, outcomes=0, rollup_rows=8)
    assert book.fold() == FoldReport()


@pytest.mark.parametrize("point", ["fold:computed", "fold:appended"])
def test_a_fold_killed_half_way_counts_once(book: Book, point: str) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3), Prediction("b", at("04-01 11:00"), 0.8)])
    book.tell([Label(1.0, at("04-01 12:00"), at("04-01 12:00"), id="b")])

    def die(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt(reached)

    with pytest.raises(KeyboardInterrupt, match=point):
        book.fold(crash=die)
    book.fold()
    found = book.history().performance(Window(at("04-01 00:00"), at("04-02 00:00")))
    assert (found.rows, found.labelled, found.metrics["positive_rate"].value) == (2, 1, 1.0)


def test_of_two_folds_at_once_one_is_told_so(book: Book) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3)])

    def another(point: str) -> None:
        if point == "fold:computed":
            book.fold()

    with pytest.raises(CommitConflict):
        book.fold(crash=another)
    assert book.history().performance(Window(at("04-01 00:00"), at("04-02 00:00"))).rows == 1


def test_a_correction_takes_away_on_the_day_it_came(book: Book) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3)])
    book.tell([Label(1.0, at("04-01 12:00"), at("04-01 12:00"), id="a")])
    book.fold()
    book.tell([Label(0.0, at("04-01 13:00"), at("04-03 09:00"), id="a")])
    book.fold()
    history, day = book.history(), Window(at("04-01 00:00"), at("04-02 00:00"))
    then = history.performance(day, as_known=at("04-03 00:00"))
    now = history.performance(day)
    assert (then.labelled, then.metrics["positive_rate"].value) == (1, 1.0)
    assert (now.labelled, now.metrics["positive_rate"].value) == (1, 0.0)
    assert history.performance(day, as_known=at("04-01 00:00")).labelled == 0


def test_a_key_labels_every_prediction_within_the_horizon_before_it(book: Book) -> None:
    key = '{"flight":"AA1"}'
    book.log([Prediction("a", at("04-01 10:00"), 0.3, keys=key), Prediction("b", at("04-02 10:00"), 0.3, keys=key)])
    book.log([Prediction("c", at("04-06 10:00"), 0.3, keys=key)])
    book.fold()
    book.tell([Label(1.0, at("04-04 09:00"), at("04-04 09:00"), key=key)])
    book.fold()
    assert [p.labelled for p in book.history().performance_trend(Window(START, NOW), timedelta(days=20))] == [2]


def test_a_log_that_no_longer_knows_what_came_is_counted_anew(book: Book) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3)])
    book.fold()
    folded = prediction_folder(book.workspace, "flights", book.signature).version
    assert folded is not None
    for name in ("b", "c"):
        book.log([Prediction(name, at("04-01 11:00"), 0.3)])
    folder = prediction_folder(book.workspace, "flights", book.signature)
    folder.table().create_checkpoint()
    folder.journal.keep_checkpoint(folded + 2)
    folder.journal.entry(folded + 1).unlink()
    assert book.fold().rebuilt
    assert book.history().performance(Window(at("04-01 00:00"), at("04-02 00:00"))).rows == 3


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events_equals_a_recount(book: Book, seed: int) -> None:
    dice = random.Random(seed)
    book.settings = Settings(hours_kept_days=dice.choice([2, 60]))
    for _ in range(25):
        dice.choices([_predict, _predict, _tell, _tell, _compact_log, _compact_rollups, _fold, _fold])[0](book, dice)
    book.fold()
    history = book.history()
    for window in _windows(dice):
        for known in (None, *(START + timedelta(days=dice.randrange(14)) for _ in range(2))):
            midnight = None if known is None else known.replace(hour=0, minute=0)
            _assert_recount(book, history.performance(window, as_known=midnight), window, midnight)
    kept = _day_rollups(book)
    rebuild(book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, clock=lambda: NOW)
    anew = _day_rollups(book)
    assert kept.drop(SUMS).equals(anew.drop(SUMS))
    assert (kept.select(SUMS) - anew.select(SUMS)).select(pl.all().abs().max()).max_horizontal()[0] < 1e-9


def _windows(dice: random.Random) -> Iterator[Window]:
    yield Window(START, NOW)
    for _ in range(4):
        first = START + timedelta(minutes=dice.randrange(12 * 24 * 60))
        yield Window(first, first + timedelta(minutes=dice.randrange(1, 6 * 24 * 60)))


def _predict(book: Book, dice: random.Random) -> None:
    made = []
    for _ in range(dice.randrange(1, 12)):
        when = START + timedelta(seconds=dice.randrange(12 * 86_400))
        row = Prediction(
            id=f"{dice.randrange(10**12):012d}",
            at=when,
            score=dice.choice([None, dice.random(), dice.random(), dice.random()]),
            version=dice.choice([1, 2]),
            logged_after=timedelta(hours=dice.choice([0, 0, 40])),
            keys=dice.choice([None, None, '{"flight":"AA1"}', '{"flight":"BB2"}']),
        )
        made += [row, replace(row, version=3, role=Role.SHADOW)] if dice.random() < 0.2 else [row]
    book.log(made)


def _tell(book: Book, dice: random.Random) -> None:
    """Labels for rows logged or not, some twice, some contradicting, some told late, some found by key."""
    told = []
    for _ in range(dice.randrange(1, 10)):
        known = [row.id for row in book.predictions] or ["early"]
        observed = START + timedelta(seconds=dice.randrange(13 * 86_400))
        told_after = timedelta(hours=dice.choice([0, 1, 30, 100]))
        label = Label(dice.choice([0.0, 1.0]), observed, observed + told_after, id=dice.choice(known))
        if dice.random() < 0.25:
            label = replace(label, id=None, key=dice.choice(['{"flight":"AA1"}', '{"flight":"CC3"}']))
        told.append(label)
    book.tell(told)


def _compact_log(book: Book, dice: random.Random) -> None:
    for folder in (
        prediction_folder(book.workspace, "flights", book.signature),
        label_folder(book.workspace, "flights", book.signature),
    ):
        folder.compact()


def _compact_rollups(book: Book, dice: random.Random) -> None:
    compact_rollups(rollup_folder(book.workspace, "flights"), crowded=1)


def _fold(book: Book, dice: random.Random) -> None:
    now = START + timedelta(days=dice.randrange(13))
    book.fold(clock=lambda: now)


def _assert_recount(book: Book, found: object, window: Window, known: datetime | None) -> None:
    from pilothouse.data.history.results import Performance

    assert isinstance(found, Performance)
    until = None if known is None else (known - timedelta(days=1)).date()
    rows = [
        row
        for row in book.predictions
        if row.at in window and row.role is not Role.SHADOW and (until is None or row.logged_at.date() <= until)
    ]
    labels = book.known_labels(rows, until)
    positive = sum(1 for label in labels.values() if label == 1.0)
    assert (found.rows, found.labelled) == (len(rows), len(labels))
    if labels:
        assert found.metrics["positive_rate"].value == pytest.approx(positive / len(labels))
    scored = {row: label for row, label in labels.items() if row.score is not None}
    if scored:
        brier = sum(((row.score or 0.0) - label) ** 2 for row, label in scored.items()) / len(scored)
        assert found.metrics["brier"].value == pytest.approx(brier, abs=1e-9)


def _day_rollups(book: Book) -> pl.DataFrame:
    folder = rollup_folder(book.workspace, "flights")
    summed = stored_rows(folder, stored_periods(folder)).filter(
        (pl.col("n") != 0) | (pl.col("s").abs() > 1e-9) | (pl.col("s2").abs() > 1e-9)
    )
    keys = [name for name in summed.columns if name not in SUMS]
    return summed.filter(pl.col("tier") == "day").sort(keys)


def test_another_time_zone_is_counted_anew_and_never_answered_from_the_old_buckets(tmp_path: Path) -> None:
    house = make_small(tmp_path / "w")
    model, first = house[MODEL], at("03-01 00:00")
    rows = planted(500, seed=5).drop("failed")
    model.log(model.predict(rows.with_columns(at=pl.Series([first + timedelta(minutes=20 * i) for i in range(500)]))))
    house.catch_up()
    week = Window(first, first + timedelta(days=7))
    assert model.history.performance(week).rows == 500
    house.settings = replace(house.settings, time_zone="America/New_York")
    with pytest.raises(Unavailable, match="counted in another time zone than America/New_York"):
        model.history.performance(week)
    house.catch_up()
    assert model.history.performance(week).rows == 500
    house.close()
