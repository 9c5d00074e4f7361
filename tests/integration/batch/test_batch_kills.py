"""A batch that is killed anywhere goes on where it was: no row twice in the log or in the result, and none missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.support.small import MODEL, make_small, planted

from pilothouse.app.house import House
from pilothouse.data.errors import StoreBusy
from pilothouse.data.log import bulk
from pilothouse.data.log.schema import Role
from pilothouse.ops.batch import records
from pilothouse.ops.imports import sources

ROWS = 600

CHILD = """
import os, signal, sys
from pilothouse.ops.imports import sources
sources.CHUNK_ROWS = 100
from pilothouse.data.log import bulk
bulk.BLOCK_ROWS = 200
from pathlib import Path
from pilothouse.ops.batch.run import run_scoring
from pilothouse.ops.batch.work import Order
from pilothouse.ops.house import House
folder, source, out, die_at, nth = sys.argv[1:]
left = [int(nth)]
def crash(point):
    if point == die_at:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
order = Order(source=sources.open_source(Path(source)), out=Path(out))
print(run_scoring(House.open(folder)["loans"], order, crash=crash).sentence)
"""

POINTS = [
    ("scored.parquet", "score:recorded", 1),
    ("scored.parquet", "score:answered", 4),
    ("scored.parquet", "score:chunk", 3),
    ("scored.parquet", "bulk:written", 1),
    ("scored.parquet", "bulk:appended", 2),
    ("scored.parquet", "fold:appended", 1),
    ("scored.parquet", "score:logged", 1),
    ("scored.parquet", "score:closing", 1),
    ("scored.parquet", "score:placed", 1),
    ("scored", "score:closing", 1),
    ("scored", "score:placed", 1),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = make_small(tmp_path_factory.mktemp("kills") / "workspace")
    house.close()
    return house.workspace.root


def child(house: Path, source: Path, out: Path, point: str, nth: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(house), str(source), str(out), point, str(nth)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's own sizes, for the process that goes on."""
    monkeypatch.setattr(sources, "CHUNK_ROWS", 100)
    monkeypatch.setattr(records, "CHUNK_ROWS", 100)
    monkeypatch.setattr(bulk, "BLOCK_ROWS", 200)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("place", "point", "nth"), POINTS)
def test_killed_and_started_again(made: Path, tmp_path: Path, place: str, point: str, nth: int) -> None:
    folder, source, out = tmp_path / "workspace", tmp_path / "asked.parquet", tmp_path / place
    shutil.copytree(made, folder)
    asked = planted(ROWS, seed=5).drop("failed").with_columns(n=pl.int_range(ROWS))
    asked.write_parquet(source)
    killed = child(folder, source, out, point, nth)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert out.exists() == (point == "score:placed")
    loans = House.open(folder)[MODEL]
    ended = loans.score(source, out)
    assert f"Scored {ROWS} rows of asked.parquet with loans v1 into {out} (gone on with)" in ended.sentence
    scored = pl.read_parquet(out) if out.is_file() else pl.read_delta(str(out)).sort("n")
    assert_frame_equal(scored.select(asked.columns), asked)
    assert scored["score"].to_list() == loans.predict(asked)["score"].to_list()
    rows = loans.prediction_log.predictions(roles=list(Role)).sort("prediction_id")
    assert rows["prediction_id"].to_list() == sorted(scored["prediction_id"])
    assert rows["prediction_id"].n_unique() == ROWS
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert list((folder / "batches" / MODEL).iterdir()) == []


def test_two_at_once(made: Path, tmp_path: Path) -> None:
    source = tmp_path / "asked.parquet"
    planted(ROWS, seed=5).drop("failed").write_parquet(source)
    loans = House.open(shutil.copytree(made, tmp_path / "workspace"))[MODEL]
    refused: list[str] = []

    def meanwhile(progress: object) -> None:
        with pytest.raises(StoreBusy, match="at which another process is") as error:
            loans.score(source, tmp_path / "other.csv")
        refused.append(str(error.value))

    assert loans.score(source, tmp_path / "scored.csv", tell=meanwhile).counts.scored == ROWS
    assert len(refused) == 1
