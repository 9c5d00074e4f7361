"""Files flipped by a bit, cut short, zeroed, swapped or gone: an error, or set aside by name, or the same answer.

Never another answer without a word: neither to who asks first, nor after a seal and a fold have gone over it.
"""

from __future__ import annotations

import math
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from pilothouse.data.delta.checks import unchecked
from pilothouse.data.delta.quarantine import damages
from pilothouse.data.history.history import History
from pilothouse.data.log.pending import pending
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import seal
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.life import MODEL, NOON, POLICY, SETTINGS, SIGNATURE, Life, fold_log, profile

TIMES = {"small": 20, "full": 1000}
CONTROLS = {"small": 400, "full": 1000}
"""The most tries without the checks; the small campaign's end at the first file that shows what they are for."""
_AT_ONCE = 20
EVERYTHING = Window(NOON - timedelta(days=10), NOON + timedelta(days=10))
KINDS: dict[str, Callable[[Path], bool]] = {
    "data file": lambda path: path.suffix == ".parquet" and "day=" in str(path),
    "roll-ups": lambda path: path.suffix == ".parquet" and "period=" in str(path),
    "log entry": lambda path: path.suffix == ".json" and path.parent.name == "_delta_log",
    "checkpoint": lambda path: "checkpoint" in path.name,
    "checksum": lambda path: path.parent.name == "_checks",
    "spool": lambda path: path.parent.name == "spool" and path.name.endswith((".sqlite", "-wal", ".last")),
}
_profile = cache(profile)
BLOCK = 512
Answer = tuple[Any, ...]
Truths = tuple[Answer, Answer]
"""Before and after a worker's turn."""

Harmed = tuple[str, bytes | None]
"""What was done, and the new content; None: the file is gone."""

Harm = Callable[[bytes, list[bytes], random.Random], Harmed]
"""Of a file's content and the contents of its kind."""


