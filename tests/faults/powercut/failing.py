"""Each call that changes or reads a file fails once: the same process goes on, and nothing is lost, doubled or wrong.

`python -m tests.faults.powercut.failing FOLDER ROUNDS EVERY WHAT` is the child that lives on the failing disk.
"""

from __future__ import annotations

import errno
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome
from tests.faults.life import Life, profile
from tests.faults.powercut import shim
from tests.faults.recount import Found, count, recover

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS, "short write": shim.SHORT_WRITE}
READ_ERRORS = {"EIO while reading": errno.EIO}
ROUNDS = 2
CHANGES, READS = "changes", "reads"
EVERY = {CHANGES: {"small": 41, "full": 1}, READS: {"small": 251, "full": 23}}
"""Every which call fails; the errors take turns."""
ATTEMPTS = 5
_ASKED_AFTER = frozenset({"seal", "fold", "compact", "correct"})
_ROOT = Path(__file__).resolve().parents[3]


def run(size: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="failing-") as folder:
        library = shim.build(Path(folder))
        changes, reads = (_lines(Path(folder), library, what, EVERY[what][size]) for what in (CHANGES, READS))
    return [*(_outcome(name, changes) for name in ERRORS), *(_outcome(name, reads) for name in READ_ERRORS)]


def _lines(folder: Path, library: Path, what: str, every: int) -> list[dict[str, object]]:
    root = folder / what
    root.mkdir()
    command = [sys.executable, "-m", "tests.faults.powercut.failing", str(root), str(ROUNDS), str(every), what]
    environment = shim.environment(library, root)
    said = subprocess.run(command, env=environment, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def _outcome(name: str, lines: list[dict[str, object]]) -> Outcome:
    mine = [Found(**line["found"]) for line in lines if line["error"] == name]  # type: ignore[arg-type]
    total = sum(mine, start=Found())
    return Outcome(
        name=f"a call fails once: {name}", tried=len(mine), lost=total.lost, doubled=total.doubled, wrong=total.wrong
    )


def main(folder: Path, rounds: int, every: int, what: str) -> None:
    """A Life for each call to fail, until there are no more calls; a line of JSON each."""
    disk, reference = shim.Disk(), profile()
    told = ERRORS if what == CHANGES else READ_ERRORS
    fail = disk.fail if what == CHANGES else disk.fail_read
    errors = itertools.cycle(told)
    for number in itertools.count(0, every):
        name = next(errors)
        workspace = Workspace.create(folder / f"w{number}")
        begun = disk.calls if what == CHANGES else disk.reads
        fail(number, told[name])
        found, acknowledged, during = live(workspace, rounds, asks=what == READS)
        if (disk.calls if what == CHANGES else disk.reads) - begun <= number:
            return
        fail(-1, 0)
        found += recover(workspace, acknowledged, reference)
        if found != Found():
            print(f"call {number}, {name}, in {during}: {found}", file=sys.stderr)
        print(json.dumps({"error": name, "found": asdict(found)}), flush=True)


def live(workspace: Workspace, rounds: int, *, asks: bool) -> tuple[Found, list[str], str]:
    """A Life whose steps are tried again when they fail; one that never succeeds is wrong. And the step that failed.

    asks : count what is there after steps that move rows: that answers rightly, or says that it cannot.
    """
    acknowledged: list[str] = []
    found, during = Found(), "nothing that said so"
    life = Life(workspace=workspace, name="life", acknowledge=acknowledged.append)
    for name, step in life.steps(rounds):
        for attempt in range(ATTEMPTS):
            try:
                step()
                found += count(workspace, acknowledged) if asks and name in _ASKED_AFTER else Found()
                break
            except Exception as error:
                # Whatever a step raises, the writer and the worker go on; what counts is what is there in the end.
                during = name
                if attempt + 1 == ATTEMPTS or not _is_clear(error):
                    found += Found(wrong=1, why=f"{name}: {type(error).__name__}: {error}")
    return found, acknowledged, during


def _is_clear(error: Exception) -> bool:
    """Whether an error says that the disk is at fault, or names the file: no slip of a program that read too little."""
    return not isinstance(
        error, ArithmeticError | AssertionError | AttributeError | LookupError | NameError | TypeError
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
