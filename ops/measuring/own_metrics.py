"""Metrics of a team's own: a function of the labelled rows, kept with the model by the name it is imported by."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pilothouse.data.errors import BadCode, BadPolicy
from pilothouse.data.history.opened import Memory
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.report import OwnValue
from pilothouse.data.policies import OwnMetric
from pilothouse.data.state import audit, catalog
from pilothouse.data.windows import Window
from pilothouse.ops.actors import Right, require
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, labelled_rows
from pilothouse.ops.measuring.own_running import run_apart
from pilothouse.ops.runtimes.code import read_code, reviewed

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_BETTER = ("higher", "lower")
_PREFIX = "x_"
_GIVEN = {SAID: "prediction", SCORED: "score", TRUE: "label"}
_memory: Memory[tuple[Metric, ...]] = Memory()


def add_metric(
    handle: ModelHandle,
    name: str,
    what: str | Callable[..., Any],
    *,
    unit: str,
    better: str,
    code: Path | None,
    trust: str | None,
) -> tuple[OwnMetric, ...]:
    """Keep a metric with the model, in the place of one of the same name; audited. Returns all that it has.

    what : `module:object`, or the function itself, of which the module is kept. code : a wheel, a zip file or a module
    that holds it, and `trust` the beginning of its SHA-256, from who has looked at it; without code the module must be
    installed wherever the metric is asked for. Raises BadPolicy, BadCode, UnreviewedCode, NotAllowed.
    """
    house, row = handle.house, handle.row
    require(house.state, house.actor, Right.OPERATOR, "add a metric to", row.name, house.clock)
    entry, code, trusted = (what, code, trust) if isinstance(what, str) else _source_of(what)
    _check(name, entry, better)
    metric = OwnMetric(name=name, entry=entry, unit=unit, better=better)
    if code is not None:
        archive = read_code(code)
        sha256 = reviewed(archive, code.name, trusted or _own_hash(what, archive))
        house.store.put(archive)
        metric = replace(metric, code_sha256=sha256, code_name=code.name)
    _check_there(handle, metric)
    return _keep(handle, (*(m for m in row.own_metrics if m.name != name), metric), asdict(metric))


def drop_metric(handle: ModelHandle, name: str) -> tuple[OwnMetric, ...]:
    """Forget a metric; audited. Raises BadPolicy when the model has none of that name, NotAllowed."""
    house, row = handle.house, handle.row
    require(house.state, house.actor, Right.OPERATOR, "drop a metric of", row.name, house.clock)
    kept = tuple(m for m in row.own_metrics if m.name != name)
    if len(kept) == len(row.own_metrics):
        raise BadPolicy("metric", name, f"one that was added: {', '.join(m.name for m in kept) or 'none was'}")
    return _keep(handle, kept, {"name": name, "dropped": True})


def own_values(handle: ModelHandle, window: Window, version: int | None) -> tuple[OwnValue, ...]:
    """What each metric of the team's own says of the labelled rows of a window. One that fails has a reason instead.

    They run in a process of their own, each for as long as the setting `own_metric_limit_s` says. What metrics that are
    kept with their code have said is remembered as long as the log stays what it is.
    """
    metrics = handle.row.own_metrics
    if not metrics:
        return ()
    found = _asked(handle, window, version)
    return tuple(OwnValue(metric=m, found=metric) for m, metric in zip(metrics, found, strict=True))


def _asked(handle: ModelHandle, window: Window, version: int | None) -> tuple[Metric, ...]:
    metrics, limit_s = handle.row.own_metrics, handle.house.settings.own_metric_limit_s
    if not all(metric.code_sha256 for metric in metrics):
        # Code that is installed may be another one the next time.
        return _measured(handle, window, version, limit_s)
    asked = (handle.house.workspace.root, handle.name, metrics, window, version, limit_s, handle.history.watermark())
    return _memory.recall(asked, lambda: _measured(handle, window, version, limit_s))


def _measured(handle: ModelHandle, window: Window, version: int | None, limit_s: float) -> tuple[Metric, ...]:
    metrics, rows = handle.row.own_metrics, _given_rows(labelled_rows(handle, window, version))
    if rows.is_empty():
        return (Metric(value=None, reason="no labels yet"),) * len(metrics)
    said = run_apart(handle.house.store, metrics, rows, limit_s)
    return tuple(Metric(value=one.value, low=one.low, high=one.high, reason=one.error) for one in said)


def _given_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The labelled ones, with columns that are easily written: prediction, score, label, at; a feature so called as x_<name>."""
    taken = {*_GIVEN.values()}
    renamed = {name: f"{_PREFIX}{name}" for name in rows.columns if name in taken}
    return rows.rename(renamed | _GIVEN).filter(pl.col("label").is_not_null())


def _check_there(handle: ModelHandle, metric: OwnMetric) -> None:
    """Raises BadCode when the function cannot be imported, or is none; its module is imported in a process of its own."""
    (said,) = run_apart(handle.house.store, (metric,), None, handle.house.settings.own_metric_limit_s)
    if said.error:
        raise BadCode(metric.entry, said.error)


def _source_of(function: Callable[..., Any]) -> tuple[str, Path, None]:
    """Where a function stands: its entry and the file of its module. Raises BadCode for one without a file."""
    module, name = function.__module__, function.__qualname__
    file = inspect.getsourcefile(function)
    if file is None or module == "__main__" or "<" in name or not Path(file).is_file():
        raise BadCode(name, "it does not stand in a module of its own. Put it into a .py file and import it from there")
    return f"{Path(file).stem}:{name}", Path(file), None


def _own_hash(what: str | Callable[..., Any], archive: bytes) -> str | None:
    """Whoever hands over the function itself runs it already; code that is only named has to be looked at first."""
    import hashlib

    return None if isinstance(what, str) else hashlib.sha256(archive).hexdigest()


def _check(name: str, entry: str, better: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadPolicy("metric", name[:60], "a name of small letters, digits and _, such as profit")
    if not _ENTRY.fullmatch(entry):
        raise BadPolicy("metric", entry[:60], "module:object, such as mymetrics:profit")
    if better not in _BETTER:
        raise BadPolicy("better", better[:40], " or ".join(_BETTER))


def _keep(handle: ModelHandle, metrics: tuple[OwnMetric, ...], details: dict[str, Any]) -> tuple[OwnMetric, ...]:
    house = handle.house
    with house.state.write() as conn:
        catalog.set_own_metrics(conn, handle.name, metrics)
        audit.append(
            conn, actor=house.actor.name, act="own metric", target=handle.name, details=details, at=house.clock()
        )
    return metrics
