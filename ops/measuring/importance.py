"""What a version leans on: each feature's values are dealt out anew among labelled rows, and the rows scored again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.association import strengths
from pilothouse.data.measures.importance import (
    Importance,
    Lean,
    auc_importance,
    auc_parts,
    correlated_groups,
    measure_importance,
    shuffles,
)
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import allow_unmasking, unshown_features
from pilothouse.ops.measuring.explainer import check_unaltered
from pilothouse.ops.measuring.frames import TRUE, judged_version, labelled_rows, reference_rows
from pilothouse.ops.scoring import Scored, Scorer, load_scorer

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.ops.model import ModelHandle

MOST_ROWS = 4_000
LEAST_ROWS = 200
REPEATS = 5
TOGETHER = 0.8
"""Strength from which features are taken to hang together."""
METRICS = {Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
_SEED = 0


def importance(
    handle: ModelHandle,
    window: Window | None,
    *,
    version: int | None = None,
    unmask: bool = False,
    reason: str = "",
) -> Importance:
    """What `version` (None: the champion) leans on, on the labelled rows of `window`, or of the reference for None.

    Of more than 4,000 rows a sample with a fixed seed is taken. unmask : show sensitive features too, for a `reason`,
    which is audited. Raises NoChampion, UnknownVersion, NotServedHere, CannotExplain, NotAllowed.
    """
    if unmask:
        house = handle.house
        allow_unmasking(house.state, house.actor, handle.name, handle.row.classes, reason, house.clock)
    judged = judged_version(handle, version)
    signature = handle.signature.of_version(judged.version)
    check_unaltered(signature, handle.row.classes)
    known = reference_rows(handle, judged) if window is None else labelled_rows(handle, window, judged.version)
    known = known.drop_nulls(TRUE)
    rows = known if known.height <= MOST_ROWS else known.sample(MOST_ROWS, seed=_SEED)
    whole = Importance(
        model=handle.name, version=judged.version, window=window, metric=METRICS[signature.task], rows=rows.height,
        of_rows=known.height, repeats=REPEATS, reason=_why_not(rows, signature),
    )  # fmt: skip
    if whole.reason:
        return whole
    hidden = frozenset() if unmask else unshown_features(handle.row.classes)
    return _without(hidden, _measured(whole, _Desk.of(handle, judged, signature, rows)))


def _why_not(rows: pl.DataFrame, signature: Signature) -> str:
    if rows.height < LEAST_ROWS:
        return f"too few labelled rows: {rows.height:,}; {LEAST_ROWS:,} would do"
    if signature.task is not Task.REGRESSION and rows[TRUE].n_unique() < 2:
        return f"all {rows.height:,} labelled rows are of one class"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Labelled rows, the scorer that is asked about them, and the orders in which values are dealt out."""

    scorer: Scorer
    signature: Signature
    features: pl.DataFrame
    true: pl.Series
    orders: Ints

    @classmethod
    def of(cls, handle: ModelHandle, version: VersionRow, signature: Signature, rows: pl.DataFrame) -> _Desk:
        return cls(
            scorer=load_scorer(handle.house.store, version), signature=signature, features=rows.select(signature.names),
            true=rows[TRUE], orders=shuffles(rows.height, REPEATS, _SEED),
        )  # fmt: skip

    @property
    def positive(self) -> Bools:
        return (self.true == self.signature.target.positive).to_numpy()

    def said(self) -> Floats:
        """By row what the metric is made of: the score, whether the class is right, or minus the size of the error."""
        return self._quality(self.scorer.score(self.features))

    def dealt(self, names: Sequence[str]) -> Floats:
        """The same with `names` dealt out by each of the orders, all scored at once: shape (repeats, rows)."""
        rows = pl.concat([self.features] * len(self.orders))
        dealt = rows.with_columns(self.features[name].gather(self.orders.ravel()) for name in names)
        return self._quality(self.scorer.score(dealt)).reshape(self.orders.shape)

    def _quality(self, scored: Scored) -> Floats:
        if self.signature.task is Task.BINARY:
            return np.asarray(scored.score, dtype=np.float64)
        true = pl.concat([self.true] * (len(scored.prediction) // len(self.true)))
        if self.signature.task is Task.REGRESSION:
            errors: Floats = np.asarray(scored.prediction, dtype=np.float64) - true.cast(pl.Float64).to_numpy()
            return -np.abs(errors)
        return np.array([a == b for a, b in zip(true, scored.prediction, strict=True)], dtype=np.float64)

    def lean(self, names: Sequence[str], before: Floats) -> Lean:
        dealt = self.dealt(names)
        if self.signature.task is Task.BINARY:
            return Lean(names=tuple(names), drop=auc_importance(self.positive, before, dealt, self.orders))
        return Lean(names=tuple(names), drop=measure_importance(before, dealt, self.orders))


def _measured(whole: Importance, desk: _Desk) -> Importance:
    before = desk.said()
    names = desk.signature.names
    groups = correlated_groups(strengths(desk.features), TOGETHER)
    value = auc_parts(desk.positive, before)[0] if whole.metric == "roc_auc" else float(before.mean())
    return replace(
        whole,
        value=-value if whole.metric == "mae" else value,
        features=_sorted([desk.lean([name], before) for name in names]),
        groups=_sorted([desk.lean([names[place] for place in group], before) for group in groups]),
    )


def _sorted(found: list[Lean]) -> tuple[Lean, ...]:
    return tuple(sorted(found, key=lambda each: -_size(each.drop)))


def _size(drop: Metric) -> float:
    return drop.value or 0.0


def _without(hidden: frozenset[str], found: Importance) -> Importance:
    left_out = sum(not hidden.isdisjoint(each.names) for each in found.features)
    if not left_out:
        return found
    verb = "feature is" if left_out == 1 else "features are"
    return replace(
        found,
        features=tuple(each for each in found.features if hidden.isdisjoint(each.names)),
        groups=tuple(each for each in found.groups if hidden.isdisjoint(each.names)),
        unshown=f"{left_out} sensitive {verb} not shown.",
    )
