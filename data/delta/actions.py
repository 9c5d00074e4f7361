"""What a commit says of data files: which came, and which went."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilothouse.data.delta.files import DataFile


def actions_of(table: Path, add: Sequence[DataFile], remove: Sequence[str], data_change: bool) -> list[Any]:
    """Delta's actions that put the files `add` into the table and take the paths `remove` out of it."""
    from deltalake.transaction import AddAction, RemoveAction

    now_ms = int(time.time() * 1000)
    removed = [str(Path(path).relative_to(table)) for path in remove]
    return [
        *(
            AddAction(
                path=file.path, size=file.size, partition_values=dict(file.partition), modification_time=now_ms,
                data_change=data_change, stats=file.statistics,
            )
            for file in add
        ),
        *(
            RemoveAction(path, data_change, now_ms, _size(table / path), _partition(path))
            for path in removed
        ),
    ]  # fmt: skip


def _size(path: Path) -> int:
    """Bytes of a file; 0 for one that is missing, which is a reason to take it out of the table."""
    return path.stat().st_size if path.exists() else 0


def _partition(path: str) -> dict[str, str | None]:
    pairs = (part.partition("=") for part in Path(path).parts[:-1])
    return {name: value for name, _, value in pairs}
