"""Rows as they arrive: seal and fold in batches, labels that come late, look-ups, and many small models at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import polars as pl

from pilothouse.data.log.filters import Filter, Op
from pilothouse.data.log.frames import append_frame, append_labels
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import seal
from pilothouse.data.log.spool import Spool
from pilothouse.data.rollups.fold import fold
from pilothouse.data.workspace import Workspace
from tests.bench.log_child import measured
from tests.bench.logs import ALL, END, MODEL, POLICY, SETTINGS, SIXTY_DAYS, World, generate, key_of, labels
from tests.bench.repeat import alternate, wall_and_cpu_ms
from tests.bench.table import Row

LIVE_ROWS = {"small": 100_000, "medium": 300_000, "full": 300_000}
FRAME_ROWS = 100
MODELS, MODEL_ROWS = 200, 500
COMMITS = 15
CPU_US, COMMIT_MS, LOOK_UP_MS = 5.0, 40.0, 200.0


def live_rows(folder: Path, size: str) -> list[Row]:
    """Frames of 100 rows through the spool: processor time of seal and fold by the row; then commits of one frame."""
    world = World(folder, LIVE_ROWS[size])
    label = f"{size}, {world.rows:,} rows"
    house = Workspace.create(folder / "live")
    frame = _as_sent(world)
    # Made before the clock starts: the reference is no part of a fold.
    assert world.profile.rows
    with Spool.open(house.spool, "service") as spool:
        _send(spool, world, frame)
        sealing = wall_and_cpu_ms(lambda: _seal(house, world))[1]
        folding = wall_and_cpu_ms(lambda: _fold(house, world))[1]
        seals, folds = [], []
        for number in range(COMMITS):
            again = frame.head(FRAME_ROWS).with_columns(pl.col("prediction_id") + f"-{number}")
            _send(spool, world, again)
            seals.append(wall_and_cpu_ms(lambda: _seal(house, world))[0])
            folds.append(wall_and_cpu_ms(lambda: _fold(house, world))[0])
    each = (sealing + folding) * 1000 / world.rows
    return [
        Row(name="seal and fold of live rows", ours=each, goal=CPU_US, unit="CPU us/row", size=label),
        Row(name="seal alone", ours=sealing * 1000 / world.rows, unit="CPU us/row", size=label),
        Row(name="commit of a seal, 100 rows", ours=statistics.median(seals), goal=COMMIT_MS, unit="ms", size=label),
        Row(name="commit of a fold, 100 rows", ours=statistics.median(folds), goal=COMMIT_MS, unit="ms", size=label),
    ]


def late_labels(world: World, size: str) -> list[Row]:
    """Labels of every twentieth row, told after everything was folded; then performance over 60 days."""
    told = labels(0, world.rows, 20, world.rows)
    with Spool.open(world.workspace.spool, "labels") as spool:
        append_labels(spool, MODEL, world.signature, told)
    sealing = wall_and_cpu_ms(lambda: _seal(world.workspace, world))[1]
    folding = wall_and_cpu_ms(lambda: _fold(world.workspace, world))[1]
    found = world.history().performance(SIXTY_DAYS)
    assert found.labelled > 0.9 * found.rows / 20
    warm = _median_ms(lambda: world.history().performance(SIXTY_DAYS))
    return [
        Row(name="late labels: seal", ours=sealing * 1000 / told.height, unit="CPU us/label", size=size),
        Row(name="late labels: fold", ours=folding * 1000 / told.height, unit="CPU us/label", size=size),
        Row(name="performance over 60 d, labels late, warm", ours=warm, unit="ms", size=size),
    ]


def look_ups(world: World, size: str) -> list[Row]:
    log = PredictionLog(world.workspace, MODEL, world.signature, POLICY, settings=SETTINGS)
    some = f"{world.rows // 3:012d}"
    rare = (Filter(column="f0", op=Op.ABOVE, value=2.0), Filter(column="f20", op=Op.EQUAL, value="c0"))
    acts: dict[str, Callable[[], int]] = {
        "latest 100 rows by filter": lambda: log.find(ALL, limit=100, filters=rare).height,
        "one row by its id": lambda: log.find(ALL, limit=1, id=some).height,
    }
    for name, act in acts.items():
        assert act() == (1 if "id" in name else 100), name
    return [Row(name=name, ours=_median_ms(act), goal=LOOK_UP_MS, unit="ms", size=size) for name, act in acts.items()]


def look_up_by_key(folder: Path, rows: int) -> list[Row]:
    """One row by its business key, in a log whose rows all have one."""
    world = World(folder, rows, keyed=True)
    measured("import_log", world)
    log = PredictionLog(world.workspace, MODEL, world.signature, POLICY, settings=SETTINGS)

    def act() -> int:
        return log.find(ALL, limit=1, key=key_of(rows // 3)).height

    assert act() == 1
    name = "one row by its business key"
    return [Row(name=name, ours=_median_ms(act), goal=LOOK_UP_MS, unit="ms", size=f"{rows:,} rows")]


def many_models(folder: Path, size: str) -> list[Row]:
    """200 models with a few rows each, in one workspace: what one turn of the worker costs, and asking each."""
    world = World(folder, LIVE_ROWS["small"])
    house = Workspace.create(folder / "many")
    frame = _as_sent(world).head(MODEL_ROWS)
    names = [f"model-{n}" for n in range(MODELS)]
    with Spool.open(house.spool, "service") as spool:
        for name in names:
            append_frame(spool, name, world.signature, frame, version=1)
    sealing = wall_and_cpu_ms(lambda: seal(house, dict.fromkeys(names, world.signature), SETTINGS))[0]
    folding = wall_and_cpu_ms(lambda: [_fold(house, world, name) for name in names])[0]
    label = f"{size}, {MODELS} models x {MODEL_ROWS} rows"
    return [
        Row(name="200 models: seal", ours=sealing / MODELS, unit="ms/model", size=label),
        Row(name="200 models: fold", ours=folding / MODELS, unit="ms/model", size=label),
    ]


def _as_sent(world: World) -> pl.DataFrame:
    """The world's rows under the names of a client (features without their prefix), as if of the last three hours."""
    rows = pl.read_parquet(generate(world.folder / f"{world.rows}x{world.features}.parquet", world.rows))
    named = rows.rename({f.column: f.name for f in world.signature.features}).drop("version", "role", "caller")
    ago_us = pl.int_range(named.height, 0, -1) * (timedelta(hours=3) // timedelta(microseconds=1) // named.height)
    at = pl.lit(END) - ago_us.cast(pl.Duration("us"))
    return named.with_columns(at=at, logged_at=at)


def _send(spool: Spool, world: World, frame: pl.DataFrame) -> None:
    for start in range(0, frame.height, FRAME_ROWS):
        append_frame(spool, MODEL, world.signature, frame.slice(start, FRAME_ROWS), version=1)


def _seal(house: Workspace, world: World) -> None:
    seal(house, {MODEL: world.signature}, SETTINGS, clock=lambda: END)


def _fold(house: Workspace, world: World, model: str = MODEL) -> None:
    fold(house, model, world.signature, world.profile, POLICY, SETTINGS, clock=lambda: END)


def _median_ms(act: Callable[[], object]) -> float:
    found = alternate({"ours": partial(wall_and_cpu_ms, act)}, 7)["ours"]
    return statistics.median(wall for wall, _ in found)
