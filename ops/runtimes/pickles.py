"""Foreign pickles: turned into skops files by a process that may do little else. The pickle itself is not kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import msgspec

from pilothouse.data.errors import UnfitModel, UntrustedArtifact
from pilothouse.ops.runtimes import quarantine
from pilothouse.ops.runtimes.quarantine import Answer, Order

WITHIN_S = 180.0
_MAX_BYTES = 2**30


def converted(
    path: Path, trusted: tuple[str, ...], code: bytes | None = None, names: frozenset[str] = frozenset()
) -> bytes:
    """The model in the pickle at `path`, as a skops file. code : an archive of own modules, called `names`.

    Raises UnfitModel when it holds what is not built, takes too long or fails; UntrustedArtifact when its types have to
    be looked at first.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise UnfitModel(path.name, f"it has more than {_MAX_BYTES:,} bytes")
    with tempfile.TemporaryDirectory(prefix="pilothouse-pickle-") as name:
        folder = Path(name)
        (folder / quarantine.PICKLE).write_bytes(path.read_bytes())
        (folder / quarantine.ORDER).write_bytes(msgspec.json.encode(Order(trusted=[*trusted], own=sorted(names))))
        if code is not None:
            (folder / quarantine.CODE).write_bytes(code)
        answer = _answer(folder, path.name)
        if answer.untrusted:
            raise UntrustedArtifact(answer.untrusted)
        if answer.error:
            raise UnfitModel(path.name, answer.error.rstrip("."))
        for said in answer.warnings:
            warnings.warn(f"{path.name}: {said}", stacklevel=2)
        return (folder / quarantine.SKOPS).read_bytes()


def _answer(folder: Path, name: str) -> Answer:
    """What the process says. Its folder is its home, and it sees nothing of this process's environment."""
    command = [sys.executable, "-m", "pilothouse.ops.child", "pilothouse.ops.runtimes.quarantine", str(folder)]
    known = {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=known, capture_output=True, timeout=WITHIN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnfitModel(name, f"reading it took longer than {WITHIN_S:g} s") from error
    if done.returncode:
        raise UnfitModel(name, f"reading it was broken off (code {done.returncode}): it took too much time or memory")
    return msgspec.json.decode(done.stdout, type=Answer)
