"""An import that is killed anywhere goes on where it was: no row twice, none lost, and roll-ups equal to a recount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.foreign_log import foreign_log

from pilothouse.app.house import House
from pilothouse.data.errors import ImportBrokenOff
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace

ALL = Window(parse_time("2025-12-01T00:00:00Z"), parse_time("2026-12-01T00:00:00Z"))
ROWS = 600

CHILD = """
import os, signal, sys
from pilothouse.ops.imports import sources
sources.CHUNK_ROWS = 100
from pilothouse.data.log import bulk
bulk.BLOCK_ROWS = 100
from pilothouse.ops.house import House
from pilothouse.ops.imports.entry import order_of
from pilothouse.ops.imports.run import run_import
folder, source, labels, die_at, nth, resume = sys.argv[1:]
left = [int(nth)]
def crash(point):
    if point == die_at:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
house = House.open(folder)
order = order_of(house, "delays", source, labels=labels, resume=bool(int(resume)))
print(run_import(house, order, crash=crash).sentence)
"""

POINTS = [
    ("import:recorded", 1),
    ("bulk:labels", 1),
    ("bulk:written", 2),
    ("bulk:appended", 3),
    ("import:chunk", 6),
    ("import:labels", 2),
    ("fold:computed", 1),
    ("fold:appended", 1),
]


def child(
    house: House, files: tuple[Path, Path], point: str, nth: int, *, resume: bool
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        CHILD,
        str(house.workspace.root),
        *map(str, files),
        point,
        str(nth),
        str(int(resume)),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))


@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_killed_and_resumed(tmp_path: Path, point: str, nth: int) -> None:
    planted = foreign_log(ROWS)
    files = planted.write(tmp_path)
    house = House.open(Workspace.create(tmp_path / "house").root)
    assert child(house, files, point, nth, resume=False).returncode == -signal.SIGKILL
    with pytest.raises(ImportBrokenOff, match="--resume"):
        house.import_log("delays", files[0], labels=files[1])
    ended = child(house, files, "never", 1, resume=True)
    assert ended.returncode == 0, ended.stderr
    assert f"Read {ROWS:,} rows of export 2026.csv: {ROWS:,} imported into delays" in ended.stdout
    assert f"{planted.told} matched, 0 waiting" in ended.stdout
    delays = house["delays"]
    ids = delays.prediction_log.predictions(ALL)["prediction_id"]
    assert (len(ids), ids.n_unique()) == (ROWS, ROWS)
    said = delays.history.performance(ALL)
    assert (said.rows, said.labelled) == (ROWS, planted.told)
    rebuild(house.workspace, "delays", delays.signature, delays.profile, delays.label_policy, house.settings)
    assert house["delays"].history.performance(ALL).metrics["roc_auc"].value == said.metrics["roc_auc"].value
    assert house["delays"].history.drift(ALL).rows == ROWS
