"""How trials do: a canary beside the champion on the rows of each, a shadow against the answers to the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.data.history.results import Metric
from pilothouse.data.limits import Limit
from pilothouse.data.log.schema import TRAFFIC, Role
from pilothouse.data.measures.bands import normal, wilson
from pilothouse.data.measures.compare import Measured, Scores, compare_scores
from pilothouse.data.measures.outcomes import Sums
from pilothouse.data.signature import Signature, Task
from pilothouse.data.state import deployments
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.trials import Trial, TrialKind
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

AT_MOST = timedelta(days=7)
"""How far back a shadow is compared."""
_EARLIER, _LATER = timedelta(days=7), timedelta(days=1)
_PAIRED = ("prediction_id", "logged_at", "prediction", "score", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a version showed on the rows that it answered.

    mean : of the score, or of a regression's predictions. positive : share of predictions of the positive class.
    labelled, metrics : of the rows whose label has come. What cannot be said is None.
    """

    version: int
    rows: int
    errors: int
    mean: float | None
    positive: float | None
    p50_ms: float | None
    p99_ms: float | None
    labelled: int
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Champion and canary, each on its own rows, since the canary began. few : why too little is known; else empty."""

    trial: Trial
    window: Window
    champion: Shown
    canary: Shown
    few: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Rows that the workers now running were to ask a shadow about, by what became of them. faults : kinds of error."""

    logged: int
    dropped: int
    failed: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """A shadow against the answers to the same rows.

    rows : that both have answered. agreement : share of equal predictions. difference : mean of its score (a
    regression's prediction) minus the answer's; distance : mean of the size of that. What cannot be said is None.
    labelled : of these rows; answers, shadow : metrics of both on them. few : why too little is known; else empty.
    """

    trial: Trial
    window: Window
    rows: int
    agreement: float | None
    difference: float | None
    distance: float | None
    labelled: int
    answers: dict[str, Metric]
    shadow: dict[str, Metric]
    few: str
    queue: Queue


def tried(handle: ModelHandle) -> Tried | None:
    """The canary of a model beside its champion; None when there is none. Raises QueryTooSlow."""
    trial = next((t for t in handle.trials if t.kind is TrialKind.CANARY), None)
    if trial is None:
        return None
    with handle.house.state.read() as conn:
        champion = deployments.in_force(conn, handle.name).version
    window = Window(trial.began_at, max(handle.house.clock(), trial.began_at + timedelta(seconds=1)))
    with Limit(handle.house.settings.query_limit_s):
        said = handle.prediction_log.answers(window)
        old, new = (_shown(handle, said, version, window) for version in (champion, trial.version))
    return Tried(trial=trial, window=window, champion=old, canary=new, few=_few(handle, new.rows, new.labelled))


def shadowed(handle: ModelHandle) -> tuple[Shadowed, ...]:
    """Every shadow of a model against what was answered. Raises QueryTooSlow."""
    running = handle.house.processes()
    with Limit(handle.house.settings.query_limit_s):
        return tuple(_shadowed(handle, t, running) for t in handle.trials if t.kind is TrialKind.SHADOW)


def _shown(handle: ModelHandle, said: pl.DataFrame, version: int, window: Window) -> Shown:
    found = said.filter(pl.col("version") == version).drop("version", "role")
    # A version that answers in two parts at once is a canary being promoted: the larger part speaks for it.
    row = found.sort("rows", descending=True).row(0, named=True) if found.height else {}
    labelled, metrics = _judged(handle, version, window) if row else (0, {})
    empty = {"rows": 0, "errors": 0, "mean": None, "positive": None, "p50_ms": None, "p99_ms": None}
    return Shown(version=version, labelled=labelled, metrics=metrics, **(empty | row))


def _judged(handle: ModelHandle, version: int, window: Window) -> tuple[int, dict[str, Metric]]:
    """Labelled rows of `version` and its metrics, by event time; nothing before the worker has taken them in."""
    history = handle.history
    end = history.data_end()
    if end is None or end <= window.start:
        return 0, {}
    found = history.performance(Window(window.start, end), version)
    return found.labelled, found.metrics


