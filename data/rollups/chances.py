"""What the probability of each class says of labelled rows: judged row by row, and in and out of roll-up rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from pilothouse.data.log.class_scores import class_matrix
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.measures.chances import CONFIDENCE_BINS, MOST_CLASSES, MOST_RANKS, Chances
from pilothouse.data.measures.outcomes import Floats, Ints, Sums, log_losses
from pilothouse.data.rollups.bins import SCORE_SLOTS, score_slots
from pilothouse.data.rollups.schema import AGAINST_REST, BRIER, CONFIDENCE, LOG_LOSS, RANK
from pilothouse.data.signature import Signature, Task

_GIVEN, _RANK, _BRIER, _SURE = "given", "rank", "brier", "sure"
_JUDGED = {_GIVEN: pl.Float64, _RANK: pl.Int64, _BRIER: pl.Float64, _SURE: pl.Float64}

Part = tuple[pl.DataFrame, str, Floats, Ints | None]
"""Rows with the label to count them by, what they add to, and each row's value and slot there (None: one slot)."""


def class_of(values: pl.Series, signature: Signature) -> pl.Series:
    """Place of each value among the target's classes; one after the last for any other."""
    classes = pl.Series(signature.target.classes).cast(values.dtype)
    places = pl.Series(range(len(classes)), dtype=pl.Int32)
    return values.replace_strict(classes, places, default=len(classes), return_dtype=pl.Int32)


def scores_wanted(signature: Signature) -> tuple[str, ...]:
    """Columns of the log that `judged` needs beside those of every task."""
    return (CLASS_SCORES,) if signature.task is Task.MULTICLASS else ()


def judged(rows: pl.DataFrame, signature: Signature, *, whole: bool = False) -> pl.DataFrame:
    """`rows` with what their probabilities come to; null for a row without them.

    rows : label, prediction, and `scores` where the task is multiclass; other tasks are left as they are.
    given : the probability of the true class, 0 for a label that is no class. rank : how many classes stand before it; of
    equals the one that the target names first, which is the one that a model says. brier : the row's. sure : the
    probability of the class that was said, NaN where that is none.
    whole : keep the probabilities of many classes too, which a fold has no room for.
    """
    if signature.task is not Task.MULTICLASS:
        return rows
    classes = len(signature.target.classes)
    known, chances = class_matrix(rows[CLASS_SCORES], classes)
    told = rows.filter(pl.Series(known))
    true, said = (class_of(told[name], signature).to_numpy() for name in ("label", "prediction"))
    given = _at(chances, true, otherwise=0.0)
    found = {
        _GIVEN: given,
        _RANK: _ranks(chances, true, given),
        _BRIER: (chances**2).sum(axis=1) - 2 * given + 1,
        _SURE: _at(chances, said, otherwise=np.nan),
    }
    kept = rows if whole or classes <= MOST_CLASSES else rows.with_columns(_no_scores())
    places = np.flatnonzero(known)
    return kept.with_columns(_spread(name, found[name], places, rows.height) for name in _JUDGED)


def judged_parts(rows: pl.DataFrame, signature: Signature) -> Iterator[Part]:
    """What judged rows add to the outcomes of a multiclass model."""
    scored = rows.filter(pl.col(_GIVEN).is_not_null())
    nothing = scored.with_columns(pl.lit(None, pl.Int32).alias("label"))
    given = scored[_GIVEN].to_numpy()
    yield nothing, LOG_LOSS, log_losses(given, np.ones(len(given), bool)), None
    yield nothing, BRIER, scored[_BRIER].to_numpy(), None
    yield nothing, RANK, np.zeros(len(given)), scored[_RANK].to_numpy()
    yield _confidence(scored)
    classes = len(signature.target.classes)
    if classes <= MOST_CLASSES:
        _, chances = class_matrix(scored[CLASS_SCORES], classes)
        true = class_of(scored["label"], signature)
        for place in range(classes):
            of_class = scored.with_columns((true == place).cast(pl.Int32).alias("label"))
            yield of_class, f"{AGAINST_REST}{place}", np.zeros(len(given)), score_slots(chances[:, place])


