"""The access log: one JSON line a request, and no value of a row, no key and no address typed by anybody in it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from pilothouse.ops.slots import Slot

KEPT_FILES = 4
_WRITE_EVERY_S = 0.25
_KIND = "access"


class Line(msgspec.Struct, kw_only=True):
    """One request. route : a template, never the address itself. bytes : of the body as it came. ms : until answered."""

    at: datetime
    id: str
    method: str
    route: str
    model: str
    version: int | None
    status: int
    rows: int
    bytes: int
    ms: float
    caller: str | None


class AccessLog:
    """Writes what is noted a moment later, in a thread, to `folder`/access-N.jsonl; N is this process's alone.

    A process that is killed takes the lines of its last quarter of a second with it: they are no record of rows, which
    the prediction log is.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lines: deque[Line] = deque()
        self._encoder = msgspec.json.Encoder()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

    def start(self) -> None:
        self._slot = Slot.take(self._folder, _KIND)
        self._file = RotatingFileHandler(
            self._folder / f"{self._slot.name}.jsonl", maxBytes=self._max_bytes, backupCount=KEPT_FILES,
            encoding="utf-8",
        )  # fmt: skip
        self._file.terminator = ""
        self._thread.start()

    def note(self, line: Line) -> None:
        self._lines.append(line)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            self._write()
            self._file.close()
            self._slot.give_back()

    def _run(self) -> None:
        while not self._stop.wait(_WRITE_EVERY_S):
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            text = self._encoder.encode_lines(lines).decode()
            self._file.handle(logging.makeLogRecord({"msg": text}))
