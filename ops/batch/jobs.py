"""A batch as a job: asked for over HTTP or by a schedule, and scored by the worker in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from uuid6 import uuid7

from pilothouse.data.settings import load_settings
from pilothouse.data.state import audit, catalog, runs
from pilothouse.data.state.runs import Run
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.pipeline.context import Context
from pilothouse.ops.pipeline.engine import Output
from pilothouse.ops.releases.switch import champion_version

KIND = "score"
STEPS = ("score",)
_BEGUN = "scoring "
_TELL_EVERY_S = 1.0
Say = Callable[[str], None]


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """What is to be scored, and how. source, out : files. The rest as in `pilothouse.ops.batch.entry.score`."""

    source: str
    out: str
    version: int | None = None
    id: str | None = None
    key: tuple[str, ...] = ()
    at: str | None = None
    entity: str | None = None
    time_format: str | None = None
    log: bool = True
    prefix: str = ""
    overwrite: bool = False
    note: str = ""


class Task(msgspec.Struct, kw_only=True):
    """What the process that scores is told. actor : who asked for it."""

    workspace: str
    model: str
    asked: Asked
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it. out : the file of scored rows. bad_rows : of those set aside; None where there are none."""

    out: str
    sentence: str
    version: int
    read: int
    scored: int
    set_aside: int
    logged: int
    bad_rows: str | None


def request_score(state: State, actor: Actor, model: str, asked: Asked, clock: Clock, run_id: str = "") -> Run:
    """Ask for a batch; a worker takes it up when those before it are done. Asked for under one id it is one batch.

    Who answers is settled now: a promotion in the middle must not split the file. Raises UnknownModel, NoChampion,
    UnknownVersion, NotServedHere, NotAllowed.
    """
    require(state, actor, Right.OPERATOR, "score with", model, clock)
    version = champion_version(state, model) if asked.version is None else asked.version
    with state.read() as conn:
        catalog.get_version(conn, model, version).artifact  # noqa: B018  (raises)
    arguments: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(asked, version=version))
    now, made = clock(), run_id or str(uuid7())
    with state.write() as conn:
        run, new = runs.request(
            conn, run_id=made, model=model, kind=KIND, arguments=arguments, steps=STEPS, actor=actor.name, at=now,
            alone=False,
        )  # fmt: skip
        if new:
            details = {"run_id": run.id, "source": Path(asked.source).name, "version": version}
            audit.append(conn, actor=actor.name, act="ask to score", target=model, details=details, at=now)
    return run


def score_step(ctx: Context) -> Output:
    """The one step of the job. Done twice, it goes on where the first time stopped."""
    asked = msgspec.convert(ctx.run.arguments, Asked)
    if _begun_before(ctx):
        # Killed just after the result took its place, it would find its own file in its way.
        asked = msgspec.structs.replace(asked, overwrite=True)
    ctx.say(f"{_BEGUN}{Path(asked.source).name} with version {asked.version}{asked.note}")
    task = Task(
        workspace=str(ctx.workspace.root), model=ctx.run.model, asked=asked, actor=ctx.run.requested_by
    )  # fmt: skip
    done = ctx.heavy(KIND, task, Done)
    ctx.say(done.sentence)
    output: dict[str, Any] = msgspec.to_builtins(done)
    return output


def score(task: Task, say: Say) -> Done:
    """Score what the task says, in this process. say : takes how far it is, now and then."""
    from pilothouse.ops.batch.entry import score as score_rows
    from pilothouse.ops.house import House

    workspace = Workspace.open(task.workspace)
    actor = Actor(name=task.actor, roles=frozenset({Right.OPERATOR}))
    house, asked = House(workspace, load_settings(workspace.settings_file), actor), task.asked
    try:
        report = score_rows(
            house[task.model], asked.source, asked.out, version=asked.version, id=asked.id, key=asked.key, at=asked.at,
            entity=asked.entity, time_format=asked.time_format, log=asked.log, prefix=asked.prefix,
            overwrite=asked.overwrite, tell=_now_and_then(say),
        )  # fmt: skip
    finally:
        house.close()
    counts, aside = report.counts, report.bad_rows
    return Done(
        out=str(report.out), sentence=report.sentence, version=report.version, read=counts.read, scored=counts.scored,
        set_aside=counts.set_aside, logged=counts.logged, bad_rows=None if aside is None else str(aside),
    )  # fmt: skip


def _now_and_then(say: Say) -> Callable[[Any], None]:
    import time

    told = 0.0

    def tell(progress: Any) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_EVERY_S:
            told = time.monotonic()
            of = f" of {progress.rows:,}" if progress.rows else ""
            say(f"{progress.read:,}{of} rows")

    return tell


def _begun_before(ctx: Context) -> bool:
    with ctx.state.read() as conn:
        return any(line.text.startswith(_BEGUN) for line in runs.log_lines(conn, ctx.run.id))
