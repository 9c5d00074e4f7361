"""A Life ended by kill -9 at any moment, or at every named point of seal and fold: each time all is there, once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import Life, profile
from tests.faults.recount import Found, recover

TIMES = {"small": 5, "full": 100}
"""Of each of the two kinds."""
LIVES = 10
"""Ended in one workspace before the next one: what a death leaves has to be fit for the next."""
ROUNDS = 1000
_profile = cache(profile)


def run(size: str) -> list[Outcome]:
    return [
        campaign("kill -9 of writer, sealer, folder at any moment", TIMES[size], [None]),
        campaign("death at a named point of seal and fold", TIMES[size], spread(points(), TIMES[size])),
    ]


def points() -> list[str | None]:
    """Every point that a short Life passes."""
    found: dict[str, None] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        workspace = Workspace.create(Path(folder) / "workspace")
        life = Life(
            workspace=workspace,
            name="points",
            acknowledge=lambda _: None,
            crash=lambda point: found.update({point: None}),
        )
        for _, step in life.steps(2):
            step()
    return list(found)


def spread(given: list[str | None], times: int) -> list[str | None]:
    """As many of `given` as there are `times` for, evenly spread."""
    return given[:: max(1, len(given) // times)]


def campaign(name: str, times: int, at: list[str | None]) -> Outcome:
    """`times` deaths, at each of the points `at` in turn; None: at a random moment."""
    total = Found()
    for number, workspace in zip(range(times), _workspaces(), strict=False):
        acknowledged = workspace[1]
        acknowledged += die(workspace[0], f"life{number}", at[number % len(at)], random.Random(number))
        found = recover(workspace[0], acknowledged, _profile())
        if found != Found():
            print(f"{name}, {at[number % len(at)]}, number {number}: {found}", file=sys.stderr)
        total += found
    return Outcome(name=name, tried=times, lost=total.lost, doubled=total.doubled, wrong=total.wrong)


def _workspaces() -> Iterator[tuple[Workspace, list[str]]]:
    """A workspace and what was acknowledged in it, a new one after LIVES."""
    while True:
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            made: tuple[Workspace, list[str]] = Workspace.create(Path(folder) / "workspace"), []
            for _ in range(LIVES):
                yield made


def die(workspace: Workspace, name: str, point: str | None, dice: random.Random) -> list[str]:
    """A Life in a process that dies at `point`, or some time after its first word; what it had acknowledged."""
    context = processes()
    hears, says = context.Pipe(duplex=False)
    process = context.Process(target=live, args=(str(workspace.root), name, point, says))
    process.start()
    says.close()
    said = [hears.recv_bytes().decode()]
    if point is None:
        time.sleep(dice.uniform(0.0, 1.2))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    # Until the process is gone, and with it the other end.
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            said.append(hears.recv_bytes().decode())
    process.join(60)
    assert process.exitcode == (-signal.SIGKILL if point is None else 137), f"the process ended with {process.exitcode}"
    return said


def live(root: str, name: str, point: str | None, says: Connection) -> None:
    def crash(reached: str) -> None:
        if reached == point:
            os._exit(137)

    life = Life(
        workspace=Workspace.open(root), name=name, acknowledge=lambda word: says.send_bytes(word.encode()), crash=crash
    )
    for _, step in life.steps(ROUNDS):
        step()
