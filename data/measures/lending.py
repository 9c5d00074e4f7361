"""What lenders and their kind read of a score: bands of it with lift and gains, and vintages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import wilson
from pilothouse.data.measures.outcomes import Ints
from pilothouse.data.measures.ranked import Ranked, calibration_groups
from pilothouse.data.measures.report import ScoreBand, Vintage
from pilothouse.data.windows import Window


def score_bands(rows: Ranked, bands: int | Sequence[float] = 10) -> tuple[ScoreBand, ...]:
    """Rows by bands of the score, the lowest first.

    bands : how many, of about equal rows; or the scores at which one band ends and the next begins, rising. Rows of one
    score (one step of it, from roll-ups) are never parted. Empty bands of given edges are kept. Source: Siddiqi (2006), ch. 6.
    """
    if rows.rows == 0:
        return ()
    if isinstance(bands, int):
        group = calibration_groups(rows.counts.sum(axis=0), bands)
        group = np.unique(group, return_inverse=True)[1]
        lows = rows.least[np.flatnonzero(np.diff(group, prepend=-1))]
        edges = np.concatenate([[0.0], lows[1:], [1.0]])
    else:
        edges = np.array([0.0, *bands, 1.0])
        starts = [rows.place(edge) for edge in bands]
        group = np.searchsorted(np.array(starts), np.arange(len(rows.least)), side="right")
    return _bands(rows, group, edges)


def _bands(rows: Ranked, group: Ints, edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[ScoreBand, ...]:
    size = len(edges) - 1
    n = np.bincount(group, weights=rows.counts.sum(axis=0), minlength=size).astype(np.int64)
    hits = np.bincount(group, weights=rows.positives, minlength=size).astype(np.int64)
    said = np.bincount(group, weights=rows.total, minlength=size)
    positives, overall = int(hits.sum()), int(hits.sum()) / rows.rows
    above = hits[::-1].cumsum()[::-1]
    return tuple(
        ScoreBand(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            rows=int(n[i]),
            positives=int(hits[i]),
            rate=_rate(int(hits[i]), int(n[i])),
            mean_score=float(said[i] / n[i]) if n[i] else None,
            lift=float(hits[i] / n[i] / overall) if n[i] and positives else None,
            gain=float(above[i] / positives) if positives else None,
        )
        for i in range(size)
    )


def _rate(hits: int, n: int) -> Metric:
    if n == 0:
        return Metric(value=None, reason="no labelled row has such a score")
    low, high = wilson(hits, n)
    return Metric(value=hits / n, low=low, high=high)


def vintages(
    rows: pl.DataFrame, windows: Sequence[Window], every: timedelta, ages: int, known_to: datetime
) -> tuple[Vintage, ...]:
    """Of the rows made in each window, the share that had come out positive by each age; cumulative, so it only rises.

    rows : `at`, `observed_at` (of the label; null without), `positive` (boolean, null without a label). A row without a
    label counts as not positive yet. ages : how many steps of `every`. An age is said once all rows of the window were
    that old at `known_to`.
    """
    return tuple(_vintage(rows, window, every, ages, known_to) for window in windows)


def _vintage(rows: pl.DataFrame, window: Window, every: timedelta, ages: int, known_to: datetime) -> Vintage:
    mine = rows.filter(pl.col("at") >= window.start, pl.col("at") < window.end)
    hits = mine.filter(pl.col("positive"), pl.col("observed_at") <= known_to)
    age = hits.select((pl.col("observed_at") - pl.col("at")).dt.total_microseconds()).to_series().to_numpy()
    step = every // timedelta(microseconds=1)
    within = np.clip(-(-age // step), 1, ages + 1).astype(np.int64)
    upto = np.bincount(within, minlength=ages + 2)[1 : ages + 1].cumsum()
    old = [window.end + every * (place + 1) <= known_to for place in range(ages)]
    shares = tuple(
        float(n) / mine.height if known and mine.height else None for n, known in zip(upto, old, strict=True)
    )
    return Vintage(window=window, rows=mine.height, positives=int(hits.height), shares=shares)
