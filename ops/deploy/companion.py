"""The worker beside a packaged service, which is started with one command: it seals the log and sends it on."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from pilothouse.data.errors import StoreBusy
from pilothouse.data.workspace import Workspace
from pilothouse.ops.slots import Slot

_LOOK_EVERY_S = 1.0
_AGAIN_AFTER_S = 10.0
_END_WITHIN_S = 10.0


class Companion:
    """Keeps one worker running for all service processes of a workspace: whoever is first has it, and another after it.

    The kernel ends the worker when the thread that started it ends, so that thread stays for as long as the process.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker beside the service", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_END_WITHIN_S)

    def _run(self) -> None:
        slot = self._turn()
        if slot is None:
            return
        try:
            while not self._stop.is_set():
                self._watch()
        finally:
            slot.give_back()

    def _turn(self) -> Slot | None:
        """Wait until no other process has the worker; None when this one ends before."""
        while not self._stop.is_set():
            try:
                return Slot.take(self._workspace.run, "companion", most=1)
            except StoreBusy:
                self._stop.wait(_LOOK_EVERY_S)
        return None

    def _watch(self) -> None:
        """Run the worker until it ends; a while later it is started anew."""
        command = [
            sys.executable, "-m", "pilothouse.ops.child", "pilothouse.ops.worker",
            "--workspace", str(self._workspace.root),
        ]  # fmt: skip
        with self._log.open("ab") as log:
            worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while worker.poll() is None and not self._stop.wait(_LOOK_EVERY_S):
            continue
        worker.terminate()
        try:
            worker.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            worker.kill()
        self._stop.wait(_AGAIN_AFTER_S)

    @property
    def _log(self) -> Path:
        folder = self._workspace.run / "logs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / "worker.log"
