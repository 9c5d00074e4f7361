"""The prediction log beside its rivals: import, fold, live rows, drift from roll-ups, exact scans, look-ups, extremes."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

from pilothouse.data.windows import Window
from tests.bench import log_live, log_scans
from tests.bench.log_child import Cost, measured
from tests.bench.logs import ODD, SIXTY_DAYS, World
from tests.bench.repeat import alternate, median_of_each, wall_and_cpu_ms
from tests.bench.table import Row
from tests.support.bounds import cases

SIZES = {"small": 1_000_000, "medium": 10_000_000, "full": 50_000_000}
TIMES = {"small": 3, "medium": 1, "full": 1}
AGAINST_COPY = 0.8
AGAINST_SCAN = 1 / 0.7
DAYS_MS, ODD_MS = 60.0, 400.0
PEAK_MB = 2048.0


def run(folder: Path, size: str) -> list[Row]:
    world = World(folder, SIZES[size])
    label, times = f"{size}, {world.rows:,} rows", TIMES[size]
    million = world if size == "small" else World(folder, SIZES["small"])
    rows = [*imported(world, label, times), *folded(world, label, times), *drift(world, label)]
    if million is not world:
        measured("import_log", million)
    return [
        *rows,
        *log_scans.exact(million, f"{million.rows:,} rows"),
        *log_live.late_labels(world, label),
        *log_live.look_ups(world, label),
        *log_live.look_up_by_key(folder, million.rows),
        *log_live.live_rows(folder, size),
        *extremes(folder, size),
        *errors(folder),
    ]


def imported(world: World, size: str, times: int) -> list[Row]:
    """Each turn into a workspace of its own; the last one stays to be asked."""

    def anew() -> Cost:
        if world.workspace.predictions("measured").exists():
            shutil.rmtree(world.workspace.root)
            del world.__dict__["workspace"]
        return measured("import_log", world)

    ours, rival = [], []
    for _ in range(times):
        ours.append(anew())
        rival.append(measured("copy", world))
    wall = statistics.median(cost.wall_s for cost in ours)
    copy = statistics.median(cost.wall_s for cost in rival)
    cpu, copy_cpu = (statistics.median(cost.cpu_s for cost in costs) for costs in (ours, rival))
    peak = max(cost.peak_mb for cost in ours)
    return [
        Row(name="import with roll-ups: DuckDB's COPY", ours=wall, rival=copy, goal=AGAINST_COPY, unit="s", size=size),
        Row(name="import with roll-ups: DuckDB's COPY", ours=cpu, rival=copy_cpu, unit="CPU s", size=size),
        Row(name="most memory of the import", ours=peak, goal=PEAK_MB, unit="MB", size=size),
    ]


def folded(world: World, size: str, times: int) -> list[Row]:
    """The fold of batches in memory: reading and counting less reading alone. And a recount from the table."""
    acts = ("scan", "scan_and_count", "recount")
    found: dict[str, list[float]] = {act: [] for act in acts}
    for _ in range(times):
        for act in acts:
            found[act].append(measured(act, world).cpu_s)
    bare, both, again = (statistics.median(found[act]) for act in acts)
    rival = "bare scan of the same columns"
    return [
        Row(name=f"fold in memory: {rival}", ours=both - bare, rival=bare, goal=AGAINST_SCAN, unit="CPU s", size=size),
        Row(name=f"recount from the table: {rival}", ours=again, rival=bare, unit="CPU s", size=size),
    ]


def drift(world: World, size: str) -> list[Row]:
    """All features, cold (first question of a new process) and warm: each time another window, so nothing is remembered."""
    rows = []
    windows = (("60 d", SIXTY_DAYS, "first_drift", DAYS_MS), ("37 d 5 h", ODD, "first_odd_drift", ODD_MS))
    for name, window, act, goal in windows:
        asked = (Window(window.start - days, window.end - days) for days in map(timedelta, count()))
        ask = partial(wall_and_cpu_ms, lambda asked=asked: world.history().drift(next(asked)))
        warm = median_of_each({"ours": [wall for wall, _ in alternate({"ours": ask}, 9)["ours"]]})["ours"]
        cold = statistics.median(measured(act, world).wall_s * 1000 for _ in range(3))
        rows += [
            Row(name=f"drift of all features, {name}, warm", ours=warm, goal=goal, unit="ms", size=size),
            Row(name=f"drift of all features, {name}, cold", ours=cold, unit="ms", size=size),
        ]
    return rows


def extremes(folder: Path, size: str) -> list[Row]:
    """300 features; 200 models."""
    wide = World(folder, 200_000, 300)
    cost = measured("import_log", wide)
    again = partial(wall_and_cpu_ms, lambda: wide.history().drift(SIXTY_DAYS))
    warm = statistics.median(wall for wall, _ in alternate({"ours": again}, 5)["ours"])
    label = f"{size}, {wide.rows:,} rows"
    return [
        Row(name="300 features: import", ours=cost.cpu_s / wide.rows * 1e6, unit="CPU us/row", size=label),
        Row(name="300 features: most memory of the import", ours=cost.peak_mb, goal=PEAK_MB, unit="MB", size=label),
        Row(name="300 features: drift of all, 60 d, warm", ours=warm, unit="ms", size=label),
        *log_live.many_models(folder, size),
    ]


def errors(folder: Path) -> list[Row]:
    """The worst error of each measure over all laws and shifts, and over those for which a bound is promised."""
    found = cases(folder / "laws")
    chosen: Sequence[tuple[str, Callable[[float | None], bool]]] = (
        ("psi", lambda bound: bound is not None and bound < 1e-6),
        ("psi", lambda bound: bound is not None and bound > 1e-6),
        ("ks", lambda bound: bound is not None),
        ("wasserstein", lambda bound: bound is not None),
    )
    rows = []
    for measure, wanted in chosen:
        mine = [case for case in found if case.measure == measure and wanted(case.bound)]
        worst = max(mine, key=lambda case: case.error)
        beyond = sum(not case.kept for case in mine)
        name = f"worst error of {measure}, {len(mine)} cases, {beyond} beyond ({worst.law} {worst.shift})"
        rows.append(Row(name=name, ours=worst.error, goal=worst.bound, unit="-", size=""))
    return rows
