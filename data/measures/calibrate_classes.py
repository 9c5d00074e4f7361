"""What the probabilities of several classes are worth: each class against all others, learned from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pilothouse.data.measures.calibrate import LEAST_OF_A_CLASS, LEAST_REFERENCE, Calibration, Way, calibrate
from pilothouse.data.measures.chances import MOST_CLASSES
from pilothouse.data.measures.outcomes import Floats, Ints

_LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassCalibration:
    """From the probabilities of a row to its chances.

    curves : of each class, in the target's order. blocks : int64, shape (reference rows, classes): the block of each
    curve that a reference row lies in. shares : float64, same shape: what came true in these blocks, each row summing to 1.
    """

    curves: tuple[Calibration, ...]
    blocks: Ints
    shares: Floats

    @property
    def rows(self) -> int:
        """Reference rows."""
        return len(self.blocks)

    @property
    def changes(self) -> bool:
        """Whether any class's probability is corrected."""
        return any(curve.way is not Way.AS_IT_IS for curve in self.curves)

    def raw_chances_of(self, scores: Floats) -> Floats:
        """The chance of each class by its own curve; they need not sum to 1. float64, shape (rows, classes)."""
        return np.column_stack([curve.chances_of(scores[:, place]) for place, curve in enumerate(self.curves)])

    def blocks_of(self, scores: Floats) -> Ints:
        """The block of each class's curve that each row lies in: int64, shape (rows, classes)."""
        return np.column_stack([curve.blocks_of(scores[:, place]) for place, curve in enumerate(self.curves)])

    def variance(self, slopes: Floats, blocks: Ints) -> float:
        """Of a measure, from so few reference rows.

        slopes : float64, shape (rows, classes): its change with each chance of `raw_chances_of`. blocks : of these rows.
        The label of a reference row moves the chance of its block in each of the curves, one up and the others down, so
        what the curves leave in doubt is added up by reference row: the delta method over the labels of the reference.
        """
        moved = np.empty_like(self.shares)
        for place, curve in enumerate(self.curves):
            in_block = np.bincount(self.blocks[:, place], minlength=len(curve.starts))
            by_block = np.bincount(blocks[:, place], weights=slopes[:, place], minlength=len(curve.starts))
            moved[:, place] = (by_block / in_block)[self.blocks[:, place]]
        return spread(self.shares, moved)


def why_not_calibrate_classes(labels: Ints, classes: int) -> str:
    """Why nothing can be learned from these labelled reference rows; empty when it can.

    labels : int64, shape (rows,): places of the classes; any other number is none of them.
    """
    if len(labels) < LEAST_REFERENCE:
        return f"{len(labels):,} labelled reference rows have a probability for each class; {LEAST_REFERENCE} would do"
    enough = int((_rows_by_class(labels, classes) >= LEAST_OF_A_CLASS).sum())
    if enough < _LEAST_CLASSES:
        return (
            f"{enough} of {classes} classes have {LEAST_OF_A_CLASS} labelled reference rows; {_LEAST_CLASSES} would do"
        )
    return ""


def calibrate_classes(scores: Floats, labels: Ints, way: Way | None = None) -> ClassCalibration:
    """A curve for each class against all others (Zadrozny and Elkan 2002, section 5).

    scores : float64, shape (rows, classes), none missing. labels : int64, shape (rows,), as in
    `why_not_calibrate_classes`. way : of every class; None for the best of three, class by class, and for beta calibration
    with more than 20 classes, where choosing would take long. A class with fewer than ten rows is taken as it is.
    """
    counts, classes = _rows_by_class(labels, scores.shape[1]), scores.shape[1]
    wanted = Way.BETA if way is None and classes > MOST_CLASSES else way
    rare = np.minimum(counts, len(labels) - counts) < LEAST_OF_A_CLASS
    curves = tuple(
        calibrate(scores[:, place], labels == place, Way.AS_IT_IS if rare[place] else wanted)
        for place in range(classes)
    )
    blocks = np.column_stack([curve.blocks_of(scores[:, place]) for place, curve in enumerate(curves)])
    shares = np.column_stack(
        [_shares(blocks[:, place], labels == place, len(curve.starts)) for place, curve in enumerate(curves)]
    )
    return ClassCalibration(curves=curves, blocks=blocks, shares=shares / shares.sum(axis=1, keepdims=True))


def spread(chances: Floats, slopes: Floats) -> float:
    """Variance of a sum over rows, of each of which one class comes true and adds its slope.

    chances : float64, shape (rows, classes), each row summing to 1. slopes : same shape.
    """
    weighed = chances * slopes
    return max(0.0, float((weighed * slopes).sum() - (weighed.sum(axis=1) ** 2).sum()))


def _rows_by_class(labels: Ints, classes: int) -> Ints:
    return np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)


def _shares(blocks: Ints, hits: np.ndarray[tuple[int], np.dtype[np.bool_]], count: int) -> Floats:
    """The share that came true in each row's block. Half a hit and half a miss more: a block of one row is not certain."""
    share = (np.bincount(blocks, weights=hits, minlength=count) + 0.5) / (np.bincount(blocks, minlength=count) + 1)
    found: Floats = share[blocks]
    return found
