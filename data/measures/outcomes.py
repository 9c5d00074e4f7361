"""Outcomes of a binary model as counts and sums: all that realized performance needs, and what adds up over buckets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LARGEST = 1e100
"""A number beyond this, to either side, counts as infinite: its square, added up over rows, is beyond what can be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """n values, their sum and the sum of their squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Sums:
        """values : float64, shape (n,), finite."""
        return cls(n=len(values), total=float(values.sum()), squares=float((values**2).sum()))

    def __add__(self, other: Sums) -> Sums:
        return Sums(n=self.n + other.n, total=self.total + other.total, squares=self.squares + other.squares)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """Labelled rows of some span.

    positives, negatives : int64, shape (score slots,). Rows with a score, by rising slot of it.
    score, log_loss, brier : sums over the labelled rows that have a score.
    labelled, positive : labelled rows, and how many are of the positive class, whether they have a score or not.
    """

    positives: Ints
    negatives: Ints
    score: Sums
    log_loss: Sums
    brier: Sums
    labelled: int
    positive: int

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            positives=self.positives + other.positives,
            negatives=self.negatives + other.negatives,
            score=self.score + other.score,
            log_loss=self.log_loss + other.log_loss,
            brier=self.brier + other.brier,
            labelled=self.labelled + other.labelled,
            positive=self.positive + other.positive,
        )


def log_losses(scores: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """-log of the probability given to what came true, in nats; kept one float epsilon away from 0 and 1, as in scikit-learn."""
    epsilon = np.finfo(np.float64).eps
    given = np.where(positive, scores, 1 - scores)
    losses: Floats = -np.log(np.clip(given, epsilon, 1 - epsilon))
    return losses


def brier_scores(scores: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """Squared distance of the probability from 0 or 1 (Brier 1950, the one-column form)."""
    squares: Floats = (scores - positive) ** 2
    return squares
