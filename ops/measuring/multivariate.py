"""Drift of all features together, over a stated sample of the reference and of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.limits import Limit
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.multivariate import MOST_ROWS, SEED, Multivariate, reconstruct, tell_apart
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import unshown_features

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


def multivariate_drift(handle: ModelHandle, window: Window) -> Multivariate:
    """How far the window is from the reference in all features together, sensitive ones left out.

    At most MOST_ROWS rows of each are taken, drawn with a fixed seed. Raises QueryTooSlow.
    """
    hidden = unshown_features(handle.row.classes)
    features = [f for f in handle.signature.features if f.name not in hidden]
    kept = Profile.load_sample(handle.house.workspace.reference(handle.name, handle.row.profile_id))
    names = {f.column: f.name for f in features if f.column in kept.columns}
    with Limit(handle.house.settings.query_limit_s):
        logged = handle.prediction_log.predictions(window, (*names, "status"), handle.signature.takers)
    answered = logged.filter(pl.col("status") == Status.OK)
    known, seen = (_sampled(rows.select(*names).rename(names)) for rows in (kept, answered))
    classifier, importance = tell_apart(known, seen)
    reconstruction, components, width = reconstruct(known, seen)
    return Multivariate(
        model=handle.name,
        window=window,
        rows=seen.height,
        of_rows=answered.height,
        reference_rows=known.height,
        of_reference=kept.height,
        classifier=classifier,
        importance=importance,
        reconstruction=reconstruction,
        components=components,
        width=width,
        left_out=len(handle.signature.features) - len(names),
    )


def _sampled(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in their order, so that blocks of them are blocks of time where the order is one of time."""
    if rows.height <= MOST_ROWS:
        return rows
    chosen = pl.int_range(rows.height, eager=True).sample(MOST_ROWS, seed=SEED).sort()
    return rows[chosen.to_list()]
