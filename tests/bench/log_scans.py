"""The exact scan of all features against reading alone, SciPy called directly, and Evidently's drift preset."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import polars as pl

from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.rollups.profile import Profile
from tests.bench.log_child import measured
from tests.bench.logs import ALL, MODEL, World
from tests.bench.measures import evidently, scipy_drift
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

LESS_THAN_SCIPY, LESS_THAN_EVIDENTLY = 3.0, 20.0
SCAN, SCIPY, WASSERSTEIN = "bare scan of the same columns", "SciPy, rows in memory", "SciPy with Wasserstein"
TIMES = 3


def exact(world: World, size: str) -> list[Row]:
    """Over the whole log. SciPy and Evidently get their rows in memory, ours reads them from the table."""
    columns = [feature.column for feature in world.signature.features]
    reference = Profile.load_sample(world.workspace.reference(MODEL, "p1"))
    current = pl.read_parquet(world.file, columns=columns)
    files = prediction_folder(world.workspace, MODEL, world.signature).files()
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: world.history().drift(ALL, exact=True),
        SCAN: lambda: pl.read_parquet(files, columns=columns, hive_partitioning=False),
        SCIPY: lambda: scipy_drift(world.signature, reference, current),
        WASSERSTEIN: lambda: _scipy_with_distances(world, reference, current),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, TIMES))
    with evidently(world.signature, reference, current) as preset:
        found["Evidently's DataDriftPreset"] = preset()
    goals = {WASSERSTEIN: LESS_THAN_SCIPY, "Evidently's DataDriftPreset": LESS_THAN_EVIDENTLY}
    rows = [
        Row(
            name=f"exact drift: {name}", ours=found["ours"], rival=value, goal=goals.get(name), unit="CPU ms", size=size
        )
        for name, value in found.items()
        if name != "ours"
    ]
    peak = measured("exact_drift", world).peak_mb
    return [*rows, Row(name="exact drift: most memory", ours=peak, goal=2048.0, unit="MB", size=size)]


def _scipy_with_distances(world: World, reference: pl.DataFrame, current: pl.DataFrame) -> None:
    """The statistics of the exact scan as one would call them oneself: test, and distance, of each number."""
    from scipy.stats import wasserstein_distance

    scipy_drift(world.signature, reference, current)
    for feature in world.signature.features:
        if feature.numeric:
            before, now = (frame[feature.column].drop_nulls().to_numpy() for frame in (reference, current))
            wasserstein_distance(before, now)
