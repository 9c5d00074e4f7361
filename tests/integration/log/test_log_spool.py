"""The spool: nothing is acknowledged before it is written, and nothing stops the writer for good."""

import resource
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pilothouse.data.errors import DamagedFile, DiskFull, LogBusy, LogUnavailable
from pilothouse.data.log.pending import pending
from pilothouse.data.log.room import Limits
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


def alter(log, statement: str) -> None:
    """What a disk that flips bits does to a spool file, as far as SQLite still reads it."""
    with closing(sqlite3.connect(log.workspace.spool / "service-0.sqlite")) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "altered",
    [
        "body = CAST(replace(CAST(body AS TEXT), '1.5', '1.7') AS BLOB)",
        "body = 'text'",
        "rows = 7",
        "rows = 'x'",
        "caller_ids = 0",
        "format = 'arrow'",
        "format = CAST(x'ff00' AS TEXT)",
        "seq = 900",
    ],
)
def test_an_altered_entry_is_no_row_but_is_counted_and_hides_none_after_it(log, altered: str) -> None:
    log.write(log.predictions(["a"]), log.predictions(["b"]), log.predictions(["c"]))
    alter(log, f"UPDATE entries SET {altered} WHERE seq = 2")
    assert log.ids() == ["a", "c"]
    report = log.seal()
    assert report.predictions == 2
    assert report.set_aside > 0
    assert log.reader().rows_set_aside() == report.set_aside
    log.write(log.predictions(["d"]))
    assert log.seal().predictions == 1
    assert log.ids() == ["a", "c", "d"]


@pytest.mark.parametrize("altered", ["model = 'flightt'", "kind = 'prediction_'"])
def test_an_entry_whose_model_cannot_be_told_is_counted_as_a_stray(log, altered: str) -> None:
    log.write(log.predictions(["a"]), log.predictions(["b"]))
    alter(log, f"UPDATE entries SET {altered} WHERE seq = 2")
    report = log.seal()
    assert (report.predictions, report.strays, report.set_aside) == (1, 1, 1)
    assert log.seal().by_model == {}


def test_a_spool_file_that_sqlite_cannot_read_is_named_and_the_others_are_sealed(log) -> None:
    with log.spool() as first, log.spool() as second:
        first.append(log.predictions(["a"]))
        second.append(log.predictions(["b"]))
    path = log.workspace.spool / "service-0.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"The file service-0\.sqlite of the table spool is damaged"):
        log.ids()
    report = log.seal()
    assert [damage.file for damage in report.damaged] == ["service-0.sqlite"]
    assert report.predictions == 1


def test_a_file_of_before_there_were_checksums_is_read_and_written(log) -> None:
    log.write(log.predictions(["a"]))
    alter(log, "ALTER TABLE entries DROP COLUMN crc")
    assert log.ids() == ["a"]
    log.write(log.predictions(["b"]))
    assert log.seal().predictions == 2


def test_a_queue_that_is_full_refuses_at_once_and_takes_again_later(log) -> None:
    slow, release = threading.Event(), threading.Event()

    def hesitating(path: Path, durability: Durability) -> sqlite3.Connection:
        slow.set()
        assert release.wait(10)
        return connect(path, durability)

    limits = Limits(spool_bytes=1 << 30, min_free_bytes=0, queued_rows=3)
    with log.spool(durability="async", connect=hesitating, limits=limits) as spool:
        assert spool.submit(log.predictions(["a", "b", "c"])).exception() is None
        assert slow.wait(10)
        with pytest.raises(LogBusy, match="3 rows wait to be written, 3 are allowed"):
            spool.append(log.predictions(["d"]))
        release.set()
        while spool.submit(log.predictions(["e"])).exception() is not None:
            time.sleep(0.01)
    assert log.ids() == ["a", "b", "c", "e"]


def test_rows_are_refused_while_the_disk_is_short_or_too_much_waits_and_taken_again(log, monkeypatch) -> None:
    monkeypatch.setattr("pilothouse.data.log.room.LOOK_EVERY_S", 0)
    with log.spool(limits=Limits(spool_bytes=200_000, min_free_bytes=0)) as spool:
        spool.append(log.predictions(BIG * 4))
        with pytest.raises(LogBusy, match=r"0 MB in service-0\.sqlite wait to be written, 0 MB are allowed"):
            spool.append(log.predictions(["a"]))
        log.seal()
        spool.append(log.predictions(["b"]))
    free = shutil.disk_usage(log.workspace.spool).free
    with (
        log.spool(limits=Limits(spool_bytes=1 << 30, min_free_bytes=2 * free)) as spool,
        pytest.raises(DiskFull, match=r"have to stay free\. Nothing was taken"),
    ):
        spool.append(log.predictions(["c"]))


@contextmanager
def no_file_may_exceed(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_stops_writing_in_the_middle_leaves_no_half_and_is_got_over(log, monkeypatch) -> None:
    """The kernel cuts the write short, as a full disk does: first in the spool, then under the sealer."""
    monkeypatch.setattr("pilothouse.data.log.room.LOOK_EVERY_S", 0)
    many = [f"{number:04d}" for number in range(4000)]
    log.write(log.predictions(many))
    with log.spool() as spool, no_file_may_exceed(20_000), pytest.raises(LogUnavailable, match=r"service-0\.sqlite"):
        spool.append(log.predictions(["refused"] * 2000))
    limit = ExitStack()

    def full(point: str) -> None:
        if point == "seal:read":
            limit.enter_context(no_file_may_exceed(2_000))

    with limit, pytest.raises(OSError, match="File too large"):
        log.seal(crash=full)
    table = log.workspace.predictions("flights")
    assert [path for path in table.rglob("*") if path.is_file() and path.parent.name.startswith("day=")] == []
    log.write(log.predictions(["after"]))
    assert log.seal().predictions == 4001
    assert log.ids() == [*many, "after"]
