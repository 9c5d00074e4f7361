"""Figures that are read when they are asked for: what is agreed on, and what waits to be sealed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pilothouse.data.log.waiting import unsealed
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.serving.models import Models


class ServiceFigures(Collector):
    """The same in every worker, so that it does not matter which of them is asked."""

    def __init__(self, workspace: Workspace, models: Models, clock: Clock) -> None:
        self._workspace, self._models, self._clock = workspace, models, clock

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: or it would be asked for its figures as soon as it is known."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        info = GaugeMetricFamily("pilothouse_info", "What is running: 1.", labels=["version"])
        info.add_metric([version("pilothouse")], 1)
        yield info
        yield self._canaries()
        yield from self._objectives()
        yield from self._unsealed()

    def _canaries(self) -> GaugeMetricFamily:
        share = GaugeMetricFamily(
            "pilothouse_canary_share", "Share of the requests that a canary answers.", labels=["model", "version"]
        )
        for name, served in self._models.all.items():
            canary = served.beside.canary if served.beside else None
            if canary is not None:
                share.add_metric([name, str(canary.live.version)], canary.assignment.basis_points / 10_000)
        return share

    def _objectives(self) -> Iterator[GaugeMetricFamily]:
        within = GaugeMetricFamily(
            "pilothouse_objective_seconds", "Within which a model is to answer.", labels=["model"]
        )  # fmt: skip
        share = GaugeMetricFamily(
            "pilothouse_objective_share", "Share of the requests that are to be answered within it.", labels=["model"]
        )
        for name, objective in self._models.objectives.items():
            within.add_metric([name], objective.within_ms / 1000)
            share.add_metric([name], objective.share)
        yield from (within, share)

    def _unsealed(self) -> Iterator[GaugeMetricFamily]:
        rows = GaugeMetricFamily(
            "pilothouse_unsealed_rows", "Predictions that wait to be sealed.", labels=["model"]
        )  # fmt: skip
        age = GaugeMetricFamily("pilothouse_unsealed_age_seconds", "Age of the oldest of them.", labels=["model"])
        now = self._clock()
        for name, waiting in unsealed(self._workspace, self._models.signatures()).items():
            rows.add_metric([name], waiting.rows)
            age.add_metric([name], max(0.0, (now - waiting.since).total_seconds()) if waiting.since else 0.0)
        yield from (rows, age)
