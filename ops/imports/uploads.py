"""Files from a browser: kept in a folder of their own, read by a child process, asked about by its number."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pilothouse.data.errors import UnreadableSource
from pilothouse.data.names import checked_name
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.child import LOG, Job, JobState, read_state, write_state
from pilothouse.ops.imports.said import Said

MAX_BYTES = 200 * 1024 * 1024
SUFFIXES = ("csv", "parquet", "arrow", "feather")
_DIED = "The import ended before it was done: it took too much time or memory. The same button goes on with it."
KEPT_FOR = timedelta(days=1)
_LOOK_S = 120
_NAMES = "names.json"

File = tuple[bytes, str]
"""A file's content, and its name in the browser."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of one workspace. They are scratch: an import keeps what it needs in the log."""

    workspace: Workspace

    def clean(self, now: datetime) -> None:
        """Remove uploads that nothing has been done with for a day, and the rows that they set aside."""
        for folder in (self.workspace.run / "uploads").glob("*"):
            touched = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if now.timestamp() - touched > KEPT_FOR.total_seconds():
                shutil.rmtree(folder)

    def keep(self, predictions: File, labels: File | None = None, reference: File | None = None) -> str:
        """The number of a new upload. Raises UnreadableSource for too large a file, or one of another kind."""
        given = {"predictions": predictions, "labels": labels, "reference": reference}
        files = {role: file for role, file in given.items() if file is not None}
        suffixes = {role: _suffix(name, content) for role, (content, name) in files.items()}
        number = uuid.uuid4().hex
        folder = self._folder(number)
        folder.mkdir(parents=True, mode=0o700)
        for role, (content, _) in files.items():
            (folder / f"{role}.{suffixes[role]}").write_bytes(content)
        names = {role: Path(name).name for role, (_, name) in files.items()}
        (folder / _NAMES).write_bytes(msgspec.json.encode(names))
        return number

    def look(self, number: str, model: str, said: Said) -> JobState:
        """What an import of the upload would do. Waits for the child that reads it."""
        process = self._start(number, self._job(number, "look", model, said, None))
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        state = read_state(self._folder(number))
        ended = state.state != "running"
        return state if ended else JobState(state="failed", error="Reading the file took too much time or memory.")

    def begin(self, number: str, model: str, said: Said, rows: int | None) -> None:
        """Start the import of the upload in a process that outlives this page. rows : as `look` has counted them."""
        process = self._start(number, self._job(number, "import", model, said, rows))
        # Somebody has to take its exit code, or it stays behind as a dead entry in the process table.
        threading.Thread(target=self._see_it_end, args=(process, number), daemon=True).start()

    def _see_it_end(self, process: subprocess.Popen[bytes], number: str) -> None:
        # A child that comes to its end has said how it went, whatever that is.
        if process.wait() != 0:
            write_state(self._folder(number), JobState(state="failed", error=_DIED))

    def state(self, number: str) -> JobState:
        return read_state(self._folder(number))

    def stop(self, number: str) -> None:
        """Have the import end after the chunk that it is at."""
        (self._folder(number) / "stop").touch()

    def _folder(self, number: str) -> Path:
        return self.workspace.run / "uploads" / checked_name(number, "upload")

    def _job(self, number: str, act: str, model: str, said: Said, rows: int | None) -> Job:
        folder = self._folder(number)
        names = folder / _NAMES
        called = msgspec.json.decode(names.read_bytes(), type=dict[str, str]) if names.exists() else {}
        files = {file.stem: file.name for file in folder.glob("*") if file.stem in called}
        if "predictions" not in files:
            raise UnreadableSource(
                "The upload", "it is imported already, or older than a day", "Choose the file again."
            )
        # An upload that was stopped is gone on with by the same button.
        return Job(act=act, model=checked_name(model), files=files, called=called, said=said, rows=rows, resume=True)

    def _start(self, number: str, job: Job) -> subprocess.Popen[bytes]:
        folder = self._folder(number)
        for left in ("state.json", "stop"):
            (folder / left).unlink(missing_ok=True)
        (folder / "job.json").write_bytes(msgspec.json.encode(job))
        command = [sys.executable, "-m", "pilothouse.ops.imports.child", str(self.workspace.root), str(folder)]
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _suffix(name: str, content: bytes) -> str:
    """The file's kind by its name. Nothing else of the name is used."""
    suffix: Any = Path(name).suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise UnreadableSource("The upload", f"it is not one of: {', '.join(SUFFIXES)}", "Use `pilothouse import`.")
    if len(content) > MAX_BYTES:
        raise UnreadableSource(
            "The upload", f"it is larger than {MAX_BYTES // 1024**2} MB", "Use `pilothouse import` where the file lies."
        )
    return str(suffix)
