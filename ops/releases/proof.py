"""The proof of a switch: what it did to the requests around it, read from the log afterwards.

Nothing of it is measured on the request path. A request belongs to the moment at which it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import NoChampion, UnknownSwitch
from pilothouse.data.limits import Limit
from pilothouse.data.state import deployments, processes
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.processes import Switch
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

AROUND = timedelta(seconds=10)
"""How far before the click and after the flip is looked."""
AT_THE_FLIP = timedelta(seconds=1)
_SLOWEST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProof:
    """One service worker. ready_at : from when on it answered with the new version; answered_at : its first answer.

    Milliseconds count from the flip; None where nobody has asked it yet.
    """

    process: str
    ready_at: datetime
    ready_ms: float
    answered_at: datetime | None
    answered_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Requests that began in a span: `before` the click, while workers were `preparing`, at the `flip`, and `after`."""

    name: str
    window: Window
    requests: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """Requests that began in one second, answered by one version. second : after the flip, below 0 before it."""

    second: int
    version: int
    requests: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A switch, and the requests around it. last_before_ms : when the last request that the version before answered
    had begun, after the flip; None without any. Below 0 nobody who asked after the flip was answered by it."""

    deployment: Deployment
    prepared_ms: float
    workers: tuple[WorkerProof, ...]
    phases: tuple[Phase, ...]
    seconds: tuple[Second, ...]
    last_before_ms: float | None


def prove(handle: ModelHandle, deployment_seq: int | None = None) -> Proof:
    """The proof of a switch of a model, the newest where none is named. Raises NoChampion, UnknownSwitch, QueryTooSlow."""
    with handle.house.state.read() as conn:
        known = deployments.history(conn, handle.name)
        if not known:
            raise NoChampion(handle.name)
        deployment = next((d for d in known if deployment_seq in (None, d.seq)), None)
        if deployment is None:
            raise UnknownSwitch(handle.name, deployment_seq or 0, [d.seq for d in known])
        adopted = processes.switches(conn, deployment.seq)
    logged = Window(deployment.clicked_at - AROUND, deployment.at + AT_THE_FLIP + AROUND + _SLOWEST)
    with Limit(handle.house.settings.query_limit_s):
        requests = handle.prediction_log.requests(logged)
    return proof_of(deployment, adopted, requests)


def proof_of(deployment: Deployment, adopted: Sequence[Switch], requests: pl.DataFrame) -> Proof:
    """The proof from what the workers noted and what the log holds.

    requests : spool, version, logged_at, latency_us, failed; from well before the click to well after the flip.
    """
    flip, click = deployment.at, deployment.clicked_at
    begun = requests.with_columns(began=_began()).sort("began")
    near = begun.filter(pl.col("began") >= click - AROUND, pl.col("began") < flip + AT_THE_FLIP + AROUND)
    old = near.filter(pl.col("version").eq_missing(deployment.previous))["began"]
    return Proof(
        deployment=deployment,
        prepared_ms=_ms(flip - click),
        workers=tuple(_worker(switch, deployment, begun) for switch in adopted),
        phases=_phases(near, click, flip),
        seconds=_seconds(near, flip),
        last_before_ms=_ms(old[-1] - flip) if len(old) else None,
    )


def _began() -> pl.Expr:
    """When a request began; one without a latency counts as answered at once."""
    return pl.col("logged_at") - pl.duration(microseconds=pl.col("latency_us").fill_null(0))


def _worker(switch: Switch, deployment: Deployment, begun: pl.DataFrame) -> WorkerProof:
    own = begun.filter(
        pl.col("spool") == (switch.spool or ""),
        pl.col("version") == deployment.version,
        pl.col("logged_at") >= deployment.at,
    )["logged_at"]
    first = own.min() if len(own) else None
    return WorkerProof(
        process=switch.process_id,
        ready_at=switch.at,
        ready_ms=_ms(switch.at - deployment.at),
        answered_at=first if isinstance(first, datetime) else None,
        answered_ms=_ms(first - deployment.at) if isinstance(first, datetime) else None,
    )


def _phases(near: pl.DataFrame, click: datetime, flip: datetime) -> tuple[Phase, ...]:
    ends = [click - AROUND, click, flip, flip + AT_THE_FLIP, flip + AT_THE_FLIP + AROUND]
    named = zip(("before", "preparing", "flip", "after"), ends, ends[1:], strict=False)
    return tuple(_phase(near, name, start, end) for name, start, end in named if start < end)


def _phase(near: pl.DataFrame, name: str, start: datetime, end: datetime) -> Phase:
    inside = near.filter(pl.col("began") >= start, pl.col("began") < end)
    p50, p99 = (inside["latency_us"].quantile(share, "linear") for share in (0.5, 0.99))
    return Phase(
        name=name, window=Window(start, end), requests=inside.height, failed=int(inside["failed"].sum()),
        p50_ms=None if p50 is None else p50 / 1000, p99_ms=None if p99 is None else p99 / 1000,
    )  # fmt: skip


def _seconds(near: pl.DataFrame, flip: datetime) -> tuple[Second, ...]:
    second = ((pl.col("began") - flip).dt.total_microseconds() // 1_000_000).alias("second")
    counted = near.group_by(second, "version").agg(requests=pl.len(), failed=pl.col("failed").sum())
    return tuple(Second(**row) for row in counted.sort("second", "version").iter_rows(named=True))


def _ms(span: timedelta) -> float:
    return span.total_seconds() * 1000
