"""What identifies a source's content, whatever it is called and wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes: the same file under another name is the same import."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(files: Sequence[Path]) -> str:
    """SHA-256 over those of the files, in their order."""
    if len(files) == 1:
        return file_digest(files[0])
    return hashlib.sha256("".join(file_digest(file) for file in files).encode()).hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's columns and values."""
    found = hashlib.sha256()
    with pa.ipc.new_stream(pa.PythonFile(_Into(found), mode="w"), frame.to_arrow().schema) as writer:
        for batch in frame.to_arrow().to_batches(max_chunksize=65_536):
            writer.write_batch(batch)
    return found.hexdigest()


class _Into:
    """A file that hashes what is written to it."""

    closed = False

    def __init__(self, into: Any) -> None:
        self._into = into

    def write(self, content: bytes) -> int:
        self._into.update(content)
        return len(content)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""