def chances_in(rows: pl.DataFrame, labelled: int, classes: int) -> Chances:
    """`Chances` of roll-up rows of the part OUTCOME."""
    confidence = rows.filter(pl.col("feature") == CONFIDENCE)
    hits = confidence.filter(pl.col("label") == 1)
    against = rows.filter(pl.col("feature").str.starts_with(AGAINST_REST))
    counted = classes <= MOST_CLASSES and against.height > 0
    place = pl.col("feature").str.strip_prefix(AGAINST_REST).cast(pl.Int64)
    cells = against.with_columns(bin=place * SCORE_SLOTS + pl.col("bin"))
    return Chances(
        classes=classes,
        log_loss=_added(rows, LOG_LOSS),
        brier=_added(rows, BRIER),
        ranks=_histogram(rows.filter(pl.col("feature") == RANK), MOST_RANKS + 1),
        said=_histogram(confidence, CONFIDENCE_BINS),
        right=_histogram(hits, CONFIDENCE_BINS),
        sure=_summed(confidence, CONFIDENCE_BINS),
        positives=_by_class(cells.filter(pl.col("label") == 1), classes) if counted else None,
        negatives=_by_class(cells.filter(pl.col("label") == 0), classes) if counted else None,
        labelled=labelled,
    )


def one_each(rows: pl.DataFrame, signature: Signature) -> tuple[list[Ints], list[Ints]]:
    """Rows of each class and rows of all others by rising score of it, every score a slot of its own.

    rows : judged ones with all their scores, signed; a row that was taken back cancels out.
    """
    scored = rows.filter(pl.col(_GIVEN).is_not_null())
    classes = len(signature.target.classes)
    _, chances = class_matrix(scored[CLASS_SCORES], classes)
    true, sign = class_of(scored["label"], signature).to_numpy(), scored["sign"].cast(pl.Float64).to_numpy()
    positives: list[Ints] = []
    negatives: list[Ints] = []
    for place in range(classes):
        values, slots = np.unique(chances[:, place], return_inverse=True)
        for found, chosen in ((positives, true == place), (negatives, true != place)):
            counts = np.bincount(slots[chosen], sign[chosen], len(values))
            found.append(np.rint(counts).astype(np.int64))
    return positives, negatives


def _confidence(scored: pl.DataFrame) -> Part:
    """The rows that said a class, by how sure they were; label 1 where it came true."""
    said = scored.filter(pl.col(_SURE).is_not_nan())
    hit = (pl.col("prediction") == pl.col("label")).cast(pl.Int32)
    sure = said[_SURE].to_numpy()
    slots = np.clip((sure * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
    return said.with_columns(hit.alias("label")), CONFIDENCE, sure, slots


def _at(chances: Floats, places: Ints, *, otherwise: float) -> Floats:
    """Each row's probability at its place; `otherwise` where that is beyond the classes."""
    classes = chances.shape[1]
    found: Floats = chances[np.arange(len(places)), np.minimum(places, classes - 1)]
    return np.where(places < classes, found, otherwise)


def _ranks(chances: Floats, true: Ints, given: Floats) -> Ints:
    before = chances > given[:, None]
    before |= (chances == given[:, None]) & (np.arange(chances.shape[1]) < true[:, None])
    ranks = np.where(true < chances.shape[1], before.sum(axis=1), MOST_RANKS)
    return np.minimum(ranks, MOST_RANKS)


def _spread(name: str, values: Floats | Ints, places: Ints, rows: int) -> pl.Series:
    """`values` at `places` of a column of so many rows, nulls elsewhere."""
    kind = _JUDGED[name]
    if len(places) == rows:
        return pl.Series(name, values, kind)
    return pl.Series(name, [None], kind).new_from_index(0, rows).scatter(places, pl.Series(values, dtype=kind))


def _no_scores() -> pl.Expr:
    return pl.lit(None, pl.List(pl.Float64)).alias(CLASS_SCORES)


def _added(rows: pl.DataFrame, feature: str) -> Sums:
    found = rows.filter(pl.col("feature") == feature)
    return Sums(n=int(found["n"].sum()), total=float(found["s"].sum()), squares=float(found["s2"].sum()))


def _histogram(rows: pl.DataFrame, slots: int) -> Ints:
    counts = np.zeros(slots, np.int64)
    np.add.at(counts, rows["bin"].to_numpy(), rows["n"].to_numpy())
    return counts


def _summed(rows: pl.DataFrame, slots: int) -> Floats:
    sums = np.zeros(slots)
    np.add.at(sums, rows["bin"].to_numpy(), rows["s"].to_numpy())
    return sums


def _by_class(cells: pl.DataFrame, classes: int) -> list[Ints]:
    return list(_histogram(cells, classes * SCORE_SLOTS).reshape(classes, SCORE_SLOTS))
