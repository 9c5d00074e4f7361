"""The service's own figures in Prometheus' text format, summed over its workers. All labels are bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from pilothouse.data.policies import Objective

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_REQUEST_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""Close enough together for objectives from 1 ms to 1 s."""
_COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_COMMIT_ROWS = (1, 2, 5, 10, 20, 50, 100, 500, 1_000, 10_000)
_LOAD_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ADOPTION_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class _Aim(NamedTuple):
    """A model's objective, and the counters of its requests."""

    within_s: float
    yes: Any
    no: Any


class Metrics:
    """Counts what one worker does.

    folder : where all workers of a service keep their figures; None for a single process. `FOLDER_VARIABLE` must have
    named it before prometheus_client was first imported. besides : figures that are read when they are asked for, the
    same in every worker.
    """

    def __init__(self, folder: Path | None = None, besides: Sequence[Collector] = ()) -> None:
        self._folder, self._besides = folder, list(besides)
        self._in_hand = self._waiting = 0
        self._told = (0, 0)
        self._answers: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._taken: dict[tuple[str, str], Any] = {}
        self._aims: Mapping[str, _Aim] = {}
        self._registry = CollectorRegistry()
        self._of_requests(self._registry)
        self._of_log(self._registry)
        self._of_versions(self._registry)
        self._of_process(self._registry)

    def _of_requests(self, own: CollectorRegistry) -> None:
        by = ["route", "model", "status"]
        self._requests = Counter("pilothouse_requests_total", "Requests answered.", by, registry=own)
        self._seconds = Histogram(
            "pilothouse_request_seconds", "From a request's head to its answer.", ["route", "model"],
            buckets=_REQUEST_S, registry=own,
        )  # fmt: skip
        self._in_flight = Gauge(
            "pilothouse_in_flight", "Requests in hand.", registry=own, multiprocess_mode="livesum"
        )  # fmt: skip
        self._queue = Gauge(
            "pilothouse_waiting", "Requests that wait for a place.", registry=own, multiprocess_mode="livesum"
        )  # fmt: skip
        self._shed = Counter(
            "pilothouse_shed_total", "Requests sent away for want of a place.", ["reason"], registry=own
        )
        self._in_time = Counter(
            "pilothouse_objective_requests_total", "Predictions of models with a latency objective, by whether they met it.",
            ["model", "within"], registry=own,
        )  # fmt: skip

    def _of_log(self, own: CollectorRegistry) -> None:
        self._rows = Counter("pilothouse_rows_total", "Rows taken, by what they were.", ["model", "kind"], registry=own)
        self._commit_s = Histogram(
            "pilothouse_commit_seconds", "From handing rows to the log to their commit, the first of each commit.",
            buckets=_COMMIT_S, registry=own,
        )  # fmt: skip
        self._commit_rows = Histogram(
            "pilothouse_commit_rows", "Rows that one commit of the log held.", buckets=_COMMIT_ROWS, registry=own
        )
        self._shadowed = Counter(
            "pilothouse_shadow_rows_total", "Rows that shadows were to be asked about, by what became of them.",
            ["model", "version", "outcome"], registry=own,
        )  # fmt: skip

    def _of_versions(self, own: CollectorRegistry) -> None:
        self._version = Gauge(
            "pilothouse_live_version", "The version that answers.", ["model"],
            registry=own, multiprocess_mode="liveall",
        )  # fmt: skip
        self._warm = Gauge(
            "pilothouse_warm_versions", "Versions held in memory.", ["model"],
            registry=own, multiprocess_mode="liveall",
        )  # fmt: skip
        self._loads = Histogram(
            "pilothouse_load_seconds", "Time that loading and warming a version took.", ["model"],
            buckets=_LOAD_S, registry=own,
        )  # fmt: skip
        self._failed_loads = Counter(
            "pilothouse_failed_loads_total", "Versions that could not be loaded.", ["model"], registry=own
        )
        self._switches = Counter("pilothouse_switches_total", "Changes of champion followed.", registry=own)
        self._adoption = Histogram(
            "pilothouse_adoption_seconds", "From the flip of a champion to a worker's following it.",
            buckets=_ADOPTION_S, registry=own,
        )  # fmt: skip

    def _of_process(self, own: CollectorRegistry) -> None:
        self._lag = Histogram(
            "pilothouse_loop_lag_seconds", "How late the event loop came to what was due.", buckets=_LAG_S, registry=own
        )
        started = Gauge(
            "pilothouse_worker_start_time_seconds", "When a worker began, since 1970.",
            registry=own, multiprocess_mode="liveall",
        )  # fmt: skip
        started.set(psutil.Process().create_time())

    def also(self, collector: Collector) -> None:
        """Give the figures of `collector` too, read when they are asked for."""
        self._besides.append(collector)

    def answered(self, route: str, model: str, status: int, seconds: float) -> None:
        """One request; `route` is a template such as /models/{name}/predict, `model` a registered name or empty."""
        # The library's own look-up is half of what counting costs.
        known = self._answers.get((route, model, status))
        if known is None:
            known = self._requests.labels(route, model, str(status)), self._seconds.labels(route, model)
            self._answers[route, model, status] = known
        known[0].inc()
        known[1].observe(seconds)

    def predicted(self, model: str, seconds: float) -> None:
        """One request for a prediction was answered."""
        aim = self._aims.get(model)
        if aim is not None:
            (aim.yes if seconds <= aim.within_s else aim.no).inc()

    def failed(self, model: str) -> None:
        """One request for a prediction, on which the model itself failed."""
        aim = self._aims.get(model)
        if aim is not None:
            aim.no.inc()

    def took(self, model: str, kind: str, rows: int) -> None:
        known = self._taken.get((model, kind))
        if known is None:
            known = self._taken[model, kind] = self._rows.labels(model, kind)
        known.inc(rows)

    def committed(self, rows: int, lag_s: float) -> None:
        """One commit of the log. lag_s : since the first of its rows was handed over."""
        self._commit_rows.observe(rows)
        self._commit_s.observe(lag_s)

    def shadowed(self, model: str, version: int, outcome: str, rows: int) -> None:
        self._shadowed.labels(model, str(version), outcome).inc(rows)

    def holds(self, requests: int) -> None:
        """Told with every request, so it costs nothing until `tell`."""
        self._in_hand = requests

    def waits(self, requests: int) -> None:
        """Told with every request that has to wait; kept until `tell`."""
        self._waiting = requests

    def shed(self, reason: str) -> None:
        self._shed.labels(reason).inc()

    def tell(self) -> None:
        """Write down what is only kept so far; to be called many times a second."""
        now = self._in_hand, self._waiting
        if now != self._told:
            self._told = now
            self._in_flight.set(now[0])
            self._queue.set(now[1])

    def followed(self, versions: Mapping[str, int], warm: Mapping[str, int], adopted_s: Sequence[float]) -> None:
        """What answers now, how many versions are warm, and the seconds that each new change of champion took."""
        for model, version in versions.items():
            self._version.labels(model).set(version)
        for model, count in warm.items():
            self._warm.labels(model).set(count)
        for seconds in adopted_s:
            self._switches.inc()
            self._adoption.observe(seconds)

    def aims(self, objectives: Mapping[str, Objective]) -> None:
        """How fast models are to answer from now on."""
        self._aims = {
            model: _Aim(asked.within_ms / 1000, self._in_time.labels(model, "yes"), self._in_time.labels(model, "no"))
            for model, asked in objectives.items()
        }

    def loaded(self, model: str, seconds: float | None) -> None:
        """A version was loaded; seconds : None where that failed."""
        if seconds is None:
            self._failed_loads.labels(model).inc()
        else:
            self._loads.labels(model).observe(seconds)

    def lagged(self, seconds: float) -> None:
        self._lag.observe(seconds)

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
