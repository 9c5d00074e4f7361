"""Keeping less of single rows: what goes, what stays, that roll-ups never notice, and a death at each step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import OnlyRollups
from pilothouse.data.log.retention import Ages, keep, sampled
from pilothouse.data.log.rewrite import ModelLog
from pilothouse.data.log.schema import Role
from pilothouse.data.policies import ColumnClass, LabelPolicy, LogPolicy
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.gaps import lacks_rows, raw_from
from pilothouse.data.rollups.store import stored_periods, stored_rows
from pilothouse.ops.house import House

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
ROWS = 900
DAYS = 30


class Killed(Exception):
    """What a crash point raises here in the place of a death."""


@pytest.fixture(scope="module")
def thirty_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days of loans up to NOW, thirty rows a day, each with an entity and a label told three days later."""
    made = make_small(tmp_path_factory.mktemp("thirty") / "house")
    made.clock = lambda: NOW
    at = [NOW - timedelta(days=DAYS) + timedelta(minutes=48 * n) for n in range(ROWS)]
    rows = planted(ROWS, seed=5)
    ids = [f"loan-{n:05}" for n in range(ROWS)]
    frame = rows.drop("failed").with_columns(
        pl.Series("id", ids), pl.Series("at", at), pl.Series("entity_id", [f"person-{n % 300}" for n in range(ROWS)]),
        pl.Series("score", np.linspace(0, 1, ROWS)), pl.Series("prediction", rows["failed"]),
    )  # fmt: skip
    made[MODEL].log(frame, version=1)
    told = [time + timedelta(days=3) for time in at]
    labels = pl.DataFrame({"id": ids, "label": rows["failed"], "observed_at": told, "recorded_at": told})
    made[MODEL].label(labels.filter(pl.col("recorded_at") < NOW))
    made.catch_up()
    made.close()
    return made.workspace.root


@pytest.fixture
def house(thirty_days: Path, tmp_path: Path) -> House:
    opened = House.open(shutil.copytree(thirty_days, tmp_path / "house"))
    opened.clock = lambda: NOW
    return opened


def log_of(house: House, crash: Callable[[str], None] = lambda point: None) -> ModelLog:
    handle = house[MODEL]
    row = replace(handle.row, classes={"purpose": ColumnClass.SENSITIVE}, label_policy=LabelPolicy())
    return ModelLog(
        workspace=house.workspace, model=row, profile=handle.profile, settings=house.settings, clock=lambda: NOW,
        crash=crash,
    )  # fmt: skip


def rollups(house: House) -> pl.DataFrame:
    folder = log_of(house).rollups()
    rows = stored_rows(folder, stored_periods(folder))
    return rows.sort(rows.columns)


def rows_of(house: House) -> pl.DataFrame:
    return house[MODEL].prediction_log.predictions(roles=tuple(Role))


def test_ages_are_whole_days_back_from_today() -> None:
    policy = LogPolicy(keep_days=90, keep_private_days=30, full_days=7, sample_share=1.0)
    ages = Ages.of(policy, date(2026, 3, 31))
    assert (ages.removed, ages.emptied, ages.thinned) == (date(2025, 12, 31), date(2026, 3, 1), None)


def test_old_days_go_and_roll_ups_stay(house: House) -> None:
    before, log = rollups(house), log_of(house)
    told = keep(log, LogPolicy(keep_days=20), write=False)
    assert rows_of(house).height == ROWS
    done = keep(log, LogPolicy(keep_days=20))
    assert (done.rows_removed, done.labels_removed) == (told.rows_removed, told.labels_removed)
    left = rows_of(house)
    assert done.rows_removed == ROWS - left.height > 0
    assert left["at"].min() == datetime(2026, 3, 11, 0, 0, tzinfo=UTC)
    assert rollups(house).equals(before)
    assert raw_from(log.rollups()) == date(2026, 3, 11)
    assert keep(log, LogPolicy(keep_days=20)).nothing


def test_a_rebuild_keeps_the_days_whose_rows_are_gone(house: House) -> None:
    log = log_of(house)
    keep(log, LogPolicy(keep_days=20))
    before = rollups(house)
    model = log.model
    rebuild(log.workspace, MODEL, model.signature, log.profile, model.label_policy, log.settings, clock=log.clock)
    after = rollups(house)
    keys = [c for c in after.columns if c not in ("s", "s2")]
    assert after.select(keys).equals(before.select(keys))
    np.testing.assert_allclose(after["s"], before["s"], rtol=1e-12, atol=1e-9)


