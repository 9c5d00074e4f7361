"""Sealing: each acknowledged row stands in the table once, whatever happened on the way."""

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.integration.log.conftest import SIGNATURE

from pilothouse.data.log import seal as seal_module
from pilothouse.data.log.frames import append_frame
from pilothouse.data.log.pending import Budget, pending
from pilothouse.data.log.schema import Role
from pilothouse.data.log.spool import Entry, EntryKind, Format
from pilothouse.data.log.tables import compact_log, prediction_folder


def test_rows_and_labels_leave_the_spool_for_the_tables(log) -> None:
    log.write(log.predictions(["a", "b"]), log.label(1, id="a"))
    report = log.seal()
    assert (report.predictions, report.labels, report.duplicates, report.set_aside) == (2, 1, 0, 0)
    with pending(log.workspace.spool) as (file,):
        assert file.waiting() == set()
    assert log.seal().by_model == {}
    assert log.ids() == ["a", "b"]


def test_a_retry_on_another_worker_is_one_row(log) -> None:
    first, second = log.spool(), log.spool()
    first.append(log.predictions(["a", "b"]))
    second.append(log.predictions(["b", "c"], at=log.noon + timedelta(days=1)))
    assert sorted(log.ids()) == ["a", "b", "c"]
    assert (report := log.seal()).predictions == 3
    assert report.duplicates == 1
    second.append(log.predictions(["a"], at=log.noon + timedelta(days=2)))
    first.append(log.predictions(["a"], at=log.noon - timedelta(days=1)))
    assert sorted(log.ids()) == ["a", "b", "c"]
    assert (report := log.seal()).predictions == 0
    assert report.duplicates == 2
    first.close()
    second.close()
    assert sorted(log.ids()) == ["a", "b", "c"]
    assert log.seal().by_model == {}


def test_a_shadow_and_a_batch_have_a_row_of_their_own_for_each_version(log) -> None:
    asides = [
        log.predictions(["a"], version=version, role=role) for role in (Role.SHADOW, Role.BATCH) for version in (2, 3)
    ]
    log.write(log.predictions(["a"]), *asides)
    log.seal()
    log.write(*asides)
    assert log.seal().duplicates == 4
    assert log.reader().count() == 5


@pytest.mark.parametrize("second", [Role.CHAMPION, Role.CANARY])
@pytest.mark.parametrize("sealed_between", [True, False])
def test_a_retry_after_a_promotion_is_no_second_answer(log, sealed_between: bool, second: Role) -> None:
    """The caller has not heard what version 1 said, and sends her request again: version 2 answers it."""
    # The retry is taken by a process whose spool is read first; what was logged first stays all the same.
    with log.spool("a") as after, log.spool("b") as before:
        before.append(log.predictions(["a", "b"], wind=1))
        if sealed_between:
            log.seal()
        later = log.noon + timedelta(minutes=1)
        after.append(log.predictions(["a", "c"], version=2, role=second, wind=2, logged_at=later))
        answers = {"a": (1, 1.0), "b": (1, 1.0), "c": (2, 2.0)}
        for _ in range(2):
            rows = log.reader().predictions(columns=["prediction_id", "version", "x_wind"]).rows()
            assert {id: (version, wind) for id, version, wind in rows} == answers
            assert len(rows) == 3
            log.seal()
    assert log.reader().count() == 3


def test_two_copies_in_one_body_are_one_answer(log) -> None:
    log.write(log.predictions(["a", "b", "a"]))
    assert (report := log.seal()).predictions == 2
    assert report.duplicates == 1


def test_an_unreadable_entry_is_kept_counted_and_in_nobodys_way(log) -> None:
    torn = Entry(
        model="flights", kind=EntryKind.PREDICTIONS, format=Format.JSON, caller_ids=False, rows=3, body=b"\xff\x00"
    )
    log.write(log.predictions(["a"]), torn, log.predictions(["b"]))
    assert log.ids() == ["a", "b"]
    report = log.seal(clock=lambda: log.noon)
    assert (report.predictions, report.set_aside) == (2, 3)
    assert log.reader().rows_set_aside() == 3
    with sqlite3.connect(log.workspace.spool / "service-0.sqlite") as connection:
        body, reason, at = connection.execute("SELECT body, reason, at FROM set_aside").fetchone()
    connection.close()
    assert body == b"\xff\x00"
    assert "JSON is malformed" in reason
    assert at == "2026-03-03T12:00:00+00:00"
    assert log.seal().by_model == {}


def test_rows_of_a_model_without_signature_wait_and_are_named(log) -> None:
    log.write(log.predictions(["a"]))
    report = seal_module.seal(log.workspace, {}, seal_module.Settings())
    assert (report.unknown, report.predictions) == (("flights",), 0)
    assert log.seal().predictions == 1


