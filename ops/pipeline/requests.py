"""Asking for a retraining, and calling one off: acts, each with its audit row in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection
from uuid6 import uuid7

from pilothouse.data.errors import BadData, CannotRetrain
from pilothouse.data.policies import ColumnClass
from pilothouse.data.signature import Task
from pilothouse.data.state import audit, catalog, deployments, runs
from pilothouse.data.state.runs import Run, RunState, StepState
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, Window, as_utc, parse_span
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.runtimes.originals import FINISHED

KIND = "retrain"
STEPS = ("extract", "validate", "split", "train", "evaluate", "gate", "register")
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a retraining learns from and what it is judged on.

    judge_days : length of the last part, which training never sees. train_days : length of the part before it.
    end : where the last part ends (excluded); None is the end of the mature part of the log, when the run extracts.
    """

    train_days: Days = 56
    judge_days: Days = 14
    end: datetime | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Recipe:
        """Raises BadData for a name or value that is not allowed, NaiveTime for an `end` without a zone."""
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(arguments) - known):
            raise BadData(f"A retraining takes no {', '.join(unknown)}. It takes: {', '.join(sorted(known))}.")
        try:
            recipe = msgspec.convert(dict(arguments), cls)
        except msgspec.ValidationError as error:
            raise BadData(f"The retraining's arguments were not accepted: {error}.") from None
        if recipe.end is not None:
            as_utc(recipe.end, "the retraining's end")
        return recipe

    def window(self, end: datetime) -> Window:
        """Both parts together."""
        return Window(end - timedelta(days=self.train_days + self.judge_days), end)

    def boundary(self, end: datetime) -> datetime:
        """Where training stops and judging starts."""
        return end - timedelta(days=self.judge_days)


def whole_days(text: str) -> int:
    """The days that `8w`, `56d` or `48h` name: a retraining's parts begin and end a number of days apart.

    Raises InvalidWindow, or BadData for a span with a part of a day.
    """
    days, rest = divmod(parse_span(text), timedelta(days=1))
    if rest:
        raise BadData(f"A retraining counts in whole days, which {text!r} is not. Use for example 14d or 8w.")
    return days


def retrain(state: State, actor: Actor, model: str, arguments: Mapping[str, Any], clock: Clock) -> Run:
    """Ask for a retraining of `model`; a worker picks it up. While one is active, that one is given back.

    arguments : fields of Recipe, as JSON values.
    Raises UnknownModel, NoChampion, CannotRetrain for a task without a gate, BadData for an argument, NotAllowed.
    """
    require(state, actor, Right.OPERATOR, "retrain", model, clock)
    recipe: dict[str, Any] = msgspec.to_builtins(Recipe.of(arguments))
    now = clock()
    with state.write() as conn:
        _check_retrainable(conn, model)
        run, created = runs.request(
            conn, run_id=str(uuid7()), model=model, kind=KIND, arguments=recipe, steps=STEPS, actor=actor.name, at=now
        )
        if created:
            details = {"run_id": run.id, "arguments": recipe}
            audit.append(conn, actor=actor.name, act="retrain", target=model, details=details, at=now)
    return run


def _check_retrainable(conn: Connection, model: str) -> None:
    """Raises CannotRetrain, UnknownModel or NoChampion."""
    row = catalog.get_model(conn, model)
    if row.task is not Task.BINARY:
        raise CannotRetrain(model, f"its task is {row.task}", "Binary models are retrained and judged so far.")
    champion = catalog.get_version(conn, model, deployments.in_force(conn, model).version)
    if champion.artifact_sha256 is None:
        raise CannotRetrain(model, "it is served elsewhere", "Register the model itself to retrain it here.")
    if champion.runtime in FINISHED:
        raise CannotRetrain(
            model,
            f"version {champion.version} came finished ({champion.runtime}): it cannot be fitted anew",
            "Train it where it was made, and register the new version.",
        )
    unseen = (ColumnClass.HASHED, ColumnClass.DROPPED)
    if kept_out := sorted(f.name for f in row.signature.features if row.classes.get(f.name) in unseen):
        raise CannotRetrain(
            model,
            f"the log does not hold {', '.join(kept_out)} as the model sees them",
            "Train it where the values are, and register the new version.",
        )


def cancel(state: State, actor: Actor, run_id: str, clock: Clock) -> Run:
    """Call a run off: a waiting one ends at once, a running one as soon as its worker has stopped it.

    A run that is over stays as it is, and one that is registering its version already is not undone.
    Raises UnknownRun, NotAllowed.
    """
    with state.read() as conn:
        model = runs.get(conn, run_id).model
    require(state, actor, Right.OPERATOR, "cancel a run of", model, clock)
    now = clock()
    with state.write() as conn:
        run = runs.get(conn, run_id)
        if run.state in (RunState.QUEUED, RunState.RUNNING):
            runs.set_run(conn, run_id, state=RunState.CANCELLING)
            audit.append(conn, actor=actor.name, act="cancel", target=model, details={"run_id": run_id}, at=now)
            runs.append_log(conn, run_id, now, f"{actor.name} called the run off")
        if run.state is RunState.QUEUED:
            close_run(conn, run_id, RunState.CANCELLED, now)
        return runs.get(conn, run_id)


def close_run(conn: Connection, run_id: str, state: RunState, at: datetime, error: str | None = None) -> None:
    """End a run that did not succeed: the step it was in takes the same end, those after it are skipped."""
    ended = StepState.FAILED if state is RunState.FAILED else StepState.CANCELLED
    for step in runs.steps(conn, run_id):
        if step.state is StepState.RUNNING:
            message = error or step.message
            runs.set_step(conn, run_id, step.name, state=ended, finished_at=at, message=message)
        elif step.state is StepState.WAITING:
            runs.set_step(conn, run_id, step.name, state=StepState.SKIPPED)
    runs.set_run(conn, run_id, state=state, finished_at=at, error=error)
