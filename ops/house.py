"""The composition root: a workspace opened by an actor, with everything she may do in it.

`House` and `ModelHandle` hand each call to the function that does it; page, notebook, command line and worker all
come through here, so that they cannot differ.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pilothouse.data.errors import Unavailable
from pilothouse.data.log.scrub import DamagedPart, known_damage
from pilothouse.data.settings import Settings, load_settings
from pilothouse.data.signature import Task
from pilothouse.data.state import audit, catalog, checks, processes, runs, schedules
from pilothouse.data.state.audit import AuditRow
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.state.checks import LiveCheck
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.runs import LogLine, Run, Step
from pilothouse.data.state.schedules import Schedule
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, local_operator
from pilothouse.ops.frames import as_polars
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.references import USUAL, Terms
from pilothouse.ops.registry import Registry
from pilothouse.ops.releases.switch import Releases
from pilothouse.ops.releases.trials import Trials
from pilothouse.ops.runtimes.conversion import converter_of
from pilothouse.ops.runtimes.own import NONE, Own

if TYPE_CHECKING:
    from pilothouse.data.copies.take import Tell
    from pilothouse.ops.backup.backup import Backup, LastBackup
    from pilothouse.ops.governance.keys import Keys
    from pilothouse.ops.preflight import Preflight

if TYPE_CHECKING:
    from pilothouse.ops.imports.report import ImportReport, Preview

DEMO_FILE = "demo.json"
_CATCH_UP_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNote:
    """What the pages must say of a demo workspace: that its times were moved, and that its traffic is sped up."""

    until: date
    shift_weeks: int
    sentence: str
    live: bool


class House:
    """One workspace, one actor. Cheap to make; connections are opened when they are first needed."""

    def __init__(self, workspace: Workspace, settings: Settings, actor: Actor, clock: Clock = utc_now) -> None:
        self.workspace, self.settings, self.actor, self.clock = workspace, settings, actor, clock
        self.store = Store(workspace.store)

    @classmethod
    def open(cls, path: Path | str, actor: Actor | None = None, clock: Clock = utc_now) -> Self:
        """The house in the workspace at `path`, for `actor`, or for the local operator that its files' reader is."""
        workspace = Workspace.open(path)
        loaded = load_settings(workspace.settings_file)
        return cls(workspace, loaded, actor or local_operator(), clock)

    @cached_property
    def state(self) -> State:
        return State.of(self.workspace, self.settings)

    @cached_property
    def releases(self) -> Releases:
        return Releases(self.workspace, self.state, self.clock)

    @cached_property
    def trials(self) -> Trials:
        return Trials(self.workspace, self.state, self.settings.max_shadows, self.clock)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.workspace, self.state, self.store, self.clock, converter_of(self.workspace, self.settings))

    @property
    def keys(self) -> Keys:
        """The API keys of the service: `create`, `list`, `rotate`, `revoke`."""
        from pilothouse.ops.governance.keys import Keys

        return Keys(self.state, self.actor, self.clock)

    def models(self) -> list[str]:
        """Names of the registered models, sorted."""
        with self.state.read() as conn:
            return [model.name for model in catalog.list_models(conn)]

    def __getitem__(self, name: str) -> ModelHandle:
        """Raises UnknownModel."""
        with self.state.read() as conn:
            return ModelHandle(self, catalog.get_model(conn, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.models())

    def __contains__(self, name: object) -> bool:
        return name in self.models()

    def register(
        self,
        name: str,
        model: Any,
        *,
        reference: Any,
        target: str,
        task: str = "binary",
        own: Own = NONE,
        **options: Any,
    ) -> VersionRow:
        """Register `model` as `name` and make it the champion.

        model : a fitted scikit-learn model, the path of a file that holds one, or `module:object` of own code.
        own : code that comes with it. See `ops.runtimes.taking.take`, also for what is raised.
        reference : polars, pandas or Arrow frame of labelled rows held out from training, with the column `target`.
        Options are those of `Registry.register_model`, and the fields of `Terms` by their own names.
        """
        return self.registry.register_model(
            self.actor, name, model, reference=as_polars(reference), target=target, task=Task(task), own=own,
            **_with_terms(options),
        )  # fmt: skip

    def monitor(
        self, name: str, *, reference: Any, target: str, task: str = "binary", **options: Any
    ) -> VersionRow:  # fmt: skip
        """Register a model that is served elsewhere: its predictions are logged and measured here, not made.

        reference : labelled rows with the features, the column `target` and, if there is one, the model's `score`.
        Options are those of `Registry.register_monitored`, and the fields of `Terms` by their own names.
        """
        return self.registry.register_monitored(
            self.actor, name, reference=as_polars(reference), target=target, task=Task(task), **_with_terms(options)
        )

    def add_version(
        self,
        name: str,
        model: Any,
        *,
        reference: Any = None,
        trusted: Sequence[str] | None = None,
        note: str = "",
        own: Own = NONE,
    ) -> VersionRow:
        """Register `model`, which is given as in `register`, as a challenger of the model `name`.

        reference : a frame of labelled rows held out from training, for one that takes its features otherwise than the
        champion. See `Registry.register_version`, also for what is raised.
        """
        rows = None if reference is None else as_polars(reference)
        return self.registry.register_version(
            self.actor, name, model, reference=rows, trusted=trusted, note=note, own=own
        )  # fmt: skip

    def add_watched_version(self, name: str, version: int, *, reference: Any = None, note: str = "") -> VersionRow:
        """A further version of the model `name` that is served elsewhere, under the number it has there.

        reference : as in `monitor`, for one that takes its features otherwise. See `Registry.add_monitored_version`.
        """
        rows = None if reference is None else as_polars(reference)
        return self.registry.add_monitored_version(self.actor, name, version, reference=rows, note=note)

    def import_log(self, name: str, source: str | Path | Any, **options: Any) -> ImportReport:
        """Take somebody else's log of predictions into `name`, which is registered if it is not there.

        source : a path, a frame, or with `query=` the address of a database. Options are those of `entry.order_of`, the
        fields of `Wishes` by their own names, and `tell`, which is called after every chunk.
        """
        from pilothouse.ops.imports.entry import import_log

        return import_log(self, name, source, **options)

    def preview_import(self, name: str, source: str | Path | Any, **options: Any) -> Preview:
        """What `import_log` would do with the first rows. Nothing is written."""
        from pilothouse.ops.imports.entry import preview_import

        return preview_import(self, name, source, **options)

    def processes(self) -> tuple[ProcessRow, ...]:
        """What is running now: service workers, the worker."""
        with self.state.read() as conn:
            return tuple(processes.live(conn, None, self.clock()))

    @property
    def service_url(self) -> str | None:
        """Where the service answers, or None when none is running."""
        return next((p.url for p in self.processes() if p.kind == "service" and p.url), None)

    def live_check(self, model: str, version: int) -> LiveCheck | None:
        """What the original said to rows that the version's ONNX form had answered; None before the first."""
        with self.state.read() as conn:
            return checks.live_check(conn, model, version)

    def convert(self, model: str, version: int) -> VersionRow:
        """Convert a version that is registered already to ONNX. See `Registry.convert_version`."""
        return self.registry.convert_version(self.actor, model, version)

    def preflight(
        self, model: str | None = None, *, tell: Callable[[Preflight], None] = lambda _: None
    ) -> tuple[Preflight, ...]:
        """Whether versions would answer as before under the libraries installed here. See `ops.preflight.preflight`."""
        from pilothouse.ops.preflight import preflight

        return preflight(self.workspace, self.state, model, tell=tell)

    def record_versions(self, model: str | None = None) -> tuple[VersionRow, ...]:
        """Record what versions say of which nothing was recorded yet. See `ops.preflight.record_missing`."""
        from pilothouse.ops.preflight import record_missing

        return record_missing(self.workspace, self.state, self.store, model)

    def runs(self, model: str | None = None, limit: int = 50, kind: str | None = None) -> tuple[Run, ...]:
        """The newest runs first. kind : `retrain`, `score`; None for all."""
        with self.state.read() as conn:
            return tuple(runs.list_runs(conn, model, limit, kind=kind))

    def schedules(self, model: str | None = None) -> tuple[Schedule, ...]:
        """Batches by the clock, the next due first."""
        with self.state.read() as conn:
            return tuple(schedules.list_schedules(conn, model))

    def unschedule(self, schedule_id: str) -> Schedule:
        """End a schedule. Raises UnknownSchedule, NotAllowed."""
        from pilothouse.ops.batch.schedules import remove

        return remove(self, schedule_id)

    def run(self, run_id: str) -> Run:
        """Raises UnknownRun."""
        with self.state.read() as conn:
            return runs.get(conn, run_id)

    def steps(self, run_id: str) -> tuple[Step, ...]:
        with self.state.read() as conn:
            return tuple(runs.steps(conn, run_id))

    def run_log(self, run_id: str, after: int = 0) -> tuple[LogLine, ...]:
        with self.state.read() as conn:
            return tuple(runs.log_lines(conn, run_id, after))

    def cancel(self, run_id: str) -> Run:
        """Ask the worker to end a run; it becomes `cancelled` within a second or two."""
        from pilothouse.ops.pipeline.requests import cancel

        return cancel(self.state, self.actor, run_id, self.clock)

    def audit(self, model: str | None = None, limit: int = 200) -> tuple[AuditRow, ...]:
        """The newest acts first."""
        with self.state.read() as conn:
            return tuple(audit.rows(conn, model, limit))

    def verify_audit(self) -> int | None:
        """The first audit row that does not fit the chain, or None when the trail is whole."""
        with self.state.read() as conn:
            return audit.verify(conn)

    def backup(self, folder: Path | str, *, link: bool = True, tell: Tell | None = None) -> Backup:
        """Copy the workspace into `folder` while everything runs; `pilothouse.restore` makes a workspace of it again.

        Options and errors are those of `pilothouse.ops.backup.backup.back_up`.
        """
        from pilothouse.ops.backup.backup import back_up, silent

        return back_up(
            self.workspace, self.state, self.actor, Path(folder), link=link, clock=self.clock, tell=tell or silent
        )

    @property
    def last_backup(self) -> LastBackup | None:
        """The newest safety copy: when, where, how large, and whether it was read back. None when there is none."""
        from pilothouse.ops.backup.backup import last_backup

        return last_backup(self.state)

    def damage(self) -> tuple[DamagedPart, ...]:
        """Files of all tables that were found damaged."""
        with self.state.read() as conn:
            models = catalog.list_models(conn)
        return tuple(part for model in models for part in known_damage(self.workspace, model.name, model.signature))

    def catch_up(self) -> None:
        """Seal and fold whatever waits, here and now: for a workspace whose worker is not running.

        Where a worker holds the work, this waits for it, or for its lease to run out. Raises Unavailable with the
        reasons when something fails, or is not done within half a minute.
        """
        from pilothouse.ops.faults import Faults
        from pilothouse.ops.holdings import Holdings
        from pilothouse.ops.upkeep import Upkeep

        faults, holdings = Faults(), Holdings(self.state, f"{socket.gethostname()}/{os.getpid()}", self.clock)
        upkeep = Upkeep(self.workspace, self.state, self.settings, holdings, faults, self.clock, crash=lambda _: None)
        deadline = time.monotonic() + _CATCH_UP_WITHIN_S
        try:
            while upkeep.turn() or self._behind():
                if faults.listing():
                    raise Unavailable("; ".join(faults.listing()))
                if time.monotonic() > deadline:
                    raise Unavailable("Some rows are not sealed and folded yet. A worker has them in hand; try again.")
                time.sleep(_LOOK_EVERY_S)
        finally:
            holdings.release()

    def _behind(self) -> bool:
        return any(self[name].history.watermark().behind for name in self.models())

    def close(self) -> None:
        """Let go of the state store. A house is usable again afterwards."""
        self.state.close()

    @property
    def demo(self) -> DemoNote | None:
        """What to say of the demo's data; None in any other workspace."""
        file = self.workspace.root / DEMO_FILE
        if not file.exists():
            return None
        facts = json.loads(file.read_text())
        return DemoNote(
            until=datetime.fromisoformat(facts["until"]).date(),
            live=any(process.kind == "service" for process in self.processes()),
            shift_weeks=facts["shift_weeks"],
            sentence=facts["sentence"],
        )


def _with_terms(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with those that are fields of Terms put into its `terms`."""
    names = {f.name for f in fields(Terms)} & set(options)
    rest = {name: value for name, value in options.items() if name not in names}
    return rest | {"terms": replace(options.get("terms", USUAL), **{name: options[name] for name in names})}