def test_old_rows_become_a_weighted_sample(house: House) -> None:
    before, log = rollups(house), log_of(house)
    keep(log, LogPolicy(full_days=10, sample_share=0.2))
    left = rows_of(house)
    old = left.filter(pl.col("at") < datetime(2026, 3, 21, tzinfo=UTC))
    young = left.filter(pl.col("at") >= datetime(2026, 3, 21, tzinfo=UTC))
    assert young["weight"].null_count() == young.height
    assert set(old["weight"]) == {1.0, 5.0}
    all_old = ROWS - young.height
    assert old["weight"].sum() == pytest.approx(all_old, rel=0.2)
    assert all(sampled(row, 0.2) for row in old.filter(pl.col("weight") == 5.0)["prediction_id"])
    labels = house[MODEL].prediction_log.labelled(columns=("prediction_id", "weight"), roles=tuple(Role))
    kept = labels.filter(pl.col("weight") == 1.0)["label"].drop_nulls().unique().to_list()
    assert len(kept) == 1
    assert rollups(house).equals(before)
    assert keep(log, LogPolicy(full_days=10, sample_share=0.2)).nothing


def test_old_rows_lose_what_is_private(house: House) -> None:
    log = log_of(house)
    done = keep(log, LogPolicy(keep_private_days=10))
    rows = rows_of(house)
    old = rows.filter(pl.col("at") < datetime(2026, 3, 21, tzinfo=UTC))
    assert rows.height == ROWS
    assert done.rows_emptied == old.height
    assert old["entity_id"].null_count() == old["x_purpose"].null_count() == old.height
    assert old["x_amount"].null_count() == 0
    assert rows.filter(pl.col("at") >= datetime(2026, 3, 21, tzinfo=UTC))["entity_id"].null_count() == 0
    assert raw_from(log.rollups()) is None
    assert not lacks_rows(log.rollups(), date(2026, 3, 1))


def test_a_label_by_key_outlives_the_key_and_is_corrected_once(house: House) -> None:
    at = NOW - timedelta(days=29)
    row = planted(1, seed=9).drop("failed").with_columns(
        pl.Series("id", ["keyed-1"]), pl.Series("at", [at]), pl.Series("keys", ['{"contract":7}']),
        prediction=0, score=pl.lit(0.5),
    )  # fmt: skip
    handle = house[MODEL]
    handle.log(row, version=1)
    told = at + timedelta(days=1)
    handle.label(pl.DataFrame({"key": ['{"contract":7}'], "label": [1], "observed_at": [told], "recorded_at": [told]}))
    house.catch_up()
    before = handle.history.performance(handle.window("60d"))
    done = keep(log_of(house), LogPolicy(keep_private_days=10))
    assert done.labels_emptied == 1
    labels = log_of(house).labels().files()
    assert pl.read_parquet(labels, hive_partitioning=False)["key"].null_count() == before.labelled
    assert handle.prediction_log.find(handle.window("60d"), limit=1, id="keyed-1")["label"].to_list() == [1]
    correction = {"id": ["keyed-1"], "label": [0], "observed_at": [NOW], "recorded_at": [NOW]}
    handle.label(pl.DataFrame(correction))
    house.catch_up()
    after = handle.history.performance(handle.window("60d"))
    assert after.labelled == before.labelled
    assert after.metrics["positive_rate"].value == pytest.approx(
        before.metrics["positive_rate"].value - 1 / before.labelled  # type: ignore[operator]
    )


def test_an_exact_question_about_thinned_days_is_refused(house: House) -> None:
    keep(log_of(house), LogPolicy(full_days=10, sample_share=0.2))
    handle = house[MODEL]
    with pytest.raises(OnlyRollups, match="only from 2026-03-21 on"):
        handle.history.drift(handle.window("60d"), exact=True)
    assert handle.history.drift(handle.window("60d")).rows == ROWS
    assert handle.history.drift(handle.window("5d"), exact=True).rows > 0


POLICY = LogPolicy(keep_days=25, keep_private_days=20, full_days=10, sample_share=0.5)


@pytest.mark.parametrize("point", ["keep:marked", "keep:labels", "keep:removed", "keep:day"])
def test_a_death_in_the_middle_is_made_good_by_the_next_turn(house: House, point: str) -> None:
    before = rollups(house)

    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    with pytest.raises(Killed):
        keep(log_of(house, die), POLICY)
    house.catch_up()
    assert rollups(house).equals(before)
    keep(log_of(house), POLICY)
    assert rollups(house).equals(before)
    left = rows_of(house)
    assert left["at"].min() >= datetime(2026, 3, 6, tzinfo=UTC)
    assert left.filter(pl.col("at") < datetime(2026, 3, 11, tzinfo=UTC))["entity_id"].null_count() > 0
    assert keep(log_of(house), POLICY).nothing
