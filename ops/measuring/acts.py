"""What is measured of a model beyond its roll-ups. A part of its handle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pilothouse.data.measures.estimate import Estimate
from pilothouse.data.measures.fairness import GROUP_ROWS, Fairness
from pilothouse.data.measures.impact import Impact
from pilothouse.data.measures.plan import Plan
from pilothouse.data.measures.scoreboard import Ahead, Scoreboard
from pilothouse.data.measures.segment_comparison import SegmentComparison
from pilothouse.data.measures.slices import SliceRule
from pilothouse.data.measures.weak_segments import WeakSegments
from pilothouse.data.policies import WatchTerms
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Window, parse_span
from pilothouse.ops.measuring.drift_acts import DriftActs
from pilothouse.ops.measuring.estimates import ahead, estimate, scoreboard
from pilothouse.ops.measuring.explain_acts import ExplainActs
from pilothouse.ops.measuring.fairness import fairness
from pilothouse.ops.measuring.impact import shown_impact
from pilothouse.ops.measuring.performance_acts import PerformanceActs
from pilothouse.ops.measuring.plan import BUDGET, agree, suggest
from pilothouse.ops.measuring.quality_acts import QualityActs
from pilothouse.ops.measuring.segments import compared_segments
from pilothouse.ops.measuring.weak_segments import weak_segments

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


class MeasureActs(DriftActs, ExplainActs, PerformanceActs, QualityActs):
    """The measures of a model's handle: each method asks one question of the log and the reference."""

    row: ModelRow

    @property
    def watch(self) -> WatchTerms | None:
        """How performance is watched; None for the usual rules."""
        return self.row.watch

    def plan(self, *, loss: float | None = None, budget: float = BUDGET, labelled_a_day: float | None = None) -> Plan:
        """How the model should be watched, each choice with its reason; nothing is changed. See `ops.measuring.plan.suggest`."""
        return suggest(cast("ModelHandle", self), loss=loss, budget=budget, labelled_a_day=labelled_a_day)

    def agree(self, plan: Plan | None, *, days: int | None = None) -> WatchTerms | None:
        """Have the model's health judged by `plan`, or by the usual rules for None; audited. Raises BadPolicy, NotAllowed."""
        terms = agree(cast("ModelHandle", self), plan, days)
        self.row = replace(self.row, watch=terms)
        return terms

    def impact(
        self,
        window: str | Window = "28d",
        metric: str | None = None,
        *,
        version: int | None = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Impact:
        """Drift ranked by what it costs a version, by default the one that answered most. See `ops.measuring.impact.measure_impact`."""
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        return shown_impact(handle, span, metric, version, unmask=unmask, reason=reason)

    def compared_segments(
        self,
        *columns: str,
        window: str | Window = "28d",
        version: int | None = None,
        unmask: bool = False,
        reason: str = "",
    ) -> SegmentComparison:
        """Segments by one column or two beside all other rows, with bands. See `ops.measuring.segments`."""
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        return compared_segments(handle, columns, span, version=version, unmask=unmask, reason=reason)

    def weak_segments(
        self,
        window: str | Window = "28d",
        loss: str | None = None,
        *,
        min_share: float = 0.01,
        max_depth: int = 2,
        version: int | None = None,
    ) -> WeakSegments:
        """Where the model is worse than elsewhere, searched and confirmed. See `ops.measuring.weak_segments`."""
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        rule = SliceRule(min_share=min_share, max_depth=max_depth)
        return weak_segments(handle, span, loss, rule=rule, version=version)

    def fairness(
        self,
        column: str,
        window: str | Window = "28d",
        *,
        min_rows: int = GROUP_ROWS,
        every: str = "1w",
        version: int | None = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Fairness:
        """How alike the model treats the groups of a column. See `ops.measuring.fairness.fairness`."""
        handle = cast("ModelHandle", self)
        span = handle.window(window) if isinstance(window, str) else window
        return fairness(
            handle, column, span, version=version, min_rows=min_rows, every=parse_span(every), unmask=unmask,
            reason=reason,
        )  # fmt: skip

    def estimate(self, window: str | Window = "28d") -> Estimate:
        """Performance over `window` from answers alone, before its labels. See `ops.measuring.estimates.estimate`."""
        return self.estimate_with_past(window)[0]

    def estimate_with_past(self, window: str | Window = "28d") -> tuple[Estimate, Scoreboard]:
        """The same, and the scoreboard of the half year that says whether to rely on it, from one reading of the scores."""
        handle = cast("ModelHandle", self)
        return estimate(handle, handle.window(window) if isinstance(window, str) else window)

    def scoreboard(self, window: str | Window = "26w", every: str = "1w") -> Scoreboard:
        """What estimates were worth once the labels had come, bucket by bucket. See `ops.measuring.estimates.scoreboard`."""
        handle = cast("ModelHandle", self)
        return scoreboard(handle, handle.window(window) if isinstance(window, str) else window, parse_span(every))

    def estimate_ahead(self, window: str | Window = "28d", every: str = "1d") -> Ahead:
        """Estimates of the buckets whose labels are still arriving. See `ops.measuring.estimates.ahead`."""
        handle = cast("ModelHandle", self)
        return ahead(handle, handle.window(window) if isinstance(window, str) else window, parse_span(every))
