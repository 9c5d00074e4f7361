"""What features contribute to many answers of a version, by the library shap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import CannotExplain
from pilothouse.data.measures.contributions import Contributions, measure_contributions, ranks_of
from pilothouse.data.policies import UNSHOWN
from pilothouse.data.signature import Signature, Task, Value
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import allow_unmasking
from pilothouse.ops.measuring.by_shap import Attributed, Scale, check_installed, scale_words
from pilothouse.ops.measuring.explain import by_shap, explainer_of
from pilothouse.ops.measuring.explainer import class_of, reference_features
from pilothouse.ops.measuring.frames import judged_version, labelled_rows

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.ops.model import ModelHandle

MOST_ROWS = 300
LEAST_ROWS = 50
_BACKGROUND = 50
"""Reference rows that each of many rows is compared with."""
_SEED = 0


def shap_contributions(
    handle: ModelHandle,
    window: Window | None,
    *,
    version: int | None = None,
    of_class: Value = None,
    unmask: bool = False,
    reason: str = "",
) -> Contributions:
    """Contributions to answers of `version` (None: the champion) in `window`, or to the reference rows for None.

    At most 300 rows are explained, chosen with a fixed seed; labels are not needed. of_class : of several classes the one
    whose chance is explained; None for the one that is answered, row by row. unmask : show sensitive and masked features
    too, for a `reason`, which is audited. Raises NoChampion, UnknownVersion, NotAllowed, BadData, Unavailable.
    """
    check_installed()
    if unmask:
        house = handle.house
        allow_unmasking(house.state, house.actor, handle.name, handle.row.classes, reason, house.clock)
    judged = judged_version(handle, version)
    signature = handle.signature.of_version(judged.version)
    chosen = class_of(signature, of_class)
    reference = reference_features(handle.house.workspace.reference(handle.name, handle.row.profile_id), signature)
    known = reference if window is None else labelled_rows(handle, window, judged.version).select(reference.columns)
    rows = known if known.height <= MOST_ROWS else known.sample(MOST_ROWS, seed=_SEED)
    whole = Contributions(
        model=handle.name, version=judged.version, window=window, rows=rows.height, of_rows=known.height,
        reason=_why_not(rows.height),
    )  # fmt: skip
    return whole if whole.reason else _measured(handle, whole, judged, reference, rows, chosen, unmask)


def _why_not(rows: int) -> str:
    return f"too few rows: {rows:,}; {LEAST_ROWS:,} would do" if rows < LEAST_ROWS else ""


def _measured(
    handle: ModelHandle, whole: Contributions, version: VersionRow, reference: pl.DataFrame, rows: pl.DataFrame,
    chosen: Value, unmask: bool,
) -> Contributions:  # fmt: skip
    signature = handle.signature.of_version(version.version)
    try:
        explainer = explainer_of(handle, version, signature, reference)
        few = replace(explainer, background=explainer.background[:_BACKGROUND], of_class=chosen)
        found = by_shap(handle, version, few).attribute(rows)
    except CannotExplain as error:
        return replace(whole, reason=error.reason)
    done = rows[: len(found.values)]
    hidden = () if unmask else [name for name in signature.names if handle.row.classes.get(name) in UNSHOWN]
    features = measure_contributions(signature.names, found.values, [ranks_of(done[name]) for name in signature.names])
    return replace(
        whole, rows=done.height, features=tuple(each for each in features if each.name not in hidden),
        explained=_words(found, signature, chosen), base=float(found.base.mean()), method=found.method,
        unshown=f"{len(hidden)} hidden column{' is' if len(hidden) == 1 else 's are'} not shown." if hidden else "",
    )  # fmt: skip


def _words(found: Attributed, signature: Signature, chosen: Value) -> str:
    if signature.task is not Task.MULTICLASS or chosen is not None:
        return scale_words(found.scale, signature, chosen)
    kind = "score, before softmax," if found.scale is Scale.RAW else "chance"
    return f"{kind} of the class that was answered"
