"""Permutation importance: how much worse a model does when one feature's values are dealt out anew among the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.outcomes import Bools, Floats, Ints

if TYPE_CHECKING:
    import polars as pl

    from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Lean:
    """How much a version leans on features. names : one feature, or a group that hangs together, dealt out together.

    drop : by how much the metric gets worse when their values are dealt out anew, with a 95 % band.
    """

    names: tuple[str, ...]
    drop: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What a version leans on: `features` one by one and `groups` of those that hang together, largest drop first.

    window : of the labelled rows; None for the reference. metric : roc_auc, accuracy or mae. value : what the version
    shows of it on `rows` rows, a sample with a fixed seed where there are more (`of_rows`). repeats : how often each was
    dealt out. unshown : the sentence on features that are not shown. reason : why nothing can be said.
    """

    model: str
    version: int
    window: Window | None
    metric: str
    rows: int
    of_rows: int
    repeats: int
    value: float | None = None
    features: tuple[Lean, ...] = ()
    groups: tuple[Lean, ...] = ()
    unshown: str = ""
    reason: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """The features and groups as a frame, largest drop first."""
        import polars as pl

        found = [(" + ".join(f.names), f.drop.value, f.drop.low, f.drop.high) for f in (*self.features, *self.groups)]
        schema = {"feature": pl.String, "drop": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(found, schema=schema, orient="row")


def shuffles(rows: int, repeats: int, seed: int) -> Ints:
    """Random orders of the rows: int64, shape (repeats, rows); row i gets the value of row `orders[r, i]`."""
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(rows), (repeats, 1)), axis=1)


def measure_importance(quality: Floats, shuffled: Floats, orders: Ints) -> Metric:
    """The drop of a mean quality by shuffling, averaged over the repeats, with a 95 % band.

    quality : float64, shape (rows,): how well each row is said, more is better. shuffled : shape (repeats, rows), the
    same with the feature dealt out by `orders` (int64, same shape).
    The band is for the sampling of rows: each row counts as who receives a value and as who gives its own, the two
    projections of a statistic of pairs (Hoeffding 1948). Source: Breiman (2001), Fisher, Rudin and Dominici (2019).
    """
    drop = float(quality.mean() - shuffled.mean())
    return _banded(drop, quality, shuffled, orders)


def auc_importance(positive: Bools, score: Floats, shuffled: Floats, orders: Ints) -> Metric:
    """The drop of ROC AUC by shuffling, averaged over the repeats, with a 95 % band. As `measure_importance`.

    positive : bool, shape (rows,), both classes there. score : float64, shape (rows,). shuffled : (repeats, rows).
    The rows' parts in the AUC are the placements of DeLong, DeLong and Clarke-Pearson (1988).
    """
    auc, parts = auc_parts(positive, score)
    found = [auc_parts(positive, each) for each in shuffled]
    drop = auc - float(np.mean([value for value, _ in found]))
    return _banded(drop, parts, np.stack([each for _, each in found]), orders)


def auc_parts(positive: Bools, score: Floats) -> tuple[float, Floats]:
    """ROC AUC, and each row's part in it: float64, shape (rows,), with the AUC as its mean. Ties count half."""
    from scipy.stats import rankdata

    ranks, rows = rankdata(score), len(score)
    m, n = int(positive.sum()), int((~positive).sum())
    placed = np.empty(rows)
    placed[positive] = (ranks[positive] - rankdata(score[positive])) / n
    placed[~positive] = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    auc = float(placed[positive].mean())
    parts: Floats = auc + (placed - auc) * np.where(positive, rows / m, rows / n)
    return auc, parts


def _banded(drop: float, quality: Floats, shuffled: Floats, orders: Ints) -> Metric:
    rows = len(quality)
    given = np.zeros(rows)
    for order, each in zip(orders, shuffled, strict=True):
        given[order] += each
    influence = quality - shuffled.mean(axis=0) - given / len(orders)
    half = Z * float(influence.std(ddof=1)) / math.sqrt(rows) if rows > 1 else math.inf
    return Metric(value=drop, low=drop - half, high=drop + half, kind="shuffled")


def correlated_groups(strength: Floats, least: float) -> list[list[int]]:
    """Features that hang together: places joined by a strength of at least `least`, groups of two and more.

    strength : float64, shape (features, features), symmetric, 0 to 1; NaN counts as 0.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(csr_matrix(np.nan_to_num(strength) >= least), directed=False)
    groups = [np.flatnonzero(labels == number).tolist() for number in range(count)]
    return [group for group in groups if len(group) > 1]
