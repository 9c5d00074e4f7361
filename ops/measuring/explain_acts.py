"""Why a model says what it says: one prediction, what it leans on, and whether that has changed. A part of its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast, overload

from pilothouse.data.errors import BadData
from pilothouse.data.log.entries import KeyPart
from pilothouse.data.measures.attribution import AttributionDrift
from pilothouse.data.measures.contributions import Contributions
from pilothouse.data.measures.explanation import By, Explanation
from pilothouse.data.measures.importance import Importance
from pilothouse.data.signature import Value
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.attribution import attribution_drift
from pilothouse.ops.measuring.contributions import shap_contributions
from pilothouse.ops.measuring.explain import explain
from pilothouse.ops.measuring.importance import importance

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

PERMUTATION: Literal["permutation"] = "permutation"


class ExplainActs:
    """Explanations of what a model answers."""

    def explain(
        self,
        *,
        id: str | None = None,
        key: Mapping[str, KeyPart] | None = None,
        row: Mapping[str, Value] | None = None,
        of_class: Value = None,
        by: str = By.OURS,
        unmask: bool = False,
        reason: str = "",
    ) -> Explanation:
        """Why one prediction came out as it did: its features beside the reference, and what each contributed.

        See `ops.measuring.explain.explain`.
        """
        handle = cast("ModelHandle", self)
        return explain(handle, id=id, key=key, row=row, of_class=of_class, by=by, unmask=unmask, reason=reason)

    @overload
    def importance(
        self,
        window: str | Window | None = "28d",
        *,
        by: Literal["permutation"] = ...,
        version: int | None = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Importance: ...

    @overload
    def importance(
        self,
        window: str | Window | None = "28d",
        *,
        by: Literal["shap"],
        version: int | None = None,
        of_class: Value = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Contributions: ...

    def importance(
        self,
        window: str | Window | None = "28d",
        *,
        by: str = PERMUTATION,
        version: int | None = None,
        of_class: Value = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Importance | Contributions:
        """What a version leans on, in a window or, for None, in the reference: how much worse it gets when a feature's
        values are dealt out anew among labelled rows; `by` "shap" the mean size of contributions.

        See `ops.measuring.importance.importance` and `ops.measuring.contributions.shap_contributions`.
        """
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        if by == By.SHAP:
            return shap_contributions(
                handle, span, version=version, of_class=of_class, unmask=unmask, reason=reason
            )  # fmt: skip
        if by != PERMUTATION:
            raise BadData(f"Importance by {by!r} is not known. Known are: {PERMUTATION}, {By.SHAP}.")
        return importance(handle, span, version=version, unmask=unmask, reason=reason)

    def attribution_drift(
        self, window: str | Window = "28d", *, version: int | None = None, unmask: bool = False, reason: str = ""
    ) -> AttributionDrift:
        """Whether features contribute more or less than on the reference. See `ops.measuring.attribution.attribution_drift`."""
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        return attribution_drift(handle, span, version=version, unmask=unmask, reason=reason)
