"""What reports of performance need of roll-up rows, or of the labelled rows themselves: scores in order, errors by size."""

from __future__ import annotations

import numpy as np
import polars as pl

from pilothouse.data.measures.errors import Sized
from pilothouse.data.measures.ranked import Ranked
from pilothouse.data.rollups.bins import ERROR_SLOTS, NO_SCORE, SCORE_SLOTS, Floats
from pilothouse.data.rollups.schema import ERROR, TRUE_SCORE, Part


def ranked_in(counts: pl.DataFrame) -> Ranked:
    """Labelled rows by step of their score, of a binary model's roll-up rows."""
    rows = counts.filter(pl.col("part") == Part.OUTCOME, pl.col("feature") == TRUE_SCORE, pl.col("bin") != NO_SCORE)
    negatives, positives = (_dense(rows.filter(pl.col("label") == label), "n", SCORE_SLOTS) for label in (0, 1))
    return Ranked.of_slots(negatives.astype(np.int64), positives.astype(np.int64), _dense(rows, "s", SCORE_SLOTS))


def sized_in(counts: pl.DataFrame) -> Sized:
    """Errors by step of their size, of a regression's roll-up rows."""
    rows = counts.filter(pl.col("part") == Part.OUTCOME, pl.col("feature") == ERROR)
    n, total = (_dense(rows, column, ERROR_SLOTS) for column in ("n", "s"))
    held = np.flatnonzero(n > 0)
    return Sized(counts=n[held].astype(np.int64), mean=total[held] / n[held])


def held_rows(contributions: pl.DataFrame) -> pl.DataFrame:
    """The labelled rows themselves: prediction, score, label. A label that another has replaced cancels out."""
    kept = contributions.group_by("prediction", "score", "label").agg(n=pl.col("sign").cast(pl.Int64).sum())
    there = kept.filter(pl.col("n") > 0)
    return there.select(pl.col("prediction", "score", "label").repeat_by("n").explode())


def _dense(rows: pl.DataFrame, column: str, slots: int) -> Floats:
    weights = rows[column].cast(pl.Float64).to_numpy()
    summed: Floats = np.bincount(rows["bin"].to_numpy(), weights=weights, minlength=slots).astype(np.float64)
    return summed
