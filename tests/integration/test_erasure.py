"""One entity is erased from everywhere, and nobody else's rows go with it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import NoReason, NotAllowed
from pilothouse.data.log.erasure import leftovers
from pilothouse.data.log.frames import append_frame
from pilothouse.data.log.pending import pending
from pilothouse.data.log.spool import Entry, EntryKind, Format, Spool
from pilothouse.data.rollups.gaps import lacks_rows
from pilothouse.data.rollups.store import rollup_folder, stored_periods, stored_rows
from pilothouse.data.signature import Feature, Kind
from pilothouse.data.state.transfer import transfer
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.faults import Faults
from pilothouse.ops.governance.erasure import _Erasure
from pilothouse.ops.governance.log_policy import model_log
from pilothouse.ops.holdings import Holdings
from pilothouse.ops.house import House
from pilothouse.ops.pipeline import snapshot
from pilothouse.ops.upkeep import Upkeep

EVE = "eve-4f1d9c77-unmistakable"
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
ROWS = 400


class Killed(Exception):
    """What a crash point raises here in the place of a death."""


def rows_at(rows: int, first: int) -> pl.DataFrame:
    at = [NOW - timedelta(days=20) + timedelta(hours=n) for n in range(rows)]
    return planted(rows, seed=first).drop("failed").with_columns(
        pl.Series("id", [f"loan-{first + n:05}" for n in range(rows)]), pl.Series("at", at),
        pl.Series("entity_id", [EVE if n % 10 == 3 else f"person-{n}" for n in range(rows)]),
        pl.Series("keys", [f'{{"contract":{first + n}}}' for n in range(rows)]),
        pl.Series("score", np.linspace(0, 1, rows)), pl.Series("prediction", [n % 2 for n in range(rows)]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eve in sealed rows, in labels by id and by key, in a snapshot, in rows set aside, and in rows still in the spool."""
    house = make_small(tmp_path_factory.mktemp("known") / "house")
    house.clock = lambda: NOW
    frame = rows_at(ROWS, 0)
    handle = house[MODEL]
    handle.log(frame, version=1)
    told = [at + timedelta(days=1) for at in frame["at"]]
    labels = pl.DataFrame({"label": [n % 2 for n in range(ROWS)], "observed_at": told, "recorded_at": told})
    handle.label(labels.with_columns(frame["id"]).head(200))
    handle.label(labels.with_columns(frame["keys"].alias("key")).tail(200))
    house.catch_up()
    labelled = handle.prediction_log.labelled(columns=("prediction_id", "at", "x_amount"))
    snapshot.keep(house.store, labelled.drop("observed_at", "recorded_at"))
    with Spool.open(house.workspace.spool, "broken") as spool:
        body = f'{{"version": 1, "ids": ["{EVE}"], "rows": '.encode()
        spool.append(
            Entry(model=MODEL, kind=EntryKind.PREDICTIONS, format=Format.JSON, caller_ids=False, rows=1, body=body)
        )
        # A row by features that the model does not have, as its own writer leaves it in the spool.
        more = replace(handle.signature, features=(*handle.signature.features, Feature(name="rate", kind=Kind.NUMBER)))
        append_frame(spool, MODEL, more, rows_at(1, 2000).with_columns(entity_id=pl.lit(EVE), rate=1.0), version=1)
    house.catch_up()
    handle.log(rows_at(20, 1000), version=1)
    house.close()
    return house.workspace.root


@pytest.fixture
def house(known: Path, tmp_path: Path, kept_in: str) -> Iterator[House]:
    """A copy of `known`, its state in each of the databases that can hold one."""
    opened = House.open(shutil.copytree(known, tmp_path / "house"))
    if kept_in:
        opened.workspace.settings_file.write_text(kept_in)
        file, opened = opened, House.open(opened.workspace.root)
        transfer(file.state, opened.state)
        file.close()
        Path(file.workspace.state_url.removeprefix("sqlite:///")).unlink()
    opened.clock = lambda: NOW
    yield opened
    opened.close()


def rollups(house: House) -> pl.DataFrame:
    folder = rollup_folder(house.workspace, MODEL)
    rows = stored_rows(folder, stored_periods(folder))
    return rows.sort(rows.columns)


def erase_dying_at(house: House, point: str) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    handle = house[MODEL]
    with pytest.raises(Killed):
        _Erasure(handle, replace(model_log(handle), crash=die), EVE, "asked for").run(dry_run=False)


