"""Readers while another process writes, seals, folds and compacts without a pause: no wrong count, no error."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from pilothouse.data.history.history import History
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import MODEL, NOON, POLICY, SETTINGS, SIGNATURE, Life, profile

SECONDS = {"small": 5, "full": 60}
READERS = 2


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
        writer = context.Process(target=write, args=(str(workspace.root), says))
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
    name = "read during writing, folding, compacting"
    return [Outcome(name=name, tried=told.reads, lost=told.lost, doubled=told.doubled, wrong=told.wrong)]


def write(root: str, says: Connection) -> None:
    """Life without an end, compacted after every round."""
    life = Life(workspace=Workspace.open(root), name="life", acknowledge=lambda word: says.send_bytes(word.encode()))
    life.open()
    for turn in range(10_000):
        life.predict(turn, 0)
        life.label(turn, 0)
        life.seal()
        life.fold()
        life.compact()


def _hear(hears: Connection, told: _Told) -> None:
    while not told.over.is_set():
        if hears.poll(0.1):
            word = hears.recv_bytes().decode()
            if "=" not in word:
                told.ids.add(word)


def _read(workspace: Workspace, told: _Told) -> None:
    reference, everything = profile(), Window(NOON.replace(year=2000), NOON.replace(year=2100))
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
