"""Attribution drift: do features contribute more, or less, to the answers of a window than to those on the reference?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.measures.attribution import AttributionDrift, measure_attribution
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import allow_unmasking, unshown_features
from pilothouse.ops.measuring.explain import explainer_of
from pilothouse.ops.measuring.explainer import Explainer, reference_features
from pilothouse.ops.measuring.frames import judged_version, labelled_rows

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

MOST_ROWS = 300
"""Rows of either side that are explained; of models with more than 50 features fewer."""
LEAST_ROWS = 50
_BACKGROUND = 15
_MOST_MIXED = 450_000
"""Mixed rows that are scored for either side, about."""
_SEED = 0


def attribution_drift(
    handle: ModelHandle,
    window: Window,
    *,
    version: int | None = None,
    unmask: bool = False,
    reason: str = "",
) -> AttributionDrift:
    """How the mean size of each feature's contributions to the answers of `version` (None: the champion) has changed.

    Of either side at most 300 rows are explained, chosen with a fixed seed, and of wide models fewer: the answer says how
    many. Labels are not needed. unmask : show
    sensitive features too, for a `reason`, which is audited. Raises NoChampion, UnknownVersion, CannotExplain, NotAllowed.
    """
    if unmask:
        house = handle.house
        allow_unmasking(house.state, house.actor, handle.name, handle.row.classes, reason, house.clock)
    judged = judged_version(handle, version)
    signature = handle.signature.of_version(judged.version)
    reference = reference_features(handle.house.workspace.reference(handle.name, handle.row.profile_id), signature)
    known = labelled_rows(handle, window, judged.version).select(reference.columns)
    most = max(LEAST_ROWS, min(MOST_ROWS, _MOST_MIXED // (2 * _BACKGROUND * max(1, len(signature.features) - 1))))
    before, now = _some(reference, most), _some(known, most)
    why = _why_not(before.height, now.height)
    explainer = None if why else _small(explainer_of(handle, judged, signature, reference))
    found = () if explainer is None else measure_attribution(
        signature.names, explainer.many(before, seed=_SEED), explainer.many(now, seed=_SEED + 1)
    )  # fmt: skip
    hidden = frozenset() if unmask else unshown_features(handle.row.classes)
    left_out = sum(each.name in hidden for each in found)
    return AttributionDrift(
        model=handle.name, version=judged.version, window=window, reference_rows=before.height, rows=now.height,
        of_rows=known.height, features=tuple(each for each in found if each.name not in hidden), reason=why,
        unshown=f"{left_out} sensitive features are not shown." if left_out else "",
    )  # fmt: skip


def _small(explainer: Explainer) -> Explainer:
    few = explainer.background[:_BACKGROUND]
    return Explainer(scorer=explainer.scorer, signature=explainer.signature, background=few)


def _some(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    return rows if rows.height <= most else rows.sample(most, seed=_SEED)


def _why_not(before: int, now: int) -> str:
    if before < LEAST_ROWS:
        return f"the reference has {before:,} rows; {LEAST_ROWS:,} would do"
    return f"too few rows: {now:,}; {LEAST_ROWS:,} would do" if now < LEAST_ROWS else ""
