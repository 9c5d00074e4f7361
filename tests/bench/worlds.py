"""What is measured on: the demo's workspace in September, copies of it, and a log of a million rows."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pilothouse.data.rollups.profile import Profile
from pilothouse.ops import artifacts
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle
from tests.conftest import build_demo

RESAMPLED = "resampled"
_BATCH_ROWS = 100_000


def demo(folder: Path) -> Path:
    """The demo as it stands late in September: 200,000 logged and labelled flights. Not to be changed: copy it."""
    return build_demo(folder, date(2013, 9, 24))


def copy_of(workspace: Path, name: str) -> Path:
    """A copy beside it, to do with as a bench likes."""
    return Path(shutil.copytree(workspace, workspace.with_name(name)))


def reference_rows(flights: ModelHandle) -> pl.DataFrame:
    """The held-out rows, with the log's columns."""
    return Profile.load_sample(flights.house.workspace.reference(flights.name, flights.row.profile_id))


def add_resampled(house: House, rows: int, weeks: int) -> ModelHandle:
    """A model of its own with a log of `rows` labelled flights, drawn from the demo's with replacement.

    They lie evenly over the last `weeks` weeks, so that every window holds its share.
    """
    resampled = _register_again(house[MODEL])
    drawn = _drawn(house[MODEL], rows, weeks)
    for start in range(0, rows, _BATCH_ROWS):
        batch = drawn.slice(start, _BATCH_ROWS)
        resampled.log(batch, version=1)
        resampled.label(batch.select("id", "label", observed_at="at", recorded_at="at"))
        house.catch_up()
    return resampled


def _register_again(flights: ModelHandle) -> ModelHandle:
    house, version, target = flights.house, flights.versions[-1], flights.signature.target.name
    names = {f.column: f.name for f in flights.signature.features}
    house.register(
        RESAMPLED,
        artifacts.load(house.store.read(version.artifact_sha256), version.trusted_types),
        reference=reference_rows(flights).drop("score").rename({**names, "label": target}),
        target=target,
        trusted=version.trusted_types,
    )
    return house[RESAMPLED]


def _drawn(flights: ModelHandle, rows: int, weeks: int) -> pl.DataFrame:
    names = {f.column: f.name for f in flights.signature.features}
    logged = flights.prediction_log.labelled(columns=(*names, "prediction", "score")).drop_nulls("label")
    end = flights.data_end() or datetime.now(UTC)
    ago_us = np.linspace(timedelta(weeks=weeks) // timedelta(microseconds=1), 1, rows).astype(np.int64)
    at = pl.lit(end) - pl.Series(ago_us).cast(pl.Duration("us"))
    return (
        logged.sample(rows, with_replacement=True, seed=0)
        .rename(names)
        .select(*names.values(), "prediction", "score", "label", at=at, id=pl.Series([f"r{n}" for n in range(rows)]))
        .with_columns(logged_at=pl.col("at"))
    )
