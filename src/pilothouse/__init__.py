"""Pilothouse: the room a machine-learning model is steered from.

>>> import pilothouse as ph
>>> house = ph.open("workspace")            # doctest: +SKIP
>>> house["flights"].drift("14d")           # doctest: +SKIP
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadData, NotFound, PilothouseError, Refused, Unavailable
from pilothouse.data.policies import Costs, LogPolicy
from pilothouse.data.windows import Window
from pilothouse.ops.runtimes.own import Own

if TYPE_CHECKING:
    from pilothouse.app.house import House

__all__ = [
    "BadData",
    "Costs",
    "LogPolicy",
    "NotFound",
    "Own",
    "PilothouseError",
    "Refused",
    "Unavailable",
    "Window",
    "init",
    "open",
    "restore",
]
__version__ = "0.1.0"

# Read when Arrow is imported. With huge pages its allocator has the kernel clear far more memory than a batch fills,
# which took as long as reading the batch.
os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")


def init(path: str | PathLike[str]) -> House:
    """Make a new workspace at `path` and open it. Raises AlreadyExists when there is one."""
    from pilothouse.data.workspace import Workspace

    return open(Workspace.create(Path(path)).root)


def open(path: str | PathLike[str]) -> House:
    """The house in the workspace at `path`, for its local operator. Raises UnknownWorkspace when there is none."""
    from pilothouse.app.house import House
    from pilothouse.app.shown import show_in_notebooks

    house = House.open(Path(path))
    show_in_notebooks(house.settings.zone)
    return house


def restore(folder: str | PathLike[str], path: str | PathLike[str], *, state_url: str | None = None) -> House:
    """Make a workspace at `path` of the backup in `folder`, and open it.

    state_url : an empty PostgreSQL database to put the state into. Raises UnknownBackup, BadBackup or AlreadyExists.
    """
    from pilothouse.ops.actors import local_operator
    from pilothouse.ops.backup.restore import restore as put_back

    return open(put_back(Path(folder), Path(path), local_operator(), state_url=state_url).workspace)
