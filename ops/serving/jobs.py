"""Batches over HTTP: asked for here, scored by the worker, looked at and fetched here."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from starlette.types import Scope
from uuid6 import uuid7

from pilothouse.data.errors import BadRows, Fault, NoResult, NotJson, PilothouseError, UnknownRun
from pilothouse.data.state import runs
from pilothouse.data.state.keys import PREDICT
from pilothouse.data.state.runs import Run, RunState, Step
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, local_operator
from pilothouse.ops.answers import Problem
from pilothouse.ops.batch.inbox import in_inbox, result_file, take_in
from pilothouse.ops.batch.jobs import KIND, Asked, request_score
from pilothouse.ops.serving.checks import MAX_VERSION
from pilothouse.ops.serving.exchange import CLOSE, JSON, Answer, FileAnswer, HttpRefusal, check_json, json_answer
from pilothouse.ops.serving.models import Models
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.routes import ANY_KEY, Route

PARQUET, CSV = b"application/vnd.apache.parquet", b"text/csv"
_UPLOADS = {PARQUET: ".parquet", CSV: ".csv"}
_FORMATS = {"parquet": PARQUET, "csv": CSV}
_ID = re.compile(r"[0-9a-f-]{36}")


class BatchBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request for a batch. input : a file of the inbox. format : of the result. The rest as in `score`."""

    input: str
    format: str = "parquet"
    # A whole number may be written as 3.0.
    version: Annotated[float, msgspec.Meta(ge=1, le=MAX_VERSION, multiple_of=1)] | None = None
    id: str | None = None
    key: tuple[str, ...] = ()
    at: str | None = None
    entity: str | None = None
    time_format: str | None = None
    log: bool = True
    prefix: str = ""


class JobRoutes:
    """The addresses of batches, over one workspace."""

    def __init__(self, workspace: Workspace, state: State, models: Models, clock: Clock) -> None:
        self._workspace, self._state, self._models, self._clock = workspace, state, models, clock

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where it is no address of a batch."""
        match path.split("/"):
            case ["", "models", name, "batch"]:
                return Route(
                    method="POST", template="/models/{name}/batch", act=self._ask, scope=PREDICT, model=name,
                    takes=_check_type,
                )  # fmt: skip
            case ["", "jobs", job]:
                return Route(method="GET", template="/jobs/{id}", act=partial(self._look, job), scope=ANY_KEY)
            case ["", "jobs", job, "result"]:
                act = partial(self._fetch, job)
                return Route(method="GET", template="/jobs/{id}/result", act=act, scope=ANY_KEY)
        return None

    async def _ask(self, call: Call) -> Answer:
        self._models.served(call.model)
        run = await asyncio.to_thread(self._requested, call)
        location = f"/jobs/{run.id}"
        return json_answer({"id": run.id, "state": str(run.state)}, 202, ((b"location", location.encode()),))

    async def _look(self, job: str, call: Call) -> Answer:
        run, step = await asyncio.to_thread(self._found, job, call)
        return json_answer(_told(run, step))

    async def _fetch(self, job: str, call: Call) -> Answer:
        run, _ = await asyncio.to_thread(self._found, job, call)
        file = Path(run.arguments["out"])
        if run.state is not RunState.SUCCEEDED or not file.is_file():
            raise NoResult(run.id, "gone" if run.state is RunState.SUCCEEDED else str(run.state))
        named = f'attachment; filename="{run.model}-{run.id}{file.suffix}"'
        headers = ((b"content-disposition", named.encode()),)
        return FileAnswer(status=200, content_type=_FORMATS[file.suffix[1:]], headers=headers, file=file)

    def _requested(self, call: Call) -> Run:
        job, suffix = str(uuid7()), _UPLOADS.get(_media(call))
        if suffix is None:
            asked = _body(call.body)
            source, out = in_inbox(self._workspace, asked.input), f".{asked.format}"
        else:
            asked, out = BatchBody(input="", format=suffix[1:]), suffix
            source = take_in(self._workspace, job, suffix, call.body)
        version = None if asked.version is None else int(asked.version)
        chosen = Asked(
            source=str(source), out=str(result_file(self._workspace, job, out)), version=version, id=asked.id,
            key=asked.key, at=asked.at, entity=asked.entity, time_format=asked.time_format, log=asked.log,
            prefix=asked.prefix,
        )  # fmt: skip
        try:
            return request_score(self._state, _actor(call), call.model, chosen, self._clock, run_id=job)
        except PilothouseError:
            if suffix is not None:
                source.unlink()
            raise

    def _found(self, job: str, call: Call) -> tuple[Run, Step]:
        """A job with whose model the call's key may predict. Raises UnknownRun, HttpRefusal (403)."""
        if not _ID.fullmatch(job):
            raise UnknownRun("")
        with self._state.read() as conn:
            run = runs.get(conn, job)
            if run.kind != KIND:
                raise UnknownRun(job)
            (step,) = runs.steps(conn, job)
        call.check_scope(PREDICT + run.model)
        return run, step


def _told(run: Run, step: Step) -> dict[str, Any]:
    done = run.outcome or {}
    rows = {name: done[name] for name in ("read", "scored", "set_aside", "logged")} if done else None
    link = f"/jobs/{run.id}/result" if run.state is RunState.SUCCEEDED else None
    # The reason names files of this machine: who asked is told that there is one.
    error = "The batch failed. Whoever runs the service finds the reason with `pilothouse runs`." if run.error else None
    progress = step.message if run.state is RunState.RUNNING and step.message.endswith(" rows") else None
    return {
        "id": run.id, "model": run.model, "version": run.arguments["version"], "state": str(run.state),
        "progress": progress, "rows": rows, "result": link, "error": error,
        "requested_at": run.requested_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }  # fmt: skip


def _body(content: bytes) -> BatchBody:
    try:
        body = msgspec.json.decode(content, type=BatchBody)
    except msgspec.ValidationError as error:
        raise BadRows([_fault(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson("the body is not JSON") from None
    if body.format not in _FORMATS:
        raise BadRows([Fault("/format", f"must be {' or '.join(_FORMATS)}")])
    return body


def _fault(said: str) -> Fault:
    """What msgspec says of types and names, never of values, with its path as a pointer.

    >>> _fault("Expected `str`, got `int` - at `$.key[...]`").pointer
    '/key'
    """
    what, _, path = said.partition(" - at ")
    found = re.match(r"`\$\.(\w+)", path)
    return Fault(f"/{found[1]}" if found else "", what[:200])


def _actor(call: Call) -> Actor:
    """Who asks: the caller that the key names, or whoever sits at this machine."""
    if call.caller is None:
        return local_operator()
    return Actor(name=call.caller, roles=frozenset({Right.OPERATOR}))


def _media(call: Call) -> bytes:
    return next((value.strip().lower() for name, value in call.headers if name == b"content-type"), JSON)


def _check_type(scope: Scope) -> None:
    """JSON, or a file of one of the kinds that are taken. Raises HttpRefusal (415)."""
    given = [value.strip().lower() for name, value in scope["headers"] if name == b"content-type"]
    encoded = any(name == b"content-encoding" for name, _ in scope["headers"])
    if len(given) == 1 and given[0] in _UPLOADS and not encoded:
        return
    try:
        check_json(scope)
    except HttpRefusal as refusal:
        taken = ", ".join(kind.decode() for kind in _UPLOADS)
        detail = f"The body must be JSON that names a file of the inbox, or the file itself: {taken}, not compressed."
        raise HttpRefusal(Problem(status=415, kind=refusal.problem.kind, detail=detail), CLOSE) from None
