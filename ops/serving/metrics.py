"""The service's own figures in Prometheus' text format, summed over its workers. All labels are bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counts what one worker does.

    folder : where all workers of a service keep their figures; None for a single process. `FOLDER_VARIABLE` must have
    named it before prometheus_client was first imported. besides : figures that are read when they are asked for, the
    same in every worker.
    """

    def __init__(self, folder: Path | None = None, besides: Sequence[Collector] = ()) -> None:
        self._folder, self._besides = folder, besides
        self._in_hand = self._told = 0
        self._known: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._registry = own = CollectorRegistry()
        by = ["route", "model", "status"]
        self._requests = Counter("pilothouse_requests_total", "Requests answered.", by, registry=own)
        self._rows = Counter("pilothouse_rows_total", "Rows taken, by what they were.", ["model", "kind"], registry=own)
        self._seconds = Histogram(
            "pilothouse_request_seconds", "From a request's head to its answer.", ["route"],
            buckets=_BUCKETS_S, registry=own,
        )  # fmt: skip
        self._in_flight = Gauge(
            "pilothouse_in_flight", "Requests in hand.", registry=own, multiprocess_mode="livesum"
        )  # fmt: skip
        self._version = Gauge(
            "pilothouse_live_version", "The version that answers.", ["model"],
            registry=own, multiprocess_mode="liveall",
        )  # fmt: skip
        self._shadowed = Counter(
            "pilothouse_shadow_rows_total", "Rows that shadows were to be asked about, by what became of them.",
            ["model", "version", "outcome"], registry=own,
        )  # fmt: skip
        self._switches = Counter("pilothouse_switches_total", "Changes of champion followed.", registry=own)

    def answered(self, route: str, model: str, status: int, seconds: float) -> None:
        """One request; `route` is a template such as /models/{name}/predict, `model` a registered name or empty."""
        self._one_of(self._requests, route, model, str(status)).inc()
        self._one_of(self._seconds, route).observe(seconds)

    def took(self, model: str, kind: str, rows: int) -> None:
        self._one_of(self._rows, model, kind).inc(rows)

    def shadowed(self, model: str, version: int, outcome: str, rows: int) -> None:
        self._shadowed.labels(model, str(version), outcome).inc(rows)

    def holds(self, requests: int) -> None:
        """Told with every request, so it costs nothing until `tell`."""
        self._in_hand = requests

    def tell(self) -> None:
        """Write down what is only kept so far; to be called many times a second."""
        if self._in_hand != self._told:
            self._told = self._in_hand
            self._in_flight.set(self._told)

    def followed(self, versions: Mapping[str, int], switches: int) -> None:
        for model, version in versions.items():
            self._version.labels(model).set(version)
        self._switches.inc(switches)

    def _one_of(self, family: Any, *labels: str) -> Any:
        """The figure of `family` with these labels; the library's own look-up is half of what counting costs."""
        key = (family, labels)
        if key not in self._known:
            self._known[key] = family.labels(*labels)
        return self._known[key]

    def text(self) -> bytes:
        """The figures of all workers."""
        return self._counted() + b"".join(generate_latest(_registry_of(each)) for each in self._besides)

    def _counted(self) -> bytes:
        if self._folder is None:
            return generate_latest(self._registry)
        _forget_dead(self._folder)
        summed = CollectorRegistry()
        MultiProcessCollector(summed, path=str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(summed)


def _registry_of(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _forget_dead(folder: Path) -> None:
    """Gauges speak for living workers only; what dead ones counted stays counted."""
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}
    for pid in pids:
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
