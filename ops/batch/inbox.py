"""The files that may be scored over HTTP: those in the workspace's inbox, named plainly, and those that were sent along."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from pilothouse.data.errors import BadRows, Fault, NotFound
from pilothouse.data.store import write_durably
from pilothouse.data.workspace import Workspace

SUFFIXES = (".parquet", ".csv", ".arrow")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def in_inbox(workspace: Workspace, name: str) -> Path:
    """The file called `name` in the inbox. Raises BadRows for what is no plain name, NotFound when it is not there.

    No path, no address and no link leads out of the inbox: a name is letters, digits, `.`, `_` and `-`.
    """
    if not _NAME.fullmatch(name) or not name.endswith(SUFFIXES):
        allowed = f"must name a file of the inbox, without a folder, that ends in {', '.join(SUFFIXES)}"
        raise BadRows([Fault("/input", allowed)])
    path = workspace.inbox / name
    try:
        plain = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        plain = False
    if not plain:
        raise NotFound("The inbox holds no file of this name. Put it there first, or send it as the request's body.")
    return path


def take_in(workspace: Workspace, job: str, suffix: str, content: bytes) -> Path:
    """Keep a file that came with a request, under the name of its job."""
    path = workspace.inbox / f"{job}{suffix}"
    write_durably(path, content)
    return path


def result_file(workspace: Workspace, job: str, suffix: str) -> Path:
    """Where the scored rows of a job go; its folder is there when this returns."""
    workspace.results.mkdir(mode=0o700, exist_ok=True)
    return workspace.results / f"{job}{suffix}"