def assert_gone(house: House) -> None:
    assert leftovers(house.workspace, EVE) == []
    handle = house[MODEL]
    rows = handle.prediction_log.labelled(columns=("prediction_id", "entity_id"))
    assert EVE not in rows["entity_id"].to_list()
    assert rows.height == ROWS + 20 - 42
    assert rows.filter(pl.col("label").is_not_null()).height == ROWS - 40
    (kept,) = [p for p in house.store.root.iterdir() if p.read_bytes()[:4] == b"PAR1"]
    assert snapshot.read(house.store, kept.name).height == ROWS - 40


def test_she_is_gone_from_every_file_and_nobody_else_is(house: House) -> None:
    assert leftovers(house.workspace, EVE) != []
    dry = house[MODEL].erase(EVE, reason="asked for", dry_run=True)
    assert (dry.dry_run, dry.complete, dry.rows_removed) == (True, False, 42)
    receipt = house[MODEL].erase(EVE, reason="asked for")
    assert receipt.complete
    removed = {place.name: place.rows_removed for place in receipt.places}
    assert (removed["predictions"], removed["labels"], removed["training snapshot"]) == (42, 40, 40)
    assert removed["rows set aside in spools"] == 2
    assert EVE not in repr(receipt)
    assert_gone(house)
    with pending(house.workspace.spool) as spools:
        assert all(not spool.waiting() for spool in spools)


def test_roll_ups_keep_their_counts_and_know_which_days_lack_rows(house: House) -> None:
    house.catch_up()
    before = rollups(house)
    house[MODEL].erase(EVE, reason="asked for")
    assert rollups(house).equals(before)
    assert lacks_rows(rollup_folder(house.workspace, MODEL), (NOW - timedelta(days=20)).date())


def test_the_receipt_and_the_audit_row_name_no_one(house: House) -> None:
    receipt = house[MODEL].erase(EVE, reason="asked for")
    assert house[MODEL].receipts == (receipt,)
    row = house[MODEL].audit(1)[0]
    assert (row.act, row.details["rows"], row.details["complete"]) == ("erase", receipt.rows_removed, True)
    assert row.details["entity"] == receipt.entity
    assert house.verify_audit() is None


@pytest.mark.parametrize("point", ["erase:marked", "erase:rows"])
def test_after_a_death_the_same_call_ends_it(house: House, point: str) -> None:
    erase_dying_at(house, point)
    receipt = house[MODEL].erase(EVE, reason="asked for")
    assert receipt.complete
    assert {p.name: p.rows_removed for p in receipt.places}["training snapshot"] == 40
    assert_gone(house)


def test_it_needs_a_reason_and_the_right(house: House) -> None:
    with pytest.raises(NoReason, match="An erasure needs a reason"):
        house[MODEL].erase(EVE, reason=" ")
    house.actor = Actor(name="vic", roles=frozenset({Right.OPERATOR}))
    with pytest.raises(NotAllowed, match="needs the role admin"):
        house[MODEL].erase(EVE, reason="asked for")


def test_a_longer_name_is_somebody_else(house: House) -> None:
    receipt = house[MODEL].erase("person-1", reason="asked for")
    assert receipt.complete
    assert "person-10" in house[MODEL].prediction_log.predictions(columns=("entity_id",))["entity_id"].to_list()


def test_a_worker_lends_its_leases_and_goes_on(house: House, worker_turns: Callable[[House], Faults]) -> None:
    faults = worker_turns(house)
    assert house[MODEL].erase(EVE, reason="asked for").complete
    house[MODEL].log(rows_at(20, 2000).filter(pl.col("entity_id") != EVE), version=1)
    deadline = time.monotonic() + 20
    while house[MODEL].history.watermark().behind and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not house[MODEL].history.watermark().behind, faults.listing()
    assert faults.listing() == []


@pytest.fixture
def worker_turns() -> Iterator[Callable[[House], Faults]]:
    """A worker's upkeep that holds all leases and goes on turning in a thread; gives what goes wrong in it."""
    ended, threads = threading.Event(), []

    def start(house: House) -> Faults:
        faults = Faults()
        holdings = Holdings(house.state, "worker-0", house.clock)
        keeper = Upkeep(
            house.workspace, house.state, house.settings, holdings, faults, house.clock, crash=lambda _: None
        )
        keeper.turn()
        assert not Holdings(house.state, "other", house.clock).hold(f"fold {MODEL}")

        def go_on() -> None:
            while not ended.wait(0.1):
                keeper.turn()

        threads.append(threading.Thread(target=go_on))
        threads[0].start()
        return faults

    yield start
    ended.set()
    for thread in threads:
        thread.join()
