"""Drift of what a model answers, measured like a feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.limits import Limit
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.drift import Counts
from pilothouse.data.measures.drift_thresholds import judged_answer
from pilothouse.data.measures.feature_drift import measure_drift
from pilothouse.data.rollups.bins import NumberBins, tally
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind, Task
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, SCORED, judged_version, reference_rows

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.ops.model import ModelHandle

NAME = "prediction"


def prediction_drift(handle: ModelHandle, window: Window, version: int | None = None) -> FeatureDrift | None:
    """The answers of the window against what a version says to the reference rows: classes, or numbers of a regression.

    version : of its own answers alone; None for all answers, against the champion. None where there is no champion, or
    nothing is known of the reference rows' answers. Raises UnknownVersion, QueryTooSlow.
    """
    profile = answers_profile(handle, version)
    if profile is None:
        return None
    with Limit(handle.house.settings.query_limit_s):
        answered = _answered(handle, window, version)[NAME]
    return judged_answer(_measured(profile, answered), handle.row.drift_thresholds, window)


def answers_profile(handle: ModelHandle, version: int | None = None) -> FeatureProfile | None:
    """What a version, or the champion for None, says to the reference rows; None where that is not known."""
    if version is None and handle.champion is None:
        return None
    expected = _expected(handle, judged_version(handle, version))
    if expected is None:
        return None
    kind = Kind.NUMBER if handle.task is Task.REGRESSION else Kind.CATEGORY
    return FeatureProfile.of(NAME, kind, expected.cast(_logged_type(handle)))


def answers_by_day(handle: ModelHandle, profile: FeatureProfile, days: Sequence[Window]) -> Counts:
    """Answers of all versions by day and slot of `profile`: int64, shape (days, slots). days : one after the other."""
    rows = _answered(handle, Window(days[0].start, days[-1].end), None)
    begins = pl.Series([day.start for day in days]).dt.epoch("us").to_numpy()
    place = np.searchsorted(begins, rows["at"].dt.epoch("us").to_numpy(), side="right") - 1
    return tally(profile.bins.codes(rows[NAME]), profile.bins.slots, place, len(days)).astype(np.int64)


def _answered(handle: ModelHandle, window: Window, version: int | None) -> pl.DataFrame:
    """`at` and the answer of every answered row of the window."""
    versions = None if version is None else (version,)
    logged = handle.prediction_log.predictions(window, ("at", NAME, "status"), versions)
    return logged.filter(pl.col("status") == Status.OK)


def _logged_type(handle: ModelHandle) -> pl.DataType:
    """How the log holds an answer."""
    return pl.Series(pa.array([], handle.signature.target.arrow_type)).dtype


def _expected(handle: ModelHandle, version: VersionRow) -> pl.Series | None:
    """What the version says to the reference rows; for one that is served elsewhere, as its scores and threshold say."""
    rows = reference_rows(handle, version)
    if rows[SAID].null_count() < rows.height:
        return rows[SAID]
    classes = version.signature.target.classes
    if handle.task is not Task.BINARY or rows[SCORED].null_count() == rows.height or len(classes) != 2:
        return None
    positive = version.signature.target.positive
    other = next(value for value in classes if value != positive)
    said = [None if s is None else positive if s >= version.threshold else other for s in rows[SCORED].to_list()]
    return pl.Series(SAID, said)


def _measured(profile: FeatureProfile, column: pl.Series) -> FeatureDrift:
    codes, alone = profile.bins.codes(column), np.zeros(len(column), np.int64)
    weights = profile.bins.weights(column) if isinstance(profile.bins, NumberBins) else np.zeros(len(column))
    counts = tally(codes, profile.bins.slots, alone, 1)[0].astype(np.int64)
    return measure_drift(profile, counts, tally(codes, profile.bins.slots, alone, 1, weights)[0])
