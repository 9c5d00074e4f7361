"""Power cuts at every call of a Life: what was acknowledged before has to be there after, once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import profile
from tests.faults.powercut import shim
from tests.faults.powercut.disk import Call, Chance, Disk, Start, Sync, read_log
from tests.faults.recount import Found, recover

ROUNDS = 4
SEEDS = {"small": (0, 2), "full": (0, 2)}
CUTS = {"small": 12, "full": sys.maxsize}
"""How many cuts; all of them in full."""
CONTROL_CUTS = {"small": 5, "full": 40}
CONTROLS: dict[str, Sync] = {
    "the spool": ("S", ".sqlite-wal"),
    "data files": ("S", "/day="),
    "log entries": ("S", "/_delta_log/"),
    "folders": ("F", "/"),
}
"""Which fsync is taken out: of a file or of a folder, and a word in its path."""

_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Recording:
    """The calls of one Life, and what its workspace held before the first."""

    start: Start
    calls: list[Call]


Case = tuple[dict[str, bytes | None], list[str], str]
"""A folder's content after a cut, what had been acknowledged before it, and where it was."""


def run(size: str) -> list[Outcome]:
    """Cuts with every fsync in its place, and for each control with one kind of fsync taken out."""
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        recording = record(Path(folder))
        print(f"{len(recording.calls)} calls recorded")
        found = [tried("power cut", cases(recording, CUTS[size], SEEDS[size]))]
        for name, sync in CONTROLS.items():
            control = cases(recording, CONTROL_CUTS[size], (0,), without=sync)
            found.append(tried(f"power cut, control: no fsync of {name}", control, control=True))
    return found


def record(folder: Path) -> Recording:
    """One Life in a child process, in a new workspace."""
    workspace = Workspace.create(folder / "workspace")
    start = Start.of(workspace.root)
    environment = shim.environment(shim.build(folder), workspace.root, folder / "calls")
    command = [sys.executable, "-m", "tests.faults.powercut.child", str(workspace.root), str(ROUNDS)]
    subprocess.run(command, env=environment, cwd=_ROOT, check=True)
    return Recording(start, read_log(folder / "calls"))


def cases(recording: Recording, cuts: int, seeds: Sequence[int], without: Sync | None = None) -> Iterator[Case]:
    """What the disk may hold after each of `cuts` calls, evenly spread; states that were seen before are left out."""
    disk = Disk(recording.start, without)
    seen = set()
    every = max(1, len(recording.calls) // cuts)
    for number, call in enumerate(recording.calls):
        disk.call(call)
        if number % every and number + 1 < len(recording.calls):
            continue
        for seed in seeds:
            content = disk.after_cut(Chance.of(seed, number))
            mark = (_digest(content), len(disk.marks))
            if mark not in seen:
                seen.add(mark)
                yield content, list(disk.marks), f"call {number} {call.what} {Path(call.path).name}, seed {seed}"


def tried(name: str, given: Iterator[Case], *, control: bool = False) -> Outcome:
    """Recover from each case, in two processes; counts added up."""
    total, count = Found(), 0
    with ProcessPoolExecutor(2, mp_context=processes()) as pool:
        for (_, _, where), found in _mapped(pool, given):
            count += 1
            if not control and found != Found():
                print(f"{where}: {found}", file=sys.stderr)
            total += found
    return Outcome(name=name, tried=count, lost=total.lost, doubled=total.doubled, wrong=total.wrong, control=control)


def _mapped(pool: ProcessPoolExecutor, given: Iterator[Case]) -> Iterator[tuple[Case, Found]]:
    waiting = []
    for case in given:
        waiting.append((case, pool.submit(recovered, case)))
        if len(waiting) > 8:
            case, future = waiting.pop(0)
            yield case, future.result()
    for case, future in waiting:
        yield case, future.result()


def recovered(case: Case) -> Found:
    content, acknowledged, _ = case
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        for path, data in sorted(content.items()):
            target = Path(folder) / path
            target.mkdir(exist_ok=True) if data is None else target.write_bytes(data)
        return recover(Workspace.open(folder), acknowledged, _profile())


_profile = cache(profile)


def _digest(content: dict[str, bytes | None]) -> bytes:
    digest = hashlib.sha256()
    for path, data in sorted(content.items()):
        digest.update(f"{path} {data is None} {len(data or b'')} ".encode() + (data or b""))
    return digest.digest()
