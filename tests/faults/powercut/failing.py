"""Each call that changes a file fails once: the same process goes on, and nothing is lost, doubled or wrong.

`python -m tests.faults.powercut.failing FOLDER ROUNDS EVERY` is the child that lives on the failing disk.
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
from tests.faults.recount import Found, recover

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS, "short write": shim.SHORT_WRITE}
ROUNDS = 2
EVERY = {"small": 41, "full": 1}
"""Every which call fails; the errors take turns."""
ATTEMPTS = 5
_ROOT = Path(__file__).resolve().parents[3]


def run(size: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="failing-") as folder:
        root = Path(folder) / "disk"
        root.mkdir()
        command = [sys.executable, "-m", "tests.faults.powercut.failing", str(root), str(ROUNDS), str(EVERY[size])]
        environment = shim.environment(shim.build(Path(folder)), root)
        said = subprocess.run(command, env=environment, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [_outcome(name, [json.loads(line) for line in said.splitlines()]) for name in ERRORS]


def _outcome(name: str, lines: list[dict[str, object]]) -> Outcome:
    mine = [Found(**line["found"]) for line in lines if line["error"] == name]  # type: ignore[arg-type]
    total = sum(mine, start=Found())
    return Outcome(
        name=f"a call fails once: {name}", tried=len(mine), lost=total.lost, doubled=total.doubled, wrong=total.wrong
    )


def main(folder: Path, rounds: int, every: int) -> None:
    """A Life for each call to fail, until there are no more calls; a line of JSON each."""
    disk, reference = shim.Disk(), profile()
    errors = itertools.cycle(ERRORS)
    for number in itertools.count(0, every):
        name = next(errors)
        workspace = Workspace.create(folder / f"w{number}")
        begun = disk.calls
        disk.fail(number, ERRORS[name])
        found, acknowledged, during = live(workspace, rounds, disk)
        if disk.calls - begun <= number:
            return
        disk.fail(-1, 0)
        found += recover(workspace, acknowledged, reference)
        if found != Found():
            print(f"call {number}, {name}, in {during}: {found}", file=sys.stderr)
        print(json.dumps({"error": name, "found": asdict(found)}), flush=True)


def live(workspace: Workspace, rounds: int, disk: shim.Disk) -> tuple[Found, list[str], str]:
    """A Life whose steps are tried again when they fail; one that never succeeds is wrong. And the step that failed."""
    acknowledged: list[str] = []
    found, during = Found(), "nothing that said so"
    life = Life(workspace=workspace, name="life", acknowledge=acknowledged.append)
    for name, step in life.steps(rounds):
        for attempt in range(ATTEMPTS):
            try:
                step()
                break
            except Exception as error:
                # Whatever a step raises, the writer and the worker go on; what counts is what is there in the end.
                during = name
                if attempt + 1 == ATTEMPTS:
                    found += Found(wrong=1, why=f"{name} never succeeded: {type(error).__name__}: {error}")
    return found, acknowledged, during


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
