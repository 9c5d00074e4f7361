"""What a model says to its reference, when it is registered: its scores, or why it cannot have any."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.rollups.profile import PREDICTION, SCORE
from pilothouse.data.signature import Signature
from pilothouse.ops.references import with_model_classes
from pilothouse.ops.runtimes.agree import figures
from pilothouse.ops.scoring import SklearnScorer

Score = Callable[[pl.DataFrame], pl.Series | None]
"""From rows to what a model said of them: `score`, of the positive class, or `prediction`; None where nothing is known."""


def scores(scorer: SklearnScorer, signature: Signature, rows: pl.DataFrame) -> pl.Series | None:
    """The model's own scores of `rows`, called score; its predictions, called prediction, unless the task is binary.

    Raises BadData when it cannot score them, or has no number for some.
    """
    try:
        scored = scorer.score(rows.select(signature.names))
    except Exception as error:
        raise BadData(f"The model cannot score the reference: {error}") from error
    silent = int((~np.isfinite(figures(scored).reshape(rows.height, -1))).any(axis=1).sum())
    if silent:
        raise BadData(
            f"The model has no number for {silent:,} of {rows.height:,} reference rows. Register one that fills in what "
            "is missing, or a reference without such rows."
        )
    if scored.score is None:
        return pl.Series(PREDICTION, scored.prediction)
    return pl.Series(SCORE, np.asarray(scored.score, dtype=np.float64))


def scores_of(model: Any, threshold: float, signature: Signature) -> Score:
    known = with_model_classes(signature, model, known=True)
    return partial(scores, SklearnScorer(model, known, threshold), signature)


def given_scores(column: str, rows: pl.DataFrame) -> pl.Series | None:
    """The scores that came with the rows."""
    return rows[column].cast(pl.Float64).alias(SCORE) if column in rows.columns else None