def run(size: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        workspace = lived(Path(folder) / "workspace")
        truths = answers_before_and_after(workspace)
        with ProcessPoolExecutor(2, mp_context=processes()) as pool:
            control = campaign(pool, workspace, truths, CONTROLS[size], checked=False, until_shown=size == "small")
            return [campaign(pool, workspace, truths, TIMES[size], checked=True), control]


def campaign(
    pool: Executor, workspace: Workspace, truths: Truths, times: int, *, checked: bool, until_shown: bool = False
) -> Outcome:
    """`times` files hurt, one at a time; and how often the answer was another, and nobody said so."""
    judge = partial(silently_wrong, workspace.root, truths, checked=checked)
    tried = wrong = 0
    while tried < times and not (until_shown and wrong):
        following = range(tried, min(tried + _AT_ONCE, times))
        for sentence in pool.map(judge, following):
            wrong += bool(sentence)
            if sentence and checked:
                print(sentence, file=sys.stderr)
        tried += len(following)
    name = f"file flipped, cut, zeroed, swapped, gone{'' if checked else ', control: no checks'}"
    return Outcome(name=name, tried=tried, lost=0, doubled=0, wrong=wrong, control=not checked)


def answers(workspace: Workspace) -> Answer:
    """What a person may ask: rows with their labels, performance, drift."""
    log = PredictionLog(workspace, MODEL, SIGNATURE, POLICY, clock=lambda: NOON)
    rows = log.labelled(EVERYTHING).sort("prediction_id").rows()
    history = History(workspace, MODEL, SIGNATURE, _profile(), POLICY, SETTINGS)
    performance, drift = history.performance(EVERYTHING), history.drift(EVERYTHING)
    metrics = {name: asdict(metric) for name, metric in performance.metrics.items()}
    return rows, performance.rows, performance.labelled, metrics, [asdict(feature) for feature in drift.features]


def answers_before_and_after(workspace: Workspace) -> Truths:
    """The answers as things stand, and after a seal and a fold in a copy."""
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        copy = Workspace.open(shutil.copytree(workspace.root, Path(folder) / "workspace"))
        _worked_on(copy)
        return answers(workspace), answers(copy)


def silently_wrong(root: Path, truths: Truths, number: int, *, checked: bool) -> str:
    """What was done to which file, if answers differ after it and nobody says why; else nothing."""
    dice = random.Random(number)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder, nullcontext() if checked else unchecked():
        workspace = Workspace.open(shutil.copytree(root, Path(folder) / "workspace"))
        # Without checks the Parquet files show it soonest; of the other kinds most are whole or broken, not wrong.
        done = hurt(workspace, dice, KINDS if checked else {"data file": KINDS["data file"]})
        for truth, (when, act) in zip(truths, _MOMENTS.items(), strict=True):
            try:
                act(workspace)
                found = answers(workspace)
            except BaseException as error:
                # Whatever is raised is no answer. A library that panics raises what no other exception is.
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                continue
            if not _same(found, truth) and not _named(workspace):
                return f"number {number}: {done}{when}"
    return ""


def _worked_on(workspace: Workspace) -> None:
    """A worker's turn; what it cannot read it says, and goes on with the rest."""
    seal(workspace, {MODEL: SIGNATURE}, SETTINGS)
    fold_log(workspace, _profile())


_MOMENTS: dict[str, Callable[[Workspace], None]] = {"": lambda _: None, ", after a seal and a fold": _worked_on}


def hurt(workspace: Workspace, dice: random.Random, chosen_from: dict[str, Callable[[Path], bool]]) -> str:
    """Something done to one file; every kind of file as often."""
    files = sorted(path for path in workspace.root.rglob("*") if path.is_file() and path.stat().st_size)
    kinds = {name: [path for path in files if chosen(path)] for name, chosen in chosen_from.items()}
    name = dice.choice([name for name, members in kinds.items() if members])
    path = dice.choice(kinds[name])
    [harm] = dice.choices(list(HARMS), list(HARMS.values()))
    before = path.read_bytes()
    done, content = harm(before, [other.read_bytes() for other in kinds[name]], dice)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    return f"{name} {path.relative_to(workspace.root)} of {len(before)} bytes: {done}"


def _flip(content: bytes, others: list[bytes], dice: random.Random) -> Harmed:
    at = dice.randrange(len(content))
    return f"a bit flipped at {at}", content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, others: list[bytes], dice: random.Random) -> Harmed:
    at = dice.randrange(len(content))
    return f"cut after {at}", content[:at]


def _zero(content: bytes, others: list[bytes], dice: random.Random) -> Harmed:
    at = dice.randrange(len(content)) // BLOCK * BLOCK
    size = min(BLOCK, len(content) - at)
    return f"{size} bytes zeroed at {at}", content[:at] + bytes(size) + content[at + size :]


def _swap(content: bytes, others: list[bytes], dice: random.Random) -> Harmed:
    return "another's content", dice.choice(others)


def _delete(content: bytes, others: list[bytes], dice: random.Random) -> Harmed:
    return "deleted", None


HARMS: dict[Harm, int] = {_flip: 60, _cut: 20, _zero: 7, _swap: 7, _delete: 6}
"""What is done, and how often of a hundred times."""


def lived(root: Path) -> Workspace:
    """A log with sealed and unsealed rows, folds, and a compaction with its checkpoint.

    Its processes ended in a hurry: what the last of them wrote stands in the log of its spool, and not in the file yet.
    """
    workspace = Workspace.create(root)
    life = Life(workspace=workspace, name="life", acknowledge=lambda _: None)
    for _, step in life.steps(3):
        step()
    life.open()
    life.predict(3, 0)
    life.label(2, 1)
    with pending(workspace.spool):
        # The last to close a spool moves its log into the file; so this reader has to outlive the writer.
        life.close()
        left = shutil.copytree(workspace.root, root.with_name("left"))
    shutil.rmtree(root)
    return Workspace.open(left)


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
