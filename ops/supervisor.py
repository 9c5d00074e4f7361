"""`pilothouse up`: starts the processes, says when they answer, restarts those that die, and ends them all.

Children are started in sessions of their own, so that Ctrl-C reaches the supervisor alone and it ends them in order;
the kernel ends them should the supervisor itself be killed.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pilothouse.data.errors import Unavailable

_STOP_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.1
_RESTART_AFTER_S = (0.2, 1.0, 5.0, 15.0)
_STEADY_AFTER_S = 60.0
_TAIL_LINES = 15
_OWN_PORTS = range(15_000, 32_000)
"""Below the ports that systems lend to outgoing connections: one of those can be gone when a child is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process to run. `ready_url` answers 200 once it is up; None counts as up when started."""

    name: str
    argv: Sequence[str]
    ready_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A running command, its output kept in a file."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command, self.log = command, log
        self.deaths = 0
        self._buried = False
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pilothouse.ops.child", *self.command.argv],
                stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.command.environment}, start_new_session=True,
            )  # fmt: skip
        self.started, self._buried = time.monotonic(), False

    def bury(self) -> None:
        """End what is left of its session: its workers, should it have died without ending them.

        Once alone: a number that has been free for a while may be another program's by now.
        """
        if not self._buried:
            self._buried = True
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines)


class Supervisor:
    """Runs commands until told to stop. `say` takes one line for the person at the terminal."""

    def __init__(self, commands: Sequence[Command], logs: Path, say: Callable[[str], None]) -> None:
        self.commands, self.logs, self.say = commands, logs, say
        self.children: list[Child] = []
        self.stopping = False

    def start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.children = [Child(command, self.logs / f"{command.name}.log") for command in self.commands]

    def wait_ready(self, timeout_s: float) -> None:
        """Return once every command with a `ready_url` answers. Raises Unavailable, with its last output, otherwise."""
        deadline = time.monotonic() + timeout_s
        for child in self.children:
            while child.command.ready_url and not _answers(child.command.ready_url):
                if self.stopping:
                    return
                if child.process.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(f"The {child.command.name} did not start. Its last words:\n{child.tail()}")
                time.sleep(_LOOK_EVERY_S)

    def run(self) -> None:
        """Watch over the children until `stop`; one that dies is started anew, each time a little later."""
        while not self.stopping:
            for child in self.children:
                self._look_after(child)
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """End every child: ask all at once, wait, and kill what is left with its whole process group."""
        self.stopping = True
        for child in self.children:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + _STOP_WITHIN_S
        for child in self.children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"the {child.command.name} did not end by itself and was killed")
            child.bury()

    def _look_after(self, child: Child) -> None:
        code = child.process.poll()
        if code is None or self.stopping:
            if time.monotonic() - child.started > _STEADY_AFTER_S:
                child.deaths = 0
            return
        child.bury()
        wait_s = _RESTART_AFTER_S[min(child.deaths, len(_RESTART_AFTER_S) - 1)]
        if time.monotonic() - child.started >= wait_s:
            child.deaths += 1
            self.say(f"the {child.command.name} ended with code {code} and was started again (see {child.log})")
            child.start()


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def free_port(wanted: int) -> int:
    """`wanted`, or the next free port above it, on the loopback address. 0 takes any of `_OWN_PORTS`."""
    for port in random.sample(_OWN_PORTS, 50) if wanted == 0 else range(wanted, wanted + 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Unavailable(f"No free port between {wanted} and {wanted + 49}. Name another with --port or --service-port.")
