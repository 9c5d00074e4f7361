"""Which columns tell rows apart that a model gets right from rows that it gets wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.measures.plan import SegmentGain

LEAST_ROWS = 100
"""A value of fewer rows is put together with the other rare ones."""
MOST_VALUES = 50
CHANCE = 0.01


def telling_columns(rows: pl.DataFrame, losses: npt.NDArray[np.float64]) -> tuple[SegmentGain, ...]:
    """Columns whose values differ in loss by more than chance, those that explain most of it first.

    rows : one column for each candidate. losses : float64, shape (rows,), finite.
    """
    found = (loss_explained(rows[name], losses) for name in rows.columns)
    telling = [gain for gain in found if gain is not None and gain.p < CHANCE and gain.share > 0]
    return tuple(sorted(telling, key=lambda gain: (-gain.share, gain.column)))


def loss_explained(column: pl.Series, losses: npt.NDArray[np.float64]) -> SegmentGain | None:
    """Omega squared of the loss by the values of `column`, with the p-value of its F test; None where that says nothing.

    Missing is a value; values of fewer than 100 rows are one together. None for fewer than two values so counted, for
    more than 50, or where all losses are equal.
    Source: Hays (1963), omega squared: (between - (k - 1) within) / (total + within).
    """
    from scipy.stats import f

    groups = pl.DataFrame({"value": column.cast(pl.String), "loss": losses})
    rare = pl.len().over("value") < LEAST_ROWS
    groups = groups.with_columns(rare=rare, value=pl.when(rare).then(None).otherwise(pl.col("value")))
    each = groups.group_by("value", "rare").agg(n=pl.len(), mean=pl.col("loss").mean())
    k, n = each.height, len(losses)
    if not 2 <= k <= MOST_VALUES or n <= k:
        return None
    between = float((each["n"] * (each["mean"] - losses.mean()) ** 2).sum())
    total = float(((losses - losses.mean()) ** 2).sum())
    within = (total - between) / (n - k)
    if within <= 0:
        return None
    share = max(0.0, (between - (k - 1) * within) / (total + within))
    return SegmentGain(
        column=column.name, share=share, p=float(f.sf(between / (k - 1) / within, k - 1, n - k)), values=k
    )
