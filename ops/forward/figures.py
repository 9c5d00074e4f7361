"""How far a site is from its central house, for Prometheus: read when the figures are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pilothouse.data.settings import Settings
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.forward.status import status_of


class ForwardFigures(Collector):
    """Rows that wait to be sent, and how long the oldest has, by model."""

    def __init__(self, workspace: Workspace, state: State, settings: Settings, clock: Clock) -> None:
        self._workspace, self._state, self._settings, self._clock = workspace, state, settings, clock

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: or it would be asked for its figures as soon as it is known."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("pilothouse_forward_waiting_rows", "Rows not sent on yet.", labels=["model"])
        lag = GaugeMetricFamily("pilothouse_forward_lag_seconds", "Age of the oldest of them.", labels=["model"])
        now = self._clock()
        for model in status_of(self._workspace, self._state, self._settings).models:
            waiting.add_metric([model.model], model.waiting)
            lag.add_metric([model.model], (now - model.since).total_seconds() if model.since else 0.0)
        yield from (waiting, lag)
