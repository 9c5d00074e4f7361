"""What the service does: predict, take labels, take predictions made elsewhere. Parse, score, log, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from pilothouse.data.errors import BadRows, DiskFull, Fault, LogBusy, LogUnavailable, PilothouseError, VersionNotLive
from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.ids import new_ids
from pilothouse.data.log.room import Limits
from pilothouse.data.log.schema import Role, Status
from pilothouse.data.log.spool import Durability, Entry, Spool
from pilothouse.data.settings import ANSWER_UNLOGGED, Settings
from pilothouse.data.signature import Signature
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.scoring import trust_checked_input
from pilothouse.ops.serving.arrow import ASKED, as_json
from pilothouse.ops.serving.batching import Answered, Batcher, OtherForm
from pilothouse.ops.serving.beside import Besides
from pilothouse.ops.serving.bodies import Asked, Elsewhere, Told, micros, version_told
from pilothouse.ops.serving.exchange import Answer, Header, json_answer
from pilothouse.ops.serving.figures import ServiceFigures
from pilothouse.ops.serving.framed import Framed, columns_of, framed
from pilothouse.ops.serving.given import Given, predictions_of
from pilothouse.ops.serving.loader import Loader
from pilothouse.ops.serving.metrics import Metrics
from pilothouse.ops.serving.models import Form, LiveModel, Models, Served, Switched
from pilothouse.ops.serving.pulse import Pulse
from pilothouse.ops.serving.records import check_finite, class_scores, kept, optional_scores
from pilothouse.ops.serving.shadows import Shadows
from pilothouse.ops.serving.writing import Writing

SPOOL_KIND = "service"
_log = logging.getLogger("pilothouse.service")


class Serving:
    """One service process. `start` takes a place in the log and loads the models; `stop` gives both back."""

    def __init__(
        self,
        workspace: Workspace,
        state: State,
        settings: Settings,
        *,
        process: ProcessRow,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.models = Models(workspace, state, clock, settings.max_rows)
        self.metrics = metrics
        self._state, self._settings, self._clock = state, settings, clock
        self._spool_folder = workspace.spool
        self._durability = Durability(settings.durability)
        self._spool: Spool | None = None
        self._writing: Writing | None = None
        self._batchers: dict[str, Batcher] = {}
        self._shadows = Shadows(self._submit, metrics.shadowed, most_rows=settings.shadow_queue_rows, clock=clock)
        self._beside = Besides(self, self._shadows, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring", initializer=trust_checked_input)
        self._pulse = Pulse(state, process, clock, self._details)
        self._loader = Loader(
            self.models, state, process_id=process.id, lock_file=_lock_file(workspace), clock=clock,
            followed=self._followed, looked=metrics.tell, place=lambda: self._place, loaded=metrics.loaded,
        )  # fmt: skip
        self._place: str | None = None
        metrics.also(ServiceFigures(workspace, self.models, clock))

    @property
    def ready(self) -> bool:
        return self._spool is not None

    @property
    def failed(self) -> dict[str, dict[str, str]]:
        """What stands against the versions that this process could not load, by model and version."""
        return self._loader.failed

    def start(self) -> None:
        self._loader.start()
        self._spool = Spool.open(
            self._spool_folder, SPOOL_KIND, self._settings.durability, limits=Limits.of(self._settings),
            committed=self.metrics.committed,
        )  # fmt: skip
        self._writing = Writing(self._spool)
        self._place = self._spool.id
        self._shadows.start()
        self._pulse.start()

    def stop(self) -> None:
        """Every answer given is in the log when this returns."""
        self._shadows.stop()
        spool, self._spool, self._writing = self._spool, None, None
        self._pulse.stop()
        self._loader.stop()
        self._thread.shutdown()
        if spool is not None:
            spool.close()
        self.models.close()
        self._state.close()

    async def predict(self, name: str, body: bytes, caller: str | None = None) -> Answer:
        """Score the rows in `body` and log them. caller : whose key the request carried.

        Raises UnknownModel, NotJson, BadRows, NoChampion, ModelNotLoaded, or LogUnavailable: no answer without its row.
        """
        return self._said(await self.answered(name, body, caller))

    async def answered(self, name: str, body: bytes, caller: str | None = None, *, version: int | None = None) -> Given:
        """What `predict` answers, as values: every protocol says it in its own words.

        version : the only one whose answer will do; None for whichever is live. Raises what `predict` raises, and
        VersionNotLive, of which nothing is logged.
        """
        began, served = perf_counter(), self.models.served(name)
        try:
            asked = await self._read(served, body)
            if served.beside is not None:
                return await self._beside.answered(served, asked, began, caller, version)
            answered = await self.scored_rows(served, asked, began, caller)
        except OtherForm:
            # The champion was replaced in between by one that takes its features otherwise.
            return await self.answered(name, body, caller, version=version)
        if version not in (None, answered.by.version):
            raise VersionNotLive(name, version, answered.by.version)
        check_finite(answered.scored)
        now = self._clock()
        ids = asked.ids or new_ids(len(asked.rows), now)
        entry = PredictionEntry(
            version=answered.by.version, ids=ids, predictions=answered.scored.prediction,
            scores=optional_scores(answered.scored), class_scores=class_scores(answered.scored), logged_at=micros(now),
            latency_us=int((perf_counter() - began) * 1e6), **kept(answered.by.form, asked, caller),
        )  # fmt: skip
        logged = await self.logged(entry.entry(name, caller_ids=asked.ids is not None))
        self.metrics.took(name, "predictions" if logged else "unlogged", len(ids))
        return Given(by=answered.by, scored=answered.scored, ids=ids, logged=logged)

    async def predict_arrow(self, name: str, body: bytes, caller: str | None = None) -> Answer:
        """What `predict` does, for rows that come as an Arrow stream. Raises what `predict` raises."""
        began, served = perf_counter(), self.models.served(name)
        live, found = served.live(), None
        if served.beside is None and live.form.door.open:
            asking = partial(self._framed, live, body, began, caller)
            found = await asyncio.get_running_loop().run_in_executor(self._thread, asking)
        if found is None:
            rows = await asyncio.to_thread(as_json, body, served.form.signature, self._settings.max_rows, ASKED)
            return await self.predict(name, rows, caller)
        logged = all(await asyncio.gather(*(self.logged(entry) for entry in found.entries)))
        self.metrics.took(name, "predictions" if logged else "unlogged", len(found.ids))
        return self._said(Given(by=live, scored=found.scored, ids=found.ids, logged=logged))

    def _framed(self, live: LiveModel, body: bytes, began: float, caller: str | None) -> Framed | None:
        """What `live` says to the columns in `body`; None for what has to be looked at row by row."""
        asked = columns_of(body, live.form.signature, self._settings.max_rows)
        if asked is None:
            return None
        try:
            found = framed(live, asked, began, caller, self._clock)
        except Exception:
            # Row by row it fails again, and is logged and told as any other request on which the model fails.
            _log.warning("%s version %d failed on columns", live.name, live.version, exc_info=True)
            return None
        check_finite(found.scored)
        return found

    def _said(self, given: Given) -> Answer:
        return json_answer(
            predictions_of(given), headers=self.marks(given), rows=len(given.ids), version=given.by.version
        )

    def marks(self, given: Given) -> tuple[Header, ...]:
        """The headers that say which version answered, or which ones did, and how safe its rows are."""
        said = b"%d" % given.by.version
        if given.versions is not None:
            said = ", ".join(map(str, sorted(set(given.versions)))).encode()
        return (self._durable(logged=given.logged), (b"x-pilothouse-version", said))

    async def _read(self, served: Served, body: bytes) -> Asked:
        bodies = served.form.bodies
        asked = bodies.predict(body)
        if asked is None:
            raise await _named(bodies.predict_refusal, body)
        _check_model(asked, served.name)
        return asked

    async def scored_rows(self, served: Served, asked: Asked, began: float, caller: str | None) -> Answered:
        """What the champion says to the rows of `asked`."""
        try:
            return await self._batcher(served.name).score(asked.rows, served.form)
        except (PilothouseError, OtherForm):
            raise
        except Exception:
            live = self.models.live(served.name)
            if live.form is served.form:
                await self.log_failed(live, Role.CHAMPION, asked, began, caller)
            raise

    async def feedback(self, name: str, body: bytes, caller: str | None = None) -> Answer:
        """Take the labels in `body`. Whose they are is found out later. Raises what `predict` raises."""
        bodies = self.models.served(name).form.bodies
        told = bodies.labels(body)
        if told is None:
            raise await _named(bodies.labels_refusal, body)
        await self._keep(self._label_entry(told, caller).entry(name))
        return self._taken(name, "labels", len(told))

    async def log(self, name: str, body: bytes, caller: str | None = None) -> Answer:
        """Take predictions made elsewhere, from `caller`. Raises what `predict` raises, and UnknownVersion."""
        served = self.models.served(name)
        found = _elsewhere(served, body)
        if found is None:
            raise await _named(partial(_elsewhere_refusal, served), body)
        form, given = found
        asked, now = given.asked, self._clock()
        _check_model(asked, name)
        entry = PredictionEntry(
            version=await self._version(served, given.version), ids=asked.ids or new_ids(len(asked.rows), now),
            predictions=given.predictions, scores=given.scores, class_scores=given.class_scores,
            latencies_us=given.latency_us, logged_at=micros(now),
            **kept(form, asked, caller),
        )  # fmt: skip
        await self._keep(entry.entry(name, caller_ids=asked.ids is not None))
        return self._taken(name, "logged", len(asked.rows))

    async def log_arrow(self, name: str, body: bytes, caller: str | None = None) -> Answer:
        """Take predictions made elsewhere that come as an Arrow stream. Raises what `log` raises."""
        forms = self.models.served(name).forms.values()
        rows = await asyncio.to_thread(as_json, body, _any_of(forms), self._settings.max_rows)
        return await self.log(name, rows, caller)

    def list_models(self) -> Answer:
        models = [_summary(served) for served in self.models.all.values()]
        return json_answer({"models": models})

    def describe(self, name: str) -> Answer:
        """What `name` takes, gives and runs on, with an example. Raises UnknownModel."""
        served = self.models.served(name)
        row = served.champion.row if served.champion else None
        signature = served.form.signature
        target = signature.target
        facts = {
            "artifact_sha256": row.artifact_sha256 if row else None,
            "runtime": row.runtime if row else None,
            "answers_with": row.answers_with if row else None,
            "signature": [{"name": f.name, "type": str(f.kind), "nullable": f.nullable} for f in signature.features],
            "target": {"name": target.name, "type": str(target.kind), "classes": list(target.classes)},
            "example": served.form.example,
        }
        return json_answer(_summary(served) | facts)

    async def log_failed(self, live: LiveModel, role: Role, asked: Asked, began: float, caller: str | None) -> None:
        """Log rows on which the model itself failed, under ids of our own: the caller may well send hers again."""
        self.metrics.failed(live.name)
        now, count = self._clock(), len(asked.rows)
        entry = PredictionEntry(
            version=live.version, role=role, ids=new_ids(count, now), predictions=[None] * count,
            logged_at=micros(now), latency_us=int((perf_counter() - began) * 1e6), status=Status.ERROR,
            **kept(live.form, asked, caller),
        )  # fmt: skip
        await self._keep(entry.entry(live.name, caller_ids=False))

    async def logged(self, entry: Entry) -> bool:
        """Log `entry`; False when that failed and the settings prefer an answer without its row to none."""
        try:
            await self._keep(entry)
        except (LogUnavailable, LogBusy, DiskFull):
            if self._settings.disk_full != ANSWER_UNLOGGED:
                raise
            return False
        return True

    async def _keep(self, entry: Entry) -> None:
        if self._writing is None:
            raise LogUnavailable("the service is ending")
        await self._writing.keep(entry)

    def _submit(self, entry: Entry) -> Future[None]:
        if self._spool is None:
            raise LogUnavailable("the service is ending")
        return self._spool.submit(entry)

    def _label_entry(self, told: list[Told], caller: str | None) -> LabelEntry:
        now = micros(self._clock())
        return LabelEntry(
            labels=[t.label for t in told],
            observed_at=[now if t.observed_at is None else micros(t.observed_at) for t in told],
            recorded_at=now,
            ids=[t.id for t in told],
            keys=[t.key for t in told],
            source=caller,
        )

    async def _version(self, served: Served, version: int | None) -> int:
        if version is None:
            return served.champion_version()
        if version == served.version:
            return version
        return (await asyncio.to_thread(self.models.version_row, served.name, version)).version

    def _batcher(self, name: str) -> Batcher:
        if name not in self._batchers:
            self._batchers[name] = self.batcher(lambda: self.models.live(name))
        return self._batchers[name]

    def batcher(self, live: Callable[[], LiveModel]) -> Batcher:
        return Batcher(live, self._thread, self._settings.max_rows)

    def _taken(self, name: str, kind: str, rows: int) -> Answer:
        self.metrics.took(name, kind, rows)
        return json_answer({"accepted": rows}, status=202, headers=(self._durable(),), rows=rows)

    def _durable(self, *, logged: bool = True) -> Header:
        word = (b"durable" if self._durability is Durability.FULL else b"accepted") if logged else b"unlogged"
        return b"x-pilothouse-durability", word

    def _details(self) -> dict[str, Any]:
        """What the process says of itself with every beat."""
        beside = {name: served.beside for name, served in self.models.all.items() if served.beside}
        return {
            "models": self.models.versions(),
            "epoch": self.models.epoch,
            "canaries": {name: b.canary.live.version for name, b in beside.items() if b.canary},
            "shadows": self._shadows.tallies(),
            "failed": self.failed,
        }

    def _followed(self, switched: list[Switched]) -> None:
        adopted_s = [max(0.0, (each.at - each.flipped_at).total_seconds()) for each in switched]
        self.metrics.followed(self.models.versions(), self.models.warm(), adopted_s)
        self.metrics.aims(self.models.objectives)


async def _named(refusal: Callable[[bytes], PilothouseError], body: bytes) -> PilothouseError:
    """The error that names all faults of `body`; found in a thread, for a large body has many."""
    return await asyncio.to_thread(refusal, body)


def _check_model(asked: Asked, name: str) -> None:
    if asked.model is not None and asked.model != name:
        raise BadRows([Fault("/model", f"must be {name}, the model of this address, or be left out")])


def _elsewhere(served: Served, body: bytes) -> tuple[Form, Elsewhere] | None:
    """The predictions in `body` as the version that made them takes its features, and how they were read."""
    forms = dict.fromkeys([served.form, *served.forms.values()])
    for form in forms:
        given = form.bodies.elsewhere(body)
        if given is not None and served.form_of(served.version if given.version is None else given.version) is form:
            return form, given
    return None


def _any_of(forms: Collection[Form]) -> Signature:
    """A signature with every feature that one of `forms` has."""
    features = {feature.name: feature for form in forms for feature in form.signature.features}
    return replace(next(iter(forms)).signature, features=tuple(features.values()))


def _elsewhere_refusal(served: Served, body: bytes) -> PilothouseError:
    """What stands against `body`, by the features of the version that it names, or of the champion."""
    version = version_told(body)
    form = served.form if version is None else served.form_of(version)
    return form.bodies.elsewhere_refusal(body)


def _summary(served: Served) -> dict[str, Any]:
    return {"name": served.name, "version": served.version, "task": str(served.model.task)}


def _lock_file(workspace: Workspace) -> Path:
    return workspace.run / "loader.lock"
