"""The steps of a retraining, whatever engine runs them: JSON in, JSON out, data by SHA-256, each safe to run twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from pilothouse.data.errors import CannotRetrain
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.settings import WHERE_EQUAL
from pilothouse.data.signature import Signature
from pilothouse.data.state import catalog, deployments
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.windows import Window
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.pipeline import snapshot
from pilothouse.ops.pipeline.context import Context
from pilothouse.ops.pipeline.engine import Output
from pilothouse.ops.pipeline.gate import Decision, Verdict, decide
from pilothouse.ops.pipeline.requests import Recipe
from pilothouse.ops.pipeline.tasks import EvaluateTask, Trained, TrainTask
from pilothouse.ops.pipeline.validation import Checked, check
from pilothouse.ops.runtimes.originals import Artifact

if TYPE_CHECKING:
    from pilothouse.ops.runtimes.conversion import Converter

MIN_OF_A_CLASS = 10
"""Rows of each class that either part must have. Below it a fit or an AUC says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """rows : predictions in the window. labelled : those with a label, which are in the snapshot."""

    snapshot_sha256: str
    champion: int
    window: Window
    rows: int
    labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    coverage: float
    positive_rate: float
    checked: Checked = field(default_factory=Checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    rows: int
    positives: int
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """judge : the last part, untouched by training. It begins where `train` ends."""

    train: Part
    judge: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    decision: Decision
    scorecard: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    version: int


def run_step(name: str, context: Context) -> Output:
    """Do the step called `name`; returns its output as JSON values."""
    made: Output = msgspec.to_builtins(_STEPS[name](context))
    return made


def extract(context: Context) -> Extracted:
    """The labelled rows of the window, features as they were logged, as a snapshot in the store. Raises CannotRetrain."""
    from pilothouse.data.log.reader import PredictionLog

    model = context.model
    log = PredictionLog(context.workspace, model.name, model.signature, model.label_policy, clock=context.clock)
    recipe = Recipe.of(context.run.arguments)
    end = recipe.end or snapshot.mature_end(log, context.clock(), model.label_policy.horizon)
    if end is None:
        raise CannotRetrain(
            model.name,
            f"no logged prediction is older than the label horizon of {model.label_policy.horizon / timedelta(days=1):g} days",
            "Log predictions and labels first.",
        )
    window = recipe.window(end)
    if snapshot.thinned(log, window):
        raise CannotRetrain(
            model.name,
            f"of some of the rows from {_span(window)} only a sample is kept, with too many of the rarest class",
            "Choose a shorter span, or keep rows whole for longer (`pilothouse retention`).",
        )
    labelled, rows = snapshot.labelled_rows(log, model.signature.of_version(_champion(context).version), window)
    sha256 = snapshot.keep(context.store, labelled)
    context.say(f"{rows:,} predictions from {_span(window)}, {labelled.height:,} labelled; snapshot {sha256[:12]}")
    return Extracted(
        snapshot_sha256=sha256,
        champion=_champion(context).version,
        window=window,
        rows=rows,
        labelled=labelled.height,
    )


def validate(context: Context) -> Validated:
    """Whether the snapshot has rows with labels, both classes, and values as agreed. Raises CannotRetrain."""
    extracted = context.output("extract", Extracted)
    window = _span(extracted.window)
    if extracted.labelled == 0:
        raise CannotRetrain(
            context.model.name,
            f"none of the {extracted.rows:,} predictions from {window} has a label",
            "Send labels, or choose a window that has them.",
        )
    rows = snapshot.read(context.store, extracted.snapshot_sha256)
    positive = snapshot.Examples.of(rows, _signature(context)).positive
    _require_both_classes(context, positive, f"from {window}")
    checked = check(context, _signature(context), extracted.snapshot_sha256)
    coverage, share = extracted.labelled / extracted.rows, float(positive.mean())
    context.say(f"label coverage {coverage:.1%}, positive share {share:.1%}")
    return Validated(coverage=coverage, positive_rate=share, checked=checked)


def split(context: Context) -> Split:
    """Train and judge parts by time. Raises CannotRetrain when a part is too thin to learn or judge from."""
    extracted = context.output("extract", Extracted)
    boundary = Recipe.of(context.run.arguments).boundary(extracted.window.end)
    rows = snapshot.read(context.store, extracted.snapshot_sha256)
    train = _part(context, snapshot.before(rows, boundary), Window(extracted.window.start, boundary))
    judge = _part(context, snapshot.since(rows, boundary), Window(boundary, extracted.window.end))
    context.say(f"train on {train.rows:,} rows from {_span(train.window)}")
    context.say(f"judge on {judge.rows:,} rows from {_span(judge.window)}, untouched until then")
    return Split(train=train, judge=judge)


def train(context: Context) -> Trained:
    """The challenger, fitted in a process of its own. The seed is the run's, so doing the step again gives the same."""
    task = TrainTask(
        champion=Artifact.of(_champion_row(context)),
        signature=_signature(context),
        snapshot_sha256=context.output("extract", Extracted).snapshot_sha256,
        boundary=context.output("split", Split).judge.window.start,
        seed=int(context.run.id.replace("-", "")[-7:], 16),
    )
    return context.heavy("train", task, Trained)


def evaluate(context: Context) -> Comparison:
    """Champion and challenger on the same untouched rows, in a process of its own."""
    champion = Artifact.of(_champion_row(context))
    task = EvaluateTask(
        champion=champion,
        challenger=replace(champion, sha256=context.output("train", Trained).artifact_sha256),
        signature=_signature(context),
        snapshot_sha256=context.output("extract", Extracted).snapshot_sha256,
        boundary=context.output("split", Split).judge.window.start,
    )
    found = context.heavy("evaluate", task, Comparison)
    new, old = found.challenger.roc_auc.value, found.champion.roc_auc.value
    context.say(f"ROC AUC on {found.rows:,} untouched rows: challenger {new:.3f}, champion {old:.3f}")
    return found


def gate(context: Context) -> Gated:
    """The verdict on the challenger, and the scorecard that it rests on."""
    decision = decide(context.output("evaluate", Comparison), context.model.gate_policy)
    context.say(f"{decision.verdict}: {decision.reason}")
    return Gated(decision=decision, scorecard=_scorecard(context, decision))


def register(context: Context) -> Registered:
    """The challenger as a version with its scorecard: also one that the gate held back, so that the evidence stands."""
    from pilothouse.ops.registry import Registry

    trained, gated = context.output("train", Trained), context.output("gate", Gated)
    registry = Registry(context.workspace, context.state, context.store, context.clock, _converter(context))
    version = registry.register_version(
        Actor(name=context.run.requested_by, roles=frozenset({Right.OPERATOR})),
        context.model.name,
        replace(Artifact.of(_champion_row(context)), sha256=trained.artifact_sha256),
        run_id=context.run.id,
        snapshot_sha256=context.output("extract", Extracted).snapshot_sha256,
        scorecard=gated.scorecard,
        trained=context.output("split", Split).train.window,
        note=_note(gated.decision),
    )
    context.say(f"registered as version {version.version}")
    return Registered(version=version.version)


_STEPS: dict[str, Callable[[Context], object]] = {
    step.__name__: step for step in (extract, validate, split, train, evaluate, gate, register)
}


def _converter(context: Context) -> Converter:
    from pilothouse.ops.runtimes.conversion import Converter

    return Converter(
        workspace=context.workspace, heavy=context.heavy, say=context.say, wanted=context.settings.onnx == WHERE_EQUAL
    )


def _champion(context: Context) -> deployments.Deployment:
    with context.state.read() as conn:
        return deployments.in_force(conn, context.model.name)


def _champion_row(context: Context) -> VersionRow:
    """The champion of the moment when the run extracted: a promotion in between must not change who is judged."""
    with context.state.read() as conn:
        return catalog.get_version(conn, context.model.name, context.output("extract", Extracted).champion)


def _signature(context: Context) -> Signature:
    """The features as that champion takes them."""
    return context.model.signature.of_version(context.output("extract", Extracted).champion)


def _part(context: Context, rows: pl.DataFrame, window: Window) -> Part:
    positive = snapshot.Examples.of(rows, _signature(context)).positive
    _require_both_classes(context, positive, f"from {_span(window)}")
    return Part(rows=rows.height, positives=int(positive.sum()), window=window)


def _require_both_classes(context: Context, positive: np.ndarray[Any, np.dtype[np.bool_]], where: str) -> None:
    hits = int(positive.sum())
    if min(hits, len(positive) - hits) < MIN_OF_A_CLASS:
        raise CannotRetrain(
            context.model.name,
            f"of {len(positive):,} labelled rows {where} {hits:,} are positive; each class needs {MIN_OF_A_CLASS} rows",
            "Choose longer parts (train_days, judge_days), or wait for labels.",
        )


def _scorecard(context: Context, decision: Decision) -> dict[str, Any]:
    # The challenger has no number before it is registered; `register_version` puts it in.
    comparison, parts = context.output("evaluate", Comparison), context.output("split", Split)
    plain = msgspec.to_builtins(comparison)
    judged, learned = msgspec.to_builtins(parts.judge.window), msgspec.to_builtins(parts.train.window)
    return {
        "rows": comparison.rows,
        "positives": comparison.positives,
        "window": judged,
        "train": {"rows": parts.train.rows, **learned},
        "champion": {"version": context.output("extract", Extracted).champion, **plain["champion"]},
        "challenger": {"version": None, **plain["challenger"]},
        "gain": plain["gain"],
        "log_loss_change": plain["log_loss_change"],
        "decision": msgspec.to_builtins(decision),
        "policy": msgspec.to_builtins(context.model.gate_policy),
    }


def _note(decision: Decision) -> str:
    if decision.verdict is Verdict.PROMOTE:
        return f"recommended: {decision.reason}"
    return f"not recommended ({decision.verdict}): {decision.reason}"


def _span(window: Window) -> str:
    """As people read it, to the minute in UTC."""
    return f"{_minute(window.start)} to {_minute(window.end)} UTC"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
