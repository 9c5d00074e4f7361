"""Readers while another process writes, seals, folds, compacts and deletes without a pause: no wrong count, no error."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from tempfile import TemporaryDirectory

from pilothouse.data.delta import KEPT_HOURS
from pilothouse.data.history.history import History
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.rollups.store import rollup_folder
from pilothouse.data.windows import Window, utc_now
from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import MODEL, NOON, POLICY, SETTINGS, SIGNATURE, Life, profile

SECONDS = {"small": 15, "full": 60}
READERS = 2
KEPT = timedelta(seconds=10)
"""How long a file stays that is out of use; in life it is hours, and no reader takes as long as this."""


@dataclass
class _Told:
    """What the writer has acknowledged so far, and what is wrong with what was read."""

    ids: set[str] = field(default_factory=set)
    reads: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    over: threading.Event = field(default_factory=threading.Event)


def run(size: str) -> list[Outcome]:
    context = processes()
    hears, says = context.Pipe(duplex=False)
    told = _Told()
    with TemporaryDirectory(prefix="readers-") as folder:
        workspace = Workspace.create(Path(folder) / "workspace")
        deleted = context.Value("q", 0)
        writer = context.Process(target=write, args=(str(workspace.root), says, deleted))
        writer.start()
        threads = [threading.Thread(target=_hear, args=(hears, told))]
        threads += [threading.Thread(target=_read, args=(workspace, told)) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS[size])
        told.over.set()
        for thread in threads:
            thread.join()
        assert writer.is_alive(), "the writer ended before its time"
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    print(f"{deleted.value} files were deleted meanwhile")
    name = "read during writing, folding, compacting, deleting"
    return [Outcome(name=name, tried=told.reads, lost=told.lost, doubled=told.doubled, wrong=told.wrong)]


def write(root: str, says: Connection, deleted: Synchronized[int]) -> None:
    """Life without an end, compacted after every round; what has been out of use for KEPT is deleted then."""
    workspace = Workspace.open(root)
    life = Life(workspace=workspace, name="life", acknowledge=lambda word: says.send_bytes(word.encode()))
    tables = [
        prediction_folder(workspace, MODEL, SIGNATURE),
        label_folder(workspace, MODEL, SIGNATURE),
        rollup_folder(workspace, MODEL),
    ]
    for table in tables:
        table.clock = lambda: utc_now() + timedelta(hours=KEPT_HOURS) - KEPT
    life.open()
    for turn in range(10_000):
        life.predict(turn, 0)
        life.label(turn, 0)
        life.seal()
        life.fold()
        for table in tables:
            before = _data_files(table.path)
            table.refresh()
            table.compact()
            deleted.value += len(before - _data_files(table.path))


def _data_files(table: Path) -> set[Path]:
    return set(table.glob("*=*/*.parquet"))


def _hear(hears: Connection, told: _Told) -> None:
    while not told.over.is_set():
        if hears.poll(0.1):
            word = hears.recv_bytes().decode()
            if "=" not in word:
                told.ids.add(word)


def _read(workspace: Workspace, told: _Told) -> None:
    reference, everything = profile(), Window(NOON - timedelta(days=10), NOON + timedelta(days=10))
    while not told.over.is_set():
        before = set(told.ids)
        try:
            log = PredictionLog(workspace, MODEL, SIGNATURE, POLICY, clock=lambda: NOON)
            ids = log.labelled(columns=("prediction_id",))["prediction_id"]
            asked = History(workspace, MODEL, SIGNATURE, reference, POLICY, SETTINGS).performance(everything)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            told.wrong += 1
            continue
        told.reads += 1
        told.lost += len(before - set(ids))
        told.doubled += ids.len() - ids.n_unique()
        # Every request has as many rows, so a count in between has seen half a commit.
        told.wrong += asked.rows % 3 != 0 or asked.labelled > asked.rows
