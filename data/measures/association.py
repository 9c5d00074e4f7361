"""How strongly columns hang together, whatever their kinds: 0 for not at all, 1 for one being told by the other."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from pilothouse.data.measures.outcomes import Floats, Ints


def strengths(frame: pl.DataFrame) -> Floats:
    """Strength between every two columns: float64, shape (columns, columns), 1 on the diagonal.

    Two numbers: the size of Spearman's rank correlation. Two categories: Cramer's V with the correction of Bergsma
    (2013). One of each: the root of epsilon squared, the share of the ranks' variance that categories explain (Kelley
    1935). A missing category is one of its own, a missing number stands at the middle rank. A column of one value: 0.
    """
    columns = [_ranks(frame[name]) if frame[name].dtype.is_numeric() else _codes(frame[name]) for name in frame.columns]
    found = np.eye(len(columns))
    for i, one in enumerate(columns):
        for j in range(i):
            found[i, j] = found[j, i] = _strength(one, columns[j])
    return found


def _ranks(column: pl.Series) -> Floats:
    values = column.cast(pl.Float64).fill_nan(None)
    ranks = values.rank("average").cast(pl.Float64)
    mean = ranks.mean()
    return ranks.fill_null(mean if isinstance(mean, float) else 0.0).to_numpy()


def _codes(column: pl.Series) -> Ints:
    return column.cast(pl.String).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _strength(one: Floats | Ints, other: Floats | Ints) -> float:
    if len(one) < 3 or _constant(one) or _constant(other):
        return 0.0
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return abs(float(np.corrcoef(one, other)[0, 1]))
    if one.dtype.kind == "i" and other.dtype.kind == "i":
        return _cramer(one.astype(np.int64), other.astype(np.int64))
    ranks, codes = (one, other) if one.dtype.kind == "f" else (other, one)
    return _epsilon(ranks.astype(np.float64), codes.astype(np.int64))


def _constant(values: Floats | Ints) -> bool:
    return bool((values == values[0]).all())


def _cramer(one: Ints, other: Ints) -> float:
    n, rows, columns = len(one), int(one.max()) + 1, int(other.max()) + 1
    counts = np.bincount(one * columns + other, minlength=rows * columns).reshape(rows, columns).astype(np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    r, k = counts.shape
    phi = max(0.0, float(((counts - expected) ** 2 / expected).sum()) / n - (r - 1) * (k - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi / smaller)) if smaller > 0 else 0.0


def _epsilon(ranks: Floats, codes: Ints) -> float:
    sizes = np.bincount(codes)
    sums = np.bincount(codes, weights=ranks)
    held = sizes > 0
    n, groups = len(ranks), int(held.sum())
    if n <= groups:
        return 0.0
    between = float((sums[held] ** 2 / sizes[held]).sum() - ranks.sum() ** 2 / n)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    share = (between - (groups - 1) * (total - between) / (n - groups)) / total
    return math.sqrt(min(1.0, max(0.0, share)))
