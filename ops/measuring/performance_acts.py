"""Realized performance of one model: what it was, what it cost, and what its team counts besides. A part of its handle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pilothouse.data.history.results import TrendPoint
from pilothouse.data.measures.report import Lending, MetricReport, OwnValue, Thresholds
from pilothouse.data.policies import Costs, OwnMetric
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Window, parse_span
from pilothouse.ops.measuring.costs import set_costs
from pilothouse.ops.measuring.lending import read_lending
from pilothouse.ops.measuring.own_metrics import add_metric, drop_metric, own_values
from pilothouse.ops.measuring.performance import Asked, judge_thresholds, make_report, metric_trend

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


class PerformanceActs:
    """What a model's handle knows of its realized performance."""

    row: ModelRow

    def metrics(
        self,
        window: str | Window = "28d",
        *,
        threshold: float | None = None,
        exact: bool = False,
        as_known: datetime | None = None,
        version: int | None = None,
        own: bool = True,
    ) -> MetricReport:
        """Every metric of the model's task, each with its band, and what lies behind them.

        threshold : a binary model's row counts as flagged from this score on; None for the champion's. exact : from every
        row. as_known : with what was known when the business day that holds it began; the team's own metrics are left out.
        own : False leaves them out too: they take about a second, and as long as they like up to `own_metric_limit_s` each.
        Raises BadPolicy, OnlyRollups, QueryTooSlow.
        """
        handle, span = self._asked(window)
        asked = Asked(window=span, version=version, threshold=threshold, exact=exact, as_known=as_known, own=own)
        return make_report(handle, asked)

    def metric_trend(
        self, window: str | Window = "26w", every: str | timedelta = "1w", *, threshold: float | None = None
    ) -> tuple[TrendPoint, ...]:
        """Every metric in steps of `every`, oldest first."""
        handle, span = self._asked(window)
        step = parse_span(every) if isinstance(every, str) else every
        return metric_trend(handle, span, step, threshold=threshold)

    def thresholds(
        self,
        window: str | Window = "28d",
        *,
        threshold: float | None = None,
        exact: bool = False,
        version: int | None = None,
    ) -> Thresholds:
        """What each threshold would have done, and which costs least by the model's costs.

        threshold : the present one, which others are compared with; None for the champion's. Raises BadPolicy.
        """
        handle, span = self._asked(window)
        return judge_thresholds(handle, Asked(window=span, version=version, threshold=threshold, exact=exact))

    def lending(
        self,
        window: str | Window = "26w",
        *,
        bands: int | Sequence[float] = 10,
        every: str | timedelta = "1w",
        ages: int = 12,
        exact: bool = False,
        version: int | None = None,
    ) -> Lending:
        """Score bands with lift and gains, and vintages by month and age in steps of `every`; see `ops.measuring.lending`."""
        handle, span = self._asked(window)
        step = parse_span(every) if isinstance(every, str) else every
        return read_lending(handle, Asked(window=span, version=version, exact=exact), bands, step, ages)

    @property
    def costs(self) -> Costs | None:
        """What each kind of answer costs; None where nobody has said."""
        return self.row.costs

    def set_costs(self, costs: Costs | None) -> Costs | None:
        """Agree on what each kind of answer costs, or with None on nothing; audited. Raises BadPolicy, NotAllowed."""
        set_costs(cast("ModelHandle", self), costs)
        self.row = replace(self.row, costs=costs)
        return costs

    @property
    def own_metrics(self) -> tuple[OwnMetric, ...]:
        """Metrics of the team's own, in the order in which they were added."""
        return self.row.own_metrics

    def own_values(self, window: str | Window = "28d", version: int | None = None) -> tuple[OwnValue, ...]:
        """What each of them says of the labelled rows; one that fails, or takes too long, has the reason instead."""
        handle, span = self._asked(window)
        return own_values(handle, span, version)

    def add_metric(
        self,
        name: str,
        what: str | Callable[..., Any],
        *,
        unit: str = "",
        better: str = "higher",
        code: str | Path | None = None,
        trust: str | None = None,
    ) -> tuple[OwnMetric, ...]:
        """Keep a metric of the team's own: a function of the labelled rows. See `ops.measuring.own_metrics.add_metric`."""
        file = None if code is None else Path(code)
        handle = cast("ModelHandle", self)
        kept = add_metric(handle, name, what, unit=unit, better=better, code=file, trust=trust)
        self.row = replace(self.row, own_metrics=kept)
        return kept

    def drop_metric(self, name: str) -> tuple[OwnMetric, ...]:
        """Forget a metric of the team's own. Raises BadPolicy, NotAllowed."""
        kept = drop_metric(cast("ModelHandle", self), name)
        self.row = replace(self.row, own_metrics=kept)
        return kept

    def _asked(self, window: str | Window) -> tuple[ModelHandle, Window]:
        handle = cast("ModelHandle", self)
        return handle, handle.window(window) if isinstance(window, str) else window
