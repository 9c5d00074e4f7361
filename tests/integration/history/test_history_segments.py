"""Segments: counts and performance by a column's values, the same from roll-ups, from the log's rows and by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.integration.history.conftest import NOW, SIGNATURE, Book, Label, Prediction, at

from pilothouse.data.errors import OnlyRollups, UnknownColumn
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.gaps import mark_raw_from
from pilothouse.data.rollups.recount import recount
from pilothouse.data.rollups.schema import SUMS
from pilothouse.data.rollups.segments import SegmentColumn, load_segments, save_segments
from pilothouse.data.rollups.store import rollup_folder, stored_periods, stored_rows
from pilothouse.data.settings import Settings
from pilothouse.data.windows import Window

START = at("04-01 00:00")
WEEK = Window(START + timedelta(hours=5), START + timedelta(days=6, hours=7))
CARRIERS = ("AA", "BB", "ZZ", None)


def watch(book: Book, *values: str) -> None:
    column = SegmentColumn.of(SIGNATURE, "flights", "carrier", pl.Series(values))
    book.profile = replace(book.profile, segments=(column,))


def fill(book: Book, rows: int = 400) -> list[Prediction]:
    """A week of rows; scores are right for AA, wrong for BB and chance for the others; two of three are labelled."""
    dice = np.random.default_rng(3)
    made, told = [], []
    for n in range(rows):
        carrier = CARRIERS[n % 4]
        late = bool(dice.random() < 0.5)
        chance = {"AA": 0.9 if late else 0.1, "BB": 0.1 if late else 0.9}.get(carrier or "", 0.5)
        when = START + timedelta(minutes=25 * n)
        made.append(Prediction(f"r{n}", when, chance + dice.uniform(-0.05, 0.05), carrier=carrier))
        if n % 3:
            told.append(Label(float(late), when + timedelta(hours=1), when + timedelta(hours=1), id=f"r{n}"))
    book.log(made[: rows // 2])
    book.fold()
    book.tell(told)
    book.log(made[rows // 2 :])
    return made


def by_value(book: Book, window: Window = WEEK) -> dict[str, tuple[int, int, float | None]]:
    found = book.history().segments("carrier", window)
    return {s.value: (s.rows, s.labelled, s.metrics["roc_auc"].value) for s in found.segments}


def test_each_segment_has_its_own_rows_labels_and_auc(book: Book) -> None:
    watch(book, "AA", "AA", "BB")
    made = [row for row in fill(book) if row.at in WEEK]
    book.fold()
    table = book.history().segments("carrier", WEEK)
    assert table.watched
    assert table.segments[0].value == "BB"
    labelled = book.known_labels(made)
    found = by_value(book)
    for value, carrier in (("AA", "AA"), ("BB", "BB"), ("other", "ZZ"), ("missing", None)):
        rows = [row for row in made if row.carrier == carrier]
        assert found[value][:2] == (len(rows), sum(1 for row in rows if row in labelled)), value
    assert (found["AA"][2], found["BB"][2]) == (pytest.approx(1.0), pytest.approx(0.0))
    assert 0.2 < (found["other"][2] or 0.0) < 0.8


def test_watched_or_read_row_by_row_the_answer_is_the_same(book: Book) -> None:
    watch(book, "AA", "BB", "ZZ")
    fill(book)
    book.fold()
    watched = by_value(book)
    book.profile = replace(book.profile, segments=())
    table = book.history().segments("carrier", WEEK)
    assert not table.watched
    assert by_value(book) == watched


def test_a_correction_moves_only_its_own_segment(book: Book) -> None:
    watch(book, "AA", "BB", "ZZ")
    made = fill(book)
    book.fold()
    before = by_value(book)
    row = next(row for row in made if row.carrier == "AA" and row in book.known_labels([row]) and row.at in WEEK)
    wrong = 1.0 - book.known_labels([row])[row]
    book.tell([Label(wrong, row.at + timedelta(hours=2), row.at + timedelta(hours=2), id=row.id)])
    book.fold()
    after = by_value(book)
    assert after["AA"][1] == before["AA"][1]
    assert (after["AA"][2] or 1.0) < 1.0
    assert {v: after[v] for v in after if v != "AA"} == {v: before[v] for v in before if v != "AA"}


def test_fold_rebuild_and_recount_agree_cell_by_cell(book: Book) -> None:
    watch(book, "AA", "BB")
    fill(book)
    book.fold()
    report = recount(
        book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, at("04-03 00:00").date()
    )
    assert report.differing == 0
    kept = cells(book)
    assert set(kept["part"]) >= {"segment-volume", "segment-outcome"}
    rebuild(book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, clock=lambda: NOW)
    anew = cells(book)
    assert kept.drop(SUMS).equals(anew.drop(SUMS))
    assert (kept.select(SUMS) - anew.select(SUMS)).select(pl.all().abs().max()).max_horizontal()[0] < 1e-9


def test_other_segments_are_counted_anew_once(book: Book) -> None:
    fill(book)
    assert not book.fold().rebuilt
    watch(book, "AA", "BB")
    assert not book.history().segments("carrier", WEEK).watched
    assert book.fold().rebuilt
    assert not book.fold().rebuilt
    assert book.history().segments("carrier", WEEK).watched
    book.profile = replace(book.profile, segments=())
    assert book.fold().rebuilt
    assert not book.fold().rebuilt


def test_values_once_told_apart_stay_told_apart(book: Book, tmp_path) -> None:
    first = SegmentColumn.of(SIGNATURE, "flights", "carrier", pl.Series(["AA", "BB"]))
    wind = SegmentColumn.of(SIGNATURE, "flights", "wind", pl.Series(np.arange(1000.0)))
    save_segments(tmp_path, [first])
    save_segments(tmp_path, [wind])
    assert [column.name for column in load_segments(tmp_path)] == ["wind"]
    again = SegmentColumn.of(SIGNATURE, "flights", "carrier", pl.Series(["CC"]))
    assert [label for label, _ in save_segments(tmp_path, [again])[0].labels()][:2] == ["AA", "BB"]
    assert [label for label, _ in wind.labels()][:3] == ["below 0", "0 to 99", "99 to 199"]


def test_a_column_that_is_not_logged_is_told(book: Book) -> None:
    fill(book, 10)
    book.fold()
    with pytest.raises(UnknownColumn, match=r"flights logs no column .carier.*Did you mean .carrier."):
        book.history().segments("carier", WEEK)


def cells(book: Book) -> pl.DataFrame:
    folder = rollup_folder(book.workspace, "flights")
    return stored_rows(folder, stored_periods(folder)).sort(pl.all())


def test_days_without_their_rows_are_answered_as_wholes(book: Book) -> None:
    watch(book, "AA", "BB", "ZZ")
    book.settings = Settings(hours_kept_days=1)
    made = fill(book)
    book.fold()
    mark_raw_from(rollup_folder(book.workspace, "flights"), at("04-05 00:00").date())
    whole = Window(START, WEEK.end)
    assert book.history().performance(WEEK).rows == len([row for row in made if row.at in whole])
    assert sum(rows for rows, _, _ in by_value(book).values()) == len([row for row in made if row.at in whole])
    with pytest.raises(OnlyRollups, match="2026-04-05"):
        book.history().segments("wind", WEEK)