def test_a_long_queue_is_sealed_in_turns(log, monkeypatch) -> None:
    monkeypatch.setattr(seal_module, "TURN", Budget(rows=4, size=1_000_000))
    log.write(*(log.predictions([f"{i}a", f"{i}b", f"{i}c"], caller_ids=False) for i in range(5)))
    assert log.seal().predictions == 15
    folder = prediction_folder(log.workspace, "flights", log.signature)
    assert folder.version == 3
    assert len(set(log.ids())) == 15


def test_a_sealer_that_dies_while_another_seals_loses_and_doubles_nothing(log) -> None:
    """The second sealer takes its whole turn between two steps of the first."""
    for point in ("read", "written", "committed", "appended", "forgotten"):
        log.write(log.predictions([f"{point}-{i}" for i in range(3)]), log.label(1, id=f"{point}-0"))
        asides = []

        def interrupt(reached: str, point: str = point, asides: list = asides) -> None:
            if reached in (f"seal:{point}", f"seal:labels-{point}"):
                asides.append(log.seal())

        log.seal(crash=interrupt)
        assert asides
    assert len(log.ids()) == len(set(log.ids())) == 15
    assert log.reader().labelled()["label"].sum() == 5
    with pending(log.workspace.spool) as (file,):
        assert file.waiting() == set()


def test_two_sealers_at_once_while_rows_arrive(log) -> None:
    written, stop, failures = [], threading.Event(), []

    def sealing() -> None:
        try:
            while not stop.is_set():
                log.seal()
        except Exception as error:
            failures.append(error)

    sealers = [threading.Thread(target=sealing) for _ in range(2)]
    for thread in sealers:
        thread.start()
    with log.spool() as spool, log.spool() as other:
        for i in range(150):
            entry = log.predictions([f"p{i}"])
            (spool, other)[i % 2].append(entry)
            if i % 10 == 0:
                other.append(entry)
            written.append(f"p{i}")
    stop.set()
    for thread in sealers:
        thread.join()
    log.seal()
    assert failures == []
    assert sorted(log.ids()) == sorted(written)
    assert log.reader().unsealed_rows() == 0


def test_nothing_is_forgotten_that_could_not_be_synced(log, monkeypatch) -> None:
    """The commit stands, its sync fails: the rows stay in the spool until the next sealer has made it durable."""

    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error")

    log.write(log.predictions(["a"]))
    with monkeypatch.context() as patched:
        patched.setattr("pilothouse.data.delta.journal.fsync_file", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            log.seal()
    log.seal()
    log.write(log.predictions(["b"]))
    with monkeypatch.context() as patched:
        patched.setattr("pilothouse.data.delta.journal.fsync_file", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            log.seal()
    with pending(log.workspace.spool) as (file,):
        assert file.oldest("flights", EntryKind.PREDICTIONS) == 2
    newest = log.workspace.predictions("flights") / "_delta_log" / f"{2:020d}.json"
    unsynced = newest.stat().st_ino
    assert log.seal().predictions == 0
    assert newest.stat().st_ino != unsynced
    with pending(log.workspace.spool) as (file,):
        assert file.oldest("flights", EntryKind.PREDICTIONS) is None
    assert log.ids() == ["a", "b"]


def test_a_crowded_day_is_merged_under_running_readers(log) -> None:
    for i in range(6):
        log.write(log.predictions([f"p{i}"]))
        log.seal()
    folder = prediction_folder(log.workspace, "flights", log.signature)
    old_files = folder.files()
    assert compact_log(log.workspace, "flights", log.signature, crowded=5) == {"predictions": 1, "labels": 0}
    folder.refresh()
    assert (len(old_files), len(folder.files())) == (6, 1)
    log.write(log.predictions(["p0", "p6"]))
    assert log.seal().duplicates == 1
    assert sorted(log.ids()) == [f"p{i}" for i in range(7)]


def test_an_arrow_body_cut_short_is_set_aside_and_the_rest_goes_on(log) -> None:
    with log.spool() as spool:
        frame = pl.DataFrame({"wind": np.random.default_rng(1).normal(size=500), "carrier": "UA", "prediction": 1})
        append_frame(spool, "flights", SIGNATURE, frame, version=1)
        with pending(log.workspace.spool) as (file,):
            (whole,) = file.read("flights", EntryKind.PREDICTIONS, after=None)
        spool.append(
            Entry(
                model="flights", kind=EntryKind.PREDICTIONS, format=Format.ARROW, caller_ids=False, rows=500,
                body=whole.body[:-1000],
            )
        )  # fmt: skip
    report = log.seal()
    assert (report.predictions, report.set_aside) == (500, 500)