def _few(handle: ModelHandle, rows: int, labelled: int) -> str:
    """Why nothing should be decided yet; empty where there is enough."""
    asked = handle.gate_policy.min_labelled
    if labelled >= asked:
        return ""
    return f"too few rows: {rows:,} answered, {labelled:,} of them labelled; the gate asks for {asked:,} labelled ones"


def _shadowed(handle: ModelHandle, trial: Trial, running: Sequence[ProcessRow]) -> Shadowed:
    now = handle.house.clock()
    window = Window(max(trial.began_at, now - AT_MOST), max(now, trial.began_at + timedelta(seconds=1)))
    pairs = handle.prediction_log.pairs(window, trial.version)
    labelled = _labelled_pairs(handle, trial.version, window)
    answers, shadow = paired_metrics(handle.signature, labelled)
    return Shadowed(
        trial=trial, window=window, **pairs, labelled=labelled.height, answers=answers, shadow=shadow,
        few=_few(handle, pairs["rows"], labelled.height), queue=_queue(running, trial),
    )  # fmt: skip


def _labelled_pairs(handle: ModelHandle, version: int, window: Window) -> pl.DataFrame:
    """Rows that both have answered and whose label has come: prediction, score, prediction_shadow, score_shadow, label."""
    log, events = handle.prediction_log, Window(window.start - _EARLIER, window.end + _LATER)
    ok = (pl.col("logged_at") >= window.start) & (pl.col("status") == "ok")
    said = log.predictions(events, _PAIRED, versions=[version], roles=[Role.SHADOW]).filter(ok)
    given = log.labelled(events, _PAIRED, roles=TRAFFIC).filter(ok, pl.col("label").is_not_null())
    return given.join(said, on="prediction_id", suffix="_shadow")


def paired_metrics(signature: Signature, pairs: pl.DataFrame) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Metrics of the answers and of the shadow, on the same labelled rows.

    pairs : prediction, score, prediction_shadow, score_shadow, label.
    """
    if pairs.is_empty():
        return {}, {}
    if signature.task is Task.BINARY:
        return _scored_metrics(signature, pairs)
    measure = _accuracy if signature.task is Task.MULTICLASS else _absolute_error
    return measure(pairs["prediction"], pairs["label"]), measure(pairs["prediction_shadow"], pairs["label"])


def _scored_metrics(signature: Signature, pairs: pl.DataFrame) -> tuple[dict[str, Metric], dict[str, Metric]]:
    positive = (pairs["label"] == signature.target.positive).to_numpy()
    scores = [pairs[name].to_numpy().astype(np.float64) for name in ("score", "score_shadow")]
    try:
        found = compare_scores(positive, *scores)
    except BadData as reason:
        absent = {"roc_auc": Metric(value=None, reason=str(reason))}
        return absent, absent
    return _as_metrics(found.champion), _as_metrics(found.challenger)


def _as_metrics(scores: Scores) -> dict[str, Metric]:
    named: dict[str, Measured] = {"roc_auc": scores.roc_auc, "log_loss": scores.log_loss, "brier": scores.brier}
    return {name: Metric(value=m.value, low=m.low, high=m.high) for name, m in named.items()}


def _accuracy(predicted: pl.Series, label: pl.Series) -> dict[str, Metric]:
    hits = int((predicted == label).sum())
    low, high = wilson(hits, len(label))
    return {"accuracy": Metric(value=hits / len(label), low=low, high=high)}


def _absolute_error(predicted: pl.Series, label: pl.Series) -> dict[str, Metric]:
    size = (predicted - label).abs().to_numpy()
    sums = Sums(n=len(size), total=float(size.sum()), squares=float((size**2).sum()))
    low, high = normal(sums)
    return {"mae": Metric(value=sums.total / sums.n, low=low, high=high)}


def _queue(running: Sequence[ProcessRow], trial: Trial) -> Queue:
    found: list[dict[str, Any]] = [
        said
        for process in running
        if (said := process.details.get("shadows", {}).get(trial.model, {}).get(str(trial.version)))
    ]
    return Queue(
        logged=sum(said["logged"] for said in found),
        dropped=sum(said["dropped"] for said in found),
        failed=sum(said["failed"] for said in found),
        faults=tuple(sorted({said["fault"] for said in found} - {""})),
    )
