"""A file scored by `pilothouse score` beside the model called directly: rows a second, processor time, and the most memory."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pilothouse.app.house import House
from pilothouse.ops.demo.build import MODEL
from tests.bench.table import Row
from tests.bench.worlds import copy_of, reference_rows

SIZES = {"small": 1_000_000, "medium": 1_000_000, "full": 5_000_000}
TIMES = {"small": 3, "medium": 3, "full": 1}
AGAINST_MODEL = 0.7
PEAK_MB = 2048.0
_ROOT = Path(__file__).resolve().parents[2]
_UNIT = "rows/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    wall_s: float
    cpu_s: float
    peak_mb: float


def run(built: Path, size: str) -> list[Row]:
    """Each turn from a fresh copy of the demo; every act in a process of its own, imports and loading left out."""
    rows, folder = SIZES[size], built.with_name("batch")
    folder.mkdir()
    asked = _asked(built, folder / "asked.parquet", rows)
    found: dict[str, list[Cost]] = {act: [] for act in ("direct", "original", "score", "score_unlogged")}
    for _ in range(TIMES[size]):
        for act, costs in found.items():
            workspace = copy_of(built, f"batch-{act}")
            costs.append(_measured(act, workspace, asked, folder / "scored.parquet"))
            _check(act, workspace, rows)
            shutil.rmtree(workspace)
    return _table(found, rows, f"{size}, {rows:,} rows")


def _table(found: dict[str, list[Cost]], rows: int, size: str) -> list[Row]:
    speed = {act: rows / statistics.median(cost.wall_s for cost in costs) for act, costs in found.items()}
    named = (
        ("model called directly", "score", "direct", AGAINST_MODEL),
        ("scikit-learn's original called directly", "score", "original", None),
        ("model called directly, without the log", "score_unlogged", "direct", None),
    )
    cpu = {act: statistics.median(cost.cpu_s for cost in costs) / rows * 1e6 for act, costs in found.items()}
    peak = max(cost.peak_mb for cost in found["score"])
    return [
        *(
            Row(name=f"score rows: {name}", ours=speed[ours], rival=speed[rival], goal=goal, unit=_UNIT, size=size, more=True)
            for name, ours, rival, goal in named
        ),
        Row(name="score rows: model called directly", ours=cpu["score"], rival=cpu["direct"], unit="CPU us/row", size=size),
        Row(name="most memory of scoring", ours=peak, goal=PEAK_MB, unit="MB", size=size),
    ]  # fmt: skip


def _asked(built: Path, path: Path, rows: int) -> Path:
    """Flights drawn with replacement from the reference, with a booking of their own."""
    house = House.open(built)
    flights = house[MODEL]
    names = {f.column: f.name for f in flights.signature.features}
    drawn = reference_rows(flights).select(*names).rename(names).sample(rows, with_replacement=True, seed=0)
    drawn.with_columns(booking=pl.int_range(rows).cast(pl.String)).write_parquet(path)
    house.close()
    return path


def _measured(act: str, workspace: Path, asked: Path, out: Path) -> Cost:
    command = [sys.executable, "-m", "tests.bench.batch_child", act, str(workspace), str(asked), str(out)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    out.unlink()
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _check(act: str, workspace: Path, rows: int) -> None:
    """A bench that logs nothing would be fast."""
    house = House.open(workspace)
    flights = house[MODEL]
    counted = flights.history_of("batch").drift(flights.window("7d")).rows
    house.close()
    assert counted == (rows if act == "score" else 0), f"{act}: {counted:,} rows counted"
