"""The spool: nothing is acknowledged before it is written, and nothing stops the writer for good."""

import sqlite3
import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from pilothouse.data.errors import LogUnavailable
from pilothouse.data.log.pending import pending
from pilothouse.data.log.spool import Durability, EntryKind, Spool, connect

BIG = ["x" * 100_000]


class Disk:
    """Opens spool files, whose size is limited while the disk is said to be full."""

    def __init__(self) -> None:
        self.full = False

    def connect(self, path: Path, durability: Durability) -> sqlite3.Connection:
        connection = connect(path, durability)
        pages = 12 if self.full else 1_000_000
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection


def test_what_waits_together_is_committed_together(log) -> None:
    with log.spool() as spool:
        done = [spool.submit(log.predictions([f"p{i}"])) for i in range(500)]
        assert not wait(done, timeout=10).not_done
        with pending(log.workspace.spool) as (file,):
            entries = file.read("flights", EntryKind.PREDICTIONS, after=None)
            assert [e.seq for e in entries] == list(range(1, 501))
            assert file.count("flights", EntryKind.PREDICTIONS, after=498) == 2
            assert file.waiting() == {("flights", EntryKind.PREDICTIONS)}


def test_a_slot_is_used_by_one_and_then_goes_on_under_its_name_and_numbers(log) -> None:
    first, second = log.spool(), log.spool()
    first.append(log.predictions(["a"]))
    assert [s.path.name for s in (first, second)] == ["service-0.sqlite", "service-1.sqlite"]
    with pending(log.workspace.spool) as files:
        name = files[0].id
    first.close()
    log.seal()
    log.write(log.predictions(["b"]))
    with pending(log.workspace.spool) as files:
        assert files[0].id == name
        assert files[0].oldest("flights", EntryKind.PREDICTIONS) == 2
    second.close()
    assert log.seal().predictions == 1


def test_a_full_disk_refuses_the_row_and_is_got_over_without_a_restart(log) -> None:
    disk = Disk()
    with log.spool(connect=disk.connect) as spool:
        spool.append(log.predictions(["before"]))
        spool._disconnect()
        disk.full = True
        with pytest.raises(LogUnavailable, match=r"service-0\.sqlite: database or disk is full"):
            spool.append(log.predictions(BIG))
        disk.full = False
        spool.append(log.predictions(["after"]))
        assert spool.lost_rows == 0
    assert log.ids() == ["after", "before"]


def test_async_does_not_wait_and_counts_what_the_disk_refused(log, caplog) -> None:
    disk = Disk()
    disk.full = True
    with log.spool(durability="async", connect=disk.connect) as spool:
        assert spool.submit(log.predictions(BIG)).done()
    assert spool.lost_rows == 1
    assert "1 accepted rows were lost" in caplog.text


def test_a_closed_spool_takes_nothing(log) -> None:
    spool = log.spool()
    spool.close()
    spool.close()
    with pytest.raises(LogUnavailable, match="the spool is closed"):
        spool.append(log.predictions(["late"]))


def test_full_durability_syncs_each_commit_and_others_less(log) -> None:
    for durability, level in [("full", 2), ("normal", 1), ("async", 0)]:
        with Spool.open(log.workspace.spool, "level", durability) as spool:
            connection = connect(spool.path, spool.durability)
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            connection.close()


class SlowToReturn:
    """A queue whose reader is always faster than the one who puts something in."""

    def __init__(self, queue: Any) -> None:
        self.get, self.empty, self._queue = queue.get, queue.empty, queue

    def put(self, item: Any) -> None:
        self._queue.put(item)
        time.sleep(0.1)


def test_async_is_settled_once_although_the_writer_is_faster(log) -> None:
    with log.spool(durability="async") as spool:
        spool._queue = SlowToReturn(spool._queue)
        assert spool.submit(log.predictions(["a"])).result() is None
    assert log.ids() == ["a"]


def test_a_bulk_import_gives_its_disk_back_beside_a_writer_that_goes_on(log, monkeypatch) -> None:
    monkeypatch.setattr("pilothouse.data.log.pending.WORTH_SHRINKING", 500_000)
    with log.spool() as spool:
        spool.append(log.predictions(["x" * 2_000_000]))
        files = [spool.path, spool.path.with_name(f"{spool.path.name}-wal")]
        assert sum(f.stat().st_size for f in files) > 2_000_000
        assert log.seal().predictions == 1
        assert sum(f.stat().st_size for f in files) < 100_000
        spool.append(log.predictions(["after"]))
        with pending(log.workspace.spool) as (file,):
            assert file.oldest("flights", EntryKind.PREDICTIONS) == 2
            assert not file.shrink()
    assert sorted(log.ids())[0] == "after"
