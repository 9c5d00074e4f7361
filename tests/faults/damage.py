"""Files flipped by a bit or cut short: an error, or set aside by name, or the same answer; never another answer."""

from __future__ import annotations

import math
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from pilothouse.data.delta.checks import unchecked
from pilothouse.data.delta.quarantine import damages
from pilothouse.data.history.history import History
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import MODEL, NOON, POLICY, SETTINGS, SIGNATURE, Life, profile

TIMES = {"small": 20, "full": 1000}
EVERYTHING = Window(NOON.replace(year=2000), NOON.replace(year=2100))
KINDS: dict[str, Callable[[Path], bool]] = {
    "data file": lambda path: path.suffix == ".parquet" and "day=" in str(path),
    "roll-ups": lambda path: path.suffix == ".parquet" and "period=" in str(path),
    "log entry": lambda path: path.suffix == ".json" and path.parent.name == "_delta_log",
    "checkpoint": lambda path: "checkpoint" in path.name,
    "spool": lambda path: path.parent.name == "spool" and ".sqlite" in path.name and not path.name.endswith("-shm"),
}
_profile = cache(profile)
Answer = tuple[Any, ...]


def run(size: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        workspace = _lived(Path(folder) / "workspace")
        truth = answers(workspace)
        found = []
        with ProcessPoolExecutor(2, mp_context=processes()) as pool:
            for checked in (True, False):
                judge = partial(silently_wrong, workspace.root, truth, checked=checked)
                said = list(pool.map(judge, range(TIMES[size])))
                wrong = [sentence for sentence in said if sentence]
                if checked:
                    print(*wrong, sep="\n", file=sys.stderr)
                name = f"file flipped or cut short{'' if checked else ', control: no checks'}"
                found.append(
                    Outcome(name=name, tried=len(said), lost=0, doubled=0, wrong=len(wrong), control=not checked)
                )
    return found


def answers(workspace: Workspace) -> Answer:
    """What a person may ask: rows with their labels, performance, drift."""
    log = PredictionLog(workspace, MODEL, SIGNATURE, POLICY, clock=lambda: NOON)
    rows = log.labelled(EVERYTHING).sort("prediction_id").rows()
    history = History(workspace, MODEL, SIGNATURE, _profile(), POLICY, SETTINGS)
    performance, drift = history.performance(EVERYTHING), history.drift(EVERYTHING)
    metrics = {name: asdict(metric) for name, metric in performance.metrics.items()}
    return rows, performance.rows, performance.labelled, metrics, [asdict(feature) for feature in drift.features]


def silently_wrong(root: Path, truth: Answer, number: int, *, checked: bool) -> str:
    """What was done to which file, if answers differ after it and nobody says why; else nothing."""
    dice = random.Random(number)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        workspace = Workspace.open(shutil.copytree(root, Path(folder) / "workspace"))
        done = hurt(workspace, dice)
        try:
            if checked:
                found = answers(workspace)
            else:
                with unchecked():
                    found = answers(workspace)
        except Exception:
            # Whatever is raised is no answer.
            return ""
        return "" if _same(found, truth) or _named(workspace) else done


def hurt(workspace: Workspace, dice: random.Random) -> str:
    """One bit of one file the other way round, or its end cut off; every kind of file as often."""
    files = sorted(path for path in workspace.root.rglob("*") if path.is_file() and path.stat().st_size)
    kinds = {name: [path for path in files if chosen(path)] for name, chosen in KINDS.items()}
    name = dice.choice([name for name, members in kinds.items() if members])
    path = dice.choice(kinds[name])
    content = bytearray(path.read_bytes())
    at = dice.randrange(len(content))
    if dice.random() < 0.8:
        content[at] ^= 1 << dice.randrange(8)
        done = f"a bit flipped at byte {at} of {len(content)}"
    else:
        done = f"cut after {at} of {len(content)} bytes"
        del content[at:]
    path.write_bytes(content)
    return f"{name} {path.relative_to(workspace.root)}: {done}"


def _lived(root: Path) -> Workspace:
    """A log with sealed and unsealed rows, folds, and a compaction with its checkpoint."""
    workspace = Workspace.create(root)
    life = Life(workspace=workspace, name="life", acknowledge=lambda _: None)
    for _, step in life.steps(3):
        step()
    life.open()
    life.predict(3, 0)
    life.label(2, 1)
    life.close()
    return workspace


def _same(found: Any, truth: Any) -> bool:
    """Whether two answers are one, but for the last digits: sums of floats depend on the order in which threads add."""
    if isinstance(truth, float) and isinstance(found, float):
        return math.isclose(found, truth, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(truth, dict):
        return found.keys() == truth.keys() and all(_same(found[name], value) for name, value in truth.items())
    if isinstance(truth, list | tuple):
        return len(found) == len(truth) and all(map(_same, found, truth))
    return bool(found == truth)


def _named(workspace: Workspace) -> bool:
    """Whether something was set aside, with its reason, where the pages show it."""
    tables = (workspace.predictions(MODEL), workspace.labels(MODEL), workspace.rollups(MODEL))
    log = PredictionLog(workspace, MODEL, SIGNATURE, POLICY, clock=lambda: NOON)
    return any(damages(table) for table in tables) or log.rows_set_aside() > 0
