"""Processes that die: a writer with kill -9, a sealer at each of its steps."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from pilothouse.data.log.pending import pending

WRITER = """
import sys
from pathlib import Path
from pilothouse.data.log.spool import Entry, EntryKind, Format, Spool

body = '{"version":1,"ids":["%s"],"rows":[{"wind":1}],"predictions":[1],"logged_at":1772539200000000}'
spool = Spool.open(Path(sys.argv[1]), "service")
for number in range(1_000_000):
    name = f"{sys.argv[2]}-{number}"
    spool.append(Entry(
        model="flights", kind=EntryKind.PREDICTIONS, format=Format.JSON, caller_ids=True, rows=1,
        body=(body % name).encode(),
    ))
    print(name, flush=True)
"""

SEALER = """
import json, os, sys
from pilothouse.data.log.seal import seal
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature
from pilothouse.data.workspace import Workspace

def crash(point):
    if point == sys.argv[3]:
        os._exit(9)

seal(Workspace.open(sys.argv[1]), {"flights": Signature.from_json(json.loads(sys.argv[2]))}, Settings(), crash=crash)
"""

STEPS = [
    f"seal:{kind}{step}"
    for kind in ("", "labels-")
    for step in ("read", "written", "committed", "appended", "forgotten")
]


@pytest.mark.faults
def test_what_a_killed_writer_acknowledged_is_in_the_log_once(log) -> None:
    acknowledged: list[str] = []
    for life in range(4):
        command = [sys.executable, "-c", WRITER, str(log.workspace.spool), f"life{life}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(random.Random(life).uniform(0.02, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged.extend(line.strip() for line in process.stdout if line.endswith("\n"))
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        log.seal()
    ids = log.ids()
    assert len(ids) == len(set(ids))
    assert set(acknowledged) <= set(ids)
    # At most the one entry a life that was written when the answer could not be given any more.
    assert len(ids) - len(acknowledged) <= 4
    assert [path.name for path in log.workspace.spool.glob("*.sqlite")] == ["service-0.sqlite"]


@pytest.mark.faults
def test_a_sealer_may_die_at_any_step(log) -> None:
    import msgspec

    signature = msgspec.json.encode(log.signature.to_json()).decode()
    for number, step in enumerate(STEPS):
        log.write(log.predictions([f"{number}a", f"{number}b"]), log.label(1, id=f"{number}a"))
        command = [sys.executable, "-c", SEALER, str(log.workspace.root), signature, step]
        assert subprocess.run(command, check=False).returncode == 9
        expected = [f"{n}{x}" for n in range(number + 1) for x in "ab"]
        assert log.ids() == expected
        assert log.reader().labelled()["label"].sum() == number + 1
    log.seal()
    assert log.ids() == expected
    assert log.reader().labelled()["label"].sum() == len(STEPS)
    with pending(log.workspace.spool) as (file,):
        assert file.waiting() == set()
