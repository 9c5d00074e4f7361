"""What is asked and agreed on about a model's drift beyond its roll-ups. A part of its handle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.measures.drift_thresholds import DriftThresholds
from pilothouse.data.measures.multivariate import Multivariate
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.drift_thresholds import BUDGET, WINDOW, agree, calibrate_drift
from pilothouse.ops.measuring.multivariate import multivariate_drift
from pilothouse.ops.measuring.prediction import prediction_drift

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


class DriftActs:
    """Drift of what a model answers and of all its features together, and the thresholds that drift is judged by."""

    row: ModelRow

    @property
    def drift_thresholds(self) -> DriftThresholds | None:
        """By which drift is judged; None for the fixed marks."""
        return self.row.drift_thresholds

    def calibrate_drift(
        self,
        budget: str = BUDGET,
        window: str = WINDOW,
        *,
        baseline: str | Window | None = None,
        clear: bool = False,
    ) -> DriftThresholds | None:
        """Have drift judged by thresholds that keep to a budget of false alarms.

        See `ops.measuring.drift_thresholds.calibrate_drift`. clear : have it judged by the fixed marks again.
        """
        handle = cast("ModelHandle", self)
        found = None if clear else calibrate_drift(handle, budget, window, baseline)
        if clear:
            agree(handle, None)
        self.row = replace(self.row, drift_thresholds=found)
        return found

    def prediction_drift(self, window: str | Window = "7d", version: int | None = None) -> FeatureDrift | None:
        """Drift of what the model answers. See `ops.measuring.prediction.prediction_drift`."""
        handle = cast("ModelHandle", self)
        return prediction_drift(handle, handle.window(window) if isinstance(window, str) else window, version)

    def multivariate_drift(self, window: str | Window = "28d") -> Multivariate:
        """Drift of all features together, over a stated sample; takes seconds. See `ops.measuring.multivariate`."""
        handle = cast("ModelHandle", self)
        return multivariate_drift(handle, handle.window(window) if isinstance(window, str) else window)
