"""Drift of all columns together: can a classifier tell the window from the reference, and does its structure still hold?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_band, auc_with_variance
from pilothouse.data.measures.drift import Floats
from pilothouse.data.rollups.bins import numbers, texts
from pilothouse.data.windows import Window

SEED = 20_111
MOST_ROWS, LEAST_ROWS = 5_000, 500
"""Rows of each side: so many are taken, and so many there must be."""
_FOLDS, _BLOCKS = 5, 20
_EXPLAINED = 0.65
"""Share of the variance that the kept components explain. Source: NannyML's default for its reconstruction error."""
_FAR = 10.0
_FREQUENT, _MOST_VALUES, _MOST_CODES = 0.01, 20, 200
_BAND = 3.0
"""Standard deviations of the reference's blocks. Source: NannyML's default for its thresholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Multivariate:
    """What was found of all columns together.

    rows, reference_rows : how many were sampled, of `of_rows` and `of_reference`; with a fixed seed.
    classifier : ROC AUC of telling a row of the window from one of the reference, cross-validated; 0.5 is chance.
    importance : by how much that AUC falls when the column is shuffled, greatest first.
    reconstruction : mean error of the window's rows, with the band in which blocks of the reference lie.
    components : how many the reference's structure was reduced to, of `width` columns.
    """

    model: str
    window: Window
    rows: int
    of_rows: int
    reference_rows: int
    of_reference: int
    classifier: Metric
    importance: tuple[tuple[str, float], ...] = ()
    reconstruction: Metric
    components: int = 0
    width: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structure:
    """The main components of reference rows. mean : float64, (width,). axes : float64, (components, width), orthonormal."""

    mean: Floats
    axes: Floats

    @classmethod
    def of(cls, rows: Floats, explained: float = _EXPLAINED) -> Structure:
        """The fewest components that explain this share of the variance. rows : float64, shape (rows, width).

        Source: Pearson (1901); scikit-learn's PCA with the same share.
        """
        mean = rows.mean(axis=0)
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(rows, rowvar=False, bias=True)))
        falling = np.maximum(variances[::-1], 0.0)
        reached = np.cumsum(falling) / (falling.sum() or 1.0)
        # As scikit-learn does: enough components to come above the share, not just up to it.
        kept = min(int(np.searchsorted(reached, explained, side="right")) + 1, len(falling))
        return cls(mean=mean, axes=axes.T[::-1][:kept])

    def errors(self, rows: Floats) -> Floats:
        """How far each row is from what its components say of it: float64, shape (rows,)."""
        centred = rows - self.mean
        found: Floats = np.linalg.norm(centred - (centred @ self.axes.T) @ self.axes, axis=1)
        return found


def tell_apart(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[Metric, tuple[tuple[str, float], ...]]:
    """How well a classifier tells the rows of two frames apart, and by which columns.

    reference, current : the same columns, at least LEAST_ROWS rows each, else the value is absent. Gradient-boosted
    trees over five folds; the AUC is the mean of the folds', its band from the folds' DeLong variances.
    Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests; importance by Breiman (2001).
    """
    few = too_few(reference.height, current.height)
    if few:
        return Metric(value=None, reason=few), ()
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    rows, categories = coded(reference, current)
    came = np.repeat([0, 1], [reference.height, current.height])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=SEED).split(rows, came)
    rng = np.random.default_rng(SEED)
    # On a busy host the trees' threads wait for each other: one thread was thirty times as quick there.
    with threadpool_limits(1):
        judged = [_one_fold(rows, came, train, held, categories, rng) for train, held in folds]
    auc, variance = float(np.mean([a for a, _, _ in judged])), sum(v for _, v, _ in judged) / _FOLDS**2
    low, high = auc_band(auc, variance)
    falls = np.mean([fall for _, _, fall in judged], axis=0)
    ranked = sorted(zip(reference.columns, falls.tolist(), strict=True), key=lambda each: -each[1])
    return Metric(value=auc, low=low, high=high, kind="cross-validated"), tuple(ranked)


def reconstruct(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[Metric, int, int]:
    """Mean reconstruction error of the window's rows with the band of the reference's; components kept; width.

    The structure is that of one half of the reference. The other half is cut into blocks as it stands; the band is the
    mean of their mean errors, three standard deviations to each side, the blocks no larger than the window.
    """
    few = too_few(reference.height, current.height)
    if few:
        return Metric(value=None, reason=few), 0, 0
    known, seen = spread_out(reference, current)
    half = np.random.default_rng(SEED).permutation(len(known)) < len(known) // 2
    structure, rest = Structure.of(known[half]), known[~half]
    errors = structure.errors(rest)
    size = max(1, min(len(seen), len(rest) // _BLOCKS))
    blocks = errors[: len(errors) // size * size].reshape(-1, size).mean(axis=1)
    middle, spread = float(blocks.mean()), float(blocks.std(ddof=1))
    found = Metric(
        value=float(structure.errors(seen).mean()),
        low=max(0.0, middle - _BAND * spread),
        high=middle + _BAND * spread,
        kind="reference blocks",
    )
    return found, len(structure.axes), known.shape[1]


def too_few(reference: int, current: int) -> str:
    """Why two samples of so many rows are not compared; empty when they are."""
    for rows, where in ((current, ""), (reference, " in the reference")):
        if rows < LEAST_ROWS:
            return f"too few rows{where}: {rows:,}; {LEAST_ROWS:,} would do"
    return ""


def coded(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[Floats, list[bool]]:
    """Both frames' rows, one below the other, as trees take them; and which columns are categories.

    A category is a number by its rank in the reference, one for all rarer than the first 200 and one for all new ones;
    missing is NaN. An infinity is the largest number there is, with its sign.
    """
    columns = [_codes(reference[name], current[name]) for name in reference.columns]
    stacked = [np.concatenate(pair) for pair in columns]
    return np.column_stack(stacked), [not reference[name].dtype.is_numeric() for name in reference.columns]


def spread_out(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[Floats, Floats]:
    """Both frames as numbers: standardized by the reference, cut at ten standard deviations, missing as the mean.

    A column that has missing values gets another that says which; a category gets one for each value that a hundredth
    of the reference has, at most twenty.
    """
    pairs = [pair for name in reference.columns for pair in _columns_of(reference[name], current[name])]
    known, seen = (np.column_stack([pair[side] for pair in pairs]) for side in (0, 1))
    return known, seen


Pair = tuple[Floats, Floats]


def _codes(known: pl.Series, seen: pl.Series) -> Pair:
    if known.dtype.is_numeric():
        largest = float(np.finfo(np.float64).max)
        found, now = (np.clip(numbers(column), -largest, largest) for column in (known, seen))
        return found, now
    ranked = texts(known).drop_nulls().value_counts(sort=True)["value"].to_list()
    codes = {value: min(rank, _MOST_CODES) for rank, value in enumerate(ranked)}
    first, second = (_coded(texts(column), codes) for column in (known, seen))
    return first, second


def _coded(column: pl.Series, codes: dict[str, int]) -> Floats:
    new = _MOST_CODES + 1
    return numbers(column.replace_strict(codes, default=new, return_dtype=pl.Int64).set(column.is_null(), None))


def _columns_of(known: pl.Series, seen: pl.Series) -> list[Pair]:
    was, is_ = known.is_null() | _nan(known), seen.is_null() | _nan(seen)
    missing = [(was.to_numpy().astype(float), is_.to_numpy().astype(float))] if was.any() or is_.any() else []
    if known.dtype.is_numeric():
        return [_standardized(numbers(known), numbers(seen)), *missing]
    counted = texts(known).drop_nulls().value_counts(sort=True).head(_MOST_VALUES)
    frequent = counted.filter(pl.col("count") >= _FREQUENT * len(known))["value"].to_list()
    both = texts(known), texts(seen)
    return [*((_is(both[0], value), _is(both[1], value)) for value in frequent), *missing]


def _nan(column: pl.Series) -> pl.Series:
    return column.is_nan().fill_null(False) if column.dtype.is_float() else pl.repeat(False, len(column), eager=True)


def _is(column: pl.Series, value: str) -> Floats:
    return (column == value).fill_null(False).to_numpy().astype(np.float64)


def _standardized(known: Floats, seen: Floats) -> Pair:
    mean, sd = _centre(known)

    def scaled(values: Floats) -> Floats:
        if sd == 0:
            return np.zeros(len(values))
        with np.errstate(over="ignore"):
            standard = (values - mean) / sd
        kept: Floats = np.clip(np.nan_to_num(standard, nan=0.0), -_FAR, _FAR)
        return kept

    return scaled(known), scaled(seen)


def _centre(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the finite values; the latter 0 for a column that says nothing of structure."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = float(finite.mean()), float(finite.std())
    # A deviation that rounding alone has made is none, and one beyond all numbers cannot be divided by.
    return mean, sd if math.isfinite(sd) and sd > 1e-12 * max(1.0, abs(mean)) else 0.0


def _one_fold(
    rows: Floats,
    came: npt.NDArray[np.int64],
    train: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    categories: Sequence[bool],
    rng: np.random.Generator,
) -> tuple[float, float, Floats]:
    """AUC on the fold that was held out, its variance, and how far it falls when each column is shuffled."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    # The trees cannot be fitted to a column without a single value; it tells nothing apart.
    rows = np.where(np.isnan(rows[train]).all(axis=0), 0.0, rows)
    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, early_stopping=False, categorical_features=list(categories), random_state=SEED
    ).fit(rows[train], came[train])
    given, truth = rows[held], came[held]
    auc, variance = _auc(model, given, truth)
    falls = np.zeros(rows.shape[1])
    for place in range(rows.shape[1]):
        kept = given[:, place].copy()
        given[:, place] = rng.permutation(kept)
        falls[place] = auc - _auc(model, given, truth)[0]
        given[:, place] = kept
    return auc, variance, falls


def _auc(model: Any, rows: Floats, truth: npt.NDArray[np.int64]) -> tuple[float, float]:
    scores = model.predict_proba(rows)[:, 1]
    _, slots = np.unique(scores, return_inverse=True)
    most = int(slots.max()) + 1
    return auc_with_variance(*(np.bincount(slots[truth == side], minlength=most) for side in (1, 0)))
