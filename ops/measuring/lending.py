"""Score bands, lift and vintages of a model, over a window of its log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import BadPolicy
from pilothouse.data.limits import Limit
from pilothouse.data.measures.binary import curve, measure_binary
from pilothouse.data.measures.lending import score_bands, vintages
from pilothouse.data.measures.report import Lending, Vintage
from pilothouse.data.rollups.outcomes import outcomes_in
from pilothouse.data.rollups.plan import midnight
from pilothouse.data.rollups.schema import Part
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.performance import Asked, only_binary, ranked_rows, threshold_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pilothouse.ops.model import ModelHandle

_SHOWN = ("roc_auc", "gini", "ks", "positive_rate", "mean_score")
_MOST_BANDS, _MOST_AGES, _MOST_MONTHS = 50, 60, 36


def read_lending(
    handle: ModelHandle, asked: Asked, bands: int | Sequence[float], every: timedelta, ages: int
) -> Lending:
    """Bands, lift and vintages of a binary model. Raises BadPolicy, OnlyRollups, QueryTooSlow."""
    only_binary(handle)
    _check(bands, every, ages)
    history = handle.history
    counts = history.count([asked.window], (Part.VOLUME, Part.OUTCOME), asked.version)
    point, rows = history.trend_point(counts, asked.window, asked.version), ranked_rows(handle, asked, counts)
    found = measure_binary(outcomes_in(counts), rows, threshold_of(handle, asked.version, asked.threshold))
    return Lending(
        model=handle.name,
        version=asked.version,
        window=asked.window,
        watermark=history.watermark(),
        rows=point.rows,
        labelled=point.labelled,
        metrics={name: found[name] for name in _SHOWN},
        bands=score_bands(rows, bands),
        points=curve(rows),
        vintages=read_vintages(handle, asked, every, ages) if ages else (),
        every=every,
    )


def read_vintages(handle: ModelHandle, asked: Asked, every: timedelta, ages: int) -> tuple[Vintage, ...]:
    """The rows of each month of the window, from every row; nothing before the first row of the log."""
    end = handle.data_end()
    if end is None:
        return ()
    versions = None if asked.version is None else (asked.version,)
    with Limit(handle.house.settings.query_limit_s):
        rows = handle.prediction_log.labelled(asked.window, columns=("at", "status"), versions=versions)
    answered = rows.filter(pl.col("status") == "ok").select(
        "at", "observed_at", positive=pl.col("label") == handle.signature.target.positive
    )
    if answered.is_empty():
        return ()
    first = max(asked.window.start, answered["at"][0])
    months = month_windows(Window(first, asked.window.end), handle.house.settings.zone)[-_MOST_MONTHS:]
    return vintages(answered, months, every, ages, end)


def month_windows(window: Window, zone: ZoneInfo) -> list[Window]:
    """The calendar months of the business zone that a window touches, cut to it."""
    month, found = window.start.astimezone(zone).date().replace(day=1), []
    while (start := midnight(month, zone)) < window.end:
        month = (month + timedelta(days=32)).replace(day=1)
        found.append(Window(max(start, window.start), min(midnight(month, zone), window.end)))
    return found


def _check(bands: int | Sequence[float], every: timedelta, ages: int) -> None:
    if isinstance(bands, int):
        if not 2 <= bands <= _MOST_BANDS:
            raise BadPolicy(
                "bands", bands, f"from 2 to {_MOST_BANDS}, or the scores at which bands end, such as 0.1,0.3"
            )
    elif not bands or list(bands) != sorted({b for b in bands if 0 < b < 1}):
        raise BadPolicy("bands", list(bands), "rising scores between 0 and 1 at which one band ends, such as 0.1,0.3")
    if every < timedelta(hours=1):
        raise BadPolicy("every", str(every), "an hour or more, such as 1d or 4w")
    if not 0 <= ages <= _MOST_AGES:
        raise BadPolicy("ages", ages, f"from 0 to {_MOST_AGES} steps")
