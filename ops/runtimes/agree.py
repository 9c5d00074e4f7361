"""How far an ONNX form's answers are from the original's, on rows that both have scored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.signature import Feature, Kind, Signature, Task
from pilothouse.ops.scoring import Scored, Scorer

TOLERANCE = 1e-5
"""Largest difference of a score that is put up with: 32-bit arithmetic stays below a tenth of it."""
_PROBED = 20
_NEVER_SEEN = "pilothouse: never seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """rows : compared. largest : largest difference, in the caller's units; infinite where only one has a number.

    beyond : rows that differ by more than the tolerance. other_class : rows that got another class.
    """

    rows: int
    largest: float
    beyond: int
    other_class: int

    @property
    def holds(self) -> bool:
        return not self.beyond and not self.other_class


def compare(original: Scored, form: Scored, unit: float = 1.0, tolerance: float = TOLERANCE) -> Agreement:
    """How two answers about the same rows agree. unit : what a difference of 1 is."""
    found = agreement(figures(original), figures(form), unit, tolerance)
    classes = original.score is not None or original.scores is not None
    other = sum(a != b for a, b in zip(original.prediction, form.prediction, strict=True)) if classes else 0
    return replace(found, other_class=other)


def agreement(
    original: NDArray[np.float64], form: NDArray[np.float64], unit: float = 1.0, tolerance: float = TOLERANCE
) -> Agreement:
    """How two sets of figures about the same rows agree, of shape (rows,) or (rows, classes)."""
    apart = np.abs(original - form) / unit
    silent = np.isnan(original) & np.isnan(form)
    apart = np.where(silent, 0.0, np.where(np.isnan(apart), np.inf, apart)).reshape(len(original), -1)
    worst = apart.max(axis=1, initial=0.0)
    return Agreement(
        rows=len(worst), largest=float(worst.max(initial=0.0)), beyond=int((worst > tolerance).sum()), other_class=0
    )


def unit_of(signature: Signature, original: Scored) -> float:
    """What a difference is measured in: 1 for scores, the spread of the original's predictions for a regression."""
    if signature.task is not Task.REGRESSION:
        return 1.0
    return float(np.nanstd(figures(original))) or 1.0


def figures(scored: Scored) -> NDArray[np.float64]:
    """The chances in an answer, or its predictions where it has none."""
    chances = scored.scores if scored.scores is not None else scored.score
    return np.asarray(scored.prediction if chances is None else chances, dtype=np.float64)


def odd_one_out(original: Scorer, form: Scorer, signature: Signature, rows: pl.DataFrame, unit: float) -> str | None:
    """What of missing and never-seen values the form answers otherwise than the original; None when nothing.

    The reference may well have no such values, but requests will. Where the original fails, the form must have no
    number either.
    """
    few = rows.head(_PROBED)
    for feature in signature.features:
        for what, probe in _probes(feature, few):
            if not _alike(original, form, probe, unit):
                return f"it answers {what} value of {feature.name} otherwise than the original"
    return None


def _probes(feature: Feature, few: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    kind = few.schema[feature.name]
    gap = ("a missing", few.with_columns(pl.lit(None, dtype=kind).alias(feature.name)))
    probes = [gap] if feature.nullable else []
    if feature.kind is Kind.CATEGORY:
        probes.append(("a never seen", few.with_columns(pl.lit(_NEVER_SEEN).alias(feature.name))))
    return probes


def _alike(original: Scorer, form: Scorer, probe: pl.DataFrame, unit: float) -> bool:
    wanted, given = _tried(original, probe), _tried(form, probe)
    if wanted is None or given is None:
        # What one of them refuses the other must refuse too, or have no number for.
        return all(scored is None or bool(np.isnan(figures(scored)).all()) for scored in (wanted, given))
    return compare(wanted, given, unit).holds


def _tried(scorer: Scorer, probe: pl.DataFrame) -> Scored | None:
    """None where it fails, in whatever way: no caller gets an answer then."""
    try:
        return scorer.score(probe)
    except Exception:
        return None
