"""The composition root: a workspace opened by an actor, with everything she may do in it.

`House` and `ModelHandle` hand each call to the function that does it; page, notebook, command line and worker all
come through here, so that they cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pilothouse.data.history.history import History
from pilothouse.data.history.results import Event, EventKind, Rows
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.settings import Settings, load_settings
from pilothouse.data.signature import Task
from pilothouse.data.state import audit, catalog, deployments, processes, runs
from pilothouse.data.state.audit import AuditRow
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.runs import LogLine, Run, RunState, Step
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock, Window, as_utc, parse_window, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, local_operator
from pilothouse.ops.registry import Registry
from pilothouse.ops.releases.switch import Releases, SwitchProof

DEMO_FILE = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNote:
    """What the pages must say of a demo workspace: that its times were moved, and that its traffic is sped up."""

    until: datetime
    shift_weeks: int
    sentence: str


class House:
    """One workspace, one actor. Cheap to make; connections are opened when they are first needed."""

    def __init__(self, workspace: Workspace, settings: Settings, actor: Actor, clock: Clock = utc_now) -> None:
        self.workspace, self.settings, self.actor, self.clock = workspace, settings, actor, clock
        self.store = Store(workspace.store)

    @classmethod
    def open(cls, path: Path | str, actor: Actor | None = None, clock: Clock = utc_now, **settings: object) -> House:
        """The house in the workspace at `path`. Who can read its files is its local operator, unless `actor` says else."""
        workspace = Workspace.open(path)
        loaded = load_settings(workspace.settings_file, **settings)
        return cls(workspace, loaded, actor or local_operator(), clock)

    @cached_property
    def state(self) -> State:
        return State.open(self.workspace.state_url)

    @cached_property
    def releases(self) -> Releases:
        return Releases(self.workspace, self.state, self.clock)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.workspace, self.state, self.store, self.clock)

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
        self, name: str, model: Any, *, reference: Any, target: str, task: str = "binary", **options: Any
    ) -> VersionRow:
        """Register a fitted scikit-learn `model` as `name` and make it the champion.

        reference : polars, pandas or Arrow frame of labelled rows held out from training, with the column `target`.
        Options are those of `Registry.register_model`.
        """
        return self.registry.register_model(
            self.actor, name, model, reference=as_polars(reference), target=target, task=Task(task), **options
        )

    def processes(self) -> tuple[ProcessRow, ...]:
        """What is running now: service workers, the worker."""
        with self.state.read() as conn:
            return tuple(processes.live(conn, None, self.clock()))

    @property
    def service_url(self) -> str | None:
        """Where the service answers, or None when none is running."""
        return next((p.url for p in self.processes() if p.kind == "service" and p.url), None)

    def runs(self, model: str | None = None, limit: int = 50) -> tuple[Run, ...]:
        with self.state.read() as conn:
            return tuple(runs.list_runs(conn, model, limit))

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

    @property
    def demo(self) -> DemoNote | None:
        """What to say of the demo's data; None in any other workspace."""
        file = self.workspace.root / DEMO_FILE
        if not file.exists():
            return None
        facts = json.loads(file.read_text())
        return DemoNote(
            until=datetime.fromisoformat(facts["until"]),
            shift_weeks=facts["shift_weeks"],
            sentence=facts["sentence"],
        )


class ModelHandle:
    """One model of a house: its past, and what can be done with it."""

    def __init__(self, house: House, row: ModelRow) -> None:
        self.house, self.row = house, row

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def task(self) -> Task:
        return self.row.task

    @property
    def signature(self) -> Any:
        return self.row.signature

    @cached_property
    def log(self) -> PredictionLog:
        return PredictionLog(self.house.workspace, self.name, self.row.signature, self.row.label_policy)

    @cached_property
    def profile(self) -> Profile:
        return Profile.load(self.house.workspace.reference(self.name, self.row.profile_id))

    @cached_property
    def history(self) -> History:
        return History(
            self.house.workspace, self.name, self.row.signature, self.profile, self.row.label_policy,
            self.house.settings, self.log, self.house.clock,
        )  # fmt: skip

    def window(self, text: str) -> Window:
        """`7d`, `24h`, `8w` back from the data's end, or `START/END`. Raises InvalidWindow."""
        return parse_window(text, self.data_end() or self.house.clock())

    def data_end(self) -> datetime | None:
        return self.history.data_end()

    def rows(self, window: Window, limit: int = 100) -> Rows:
        return self.history.rows(window, limit)

    @property
    def versions(self) -> tuple[VersionRow, ...]:
        """Newest first."""
        with self.house.state.read() as conn:
            return tuple(catalog.list_versions(conn, self.name))

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """Every change of champion, newest first."""
        with self.house.state.read() as conn:
            return tuple(deployments.history(conn, self.name))

    @property
    def champion(self) -> VersionRow | None:
        with self.house.state.read() as conn:
            live = deployments.current(conn, self.name)
            return catalog.get_version(conn, self.name, live.version) if live else None

    @property
    def epoch(self) -> int:
        """The number a decision rests on: it changes with every promotion and roll back. 0 before the first."""
        with self.house.state.read() as conn:
            live = deployments.current(conn, self.name)
        return live.seq if live else 0

    def at(self, time: datetime) -> Deployment | None:
        """Which version was live at `time`, since when, by whom and why; None when none was."""
        with self.house.state.read() as conn:
            return deployments.live_at(conn, self.name, as_utc(time))

    def promote(self, version: int, *, reason: str, expected_epoch: int | None = None) -> Deployment:
        """Make `version` the champion. See `Releases.promote`."""
        return self.house.releases.promote(
            self.house.actor, self.name, version, reason=reason, expected_epoch=expected_epoch
        )

    def rollback(self, to: int | None = None, *, reason: str, expected_epoch: int | None = None) -> Deployment:
        """Return to the champion before this one, or to `to`. See `Releases.roll_back`."""
        return self.house.releases.roll_back(
            self.house.actor, self.name, to, reason=reason, expected_epoch=expected_epoch
        )

    def rollback_target(self) -> int | None:
        return self.house.releases.rollback_target(self.name)

    def switch_proof(self, deployment: Deployment) -> tuple[SwitchProof, ...]:
        return self.house.releases.proof(deployment.seq, deployment.at)

    def runs(self, limit: int = 50) -> tuple[Run, ...]:
        return self.house.runs(self.name, limit)

    def events(self, window: Window | None = None) -> tuple[Event, ...]:
        """What happened to the model, newest first: registrations, promotions, roll backs, retrains."""
        found = [*map(_deployment_event, self.deployments), *_retrain_events(self.runs())]
        inside = [e for e in found if window is None or e.at in window]
        return tuple(sorted(inside, key=lambda e: e.at, reverse=True))


def _deployment_event(row: Deployment) -> Event:
    kind = EventKind.ROLLBACK if row.act == "rollback" else EventKind.PROMOTE
    title = f"v{row.version} rolled back to" if kind is EventKind.ROLLBACK else f"v{row.version} promoted"
    return Event(
        at=row.at, kind=kind, title=title, actor=row.actor, detail=row.reason,
        audit_seq=row.audit_seq, version=row.version,
    )  # fmt: skip


def _retrain_events(found: Sequence[Run]) -> list[Event]:
    return [
        Event(
            at=run.finished_at, kind=EventKind.RETRAIN, title=f"retrained: {run.verdict}", actor=run.requested_by,
            version=run.version,
        )
        for run in found
        if run.state is RunState.SUCCEEDED and run.finished_at is not None
    ]  # fmt: skip


def as_polars(frame: Any) -> pl.DataFrame:
    """A polars frame from a polars, pandas or Arrow one."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    return pl.from_pandas(frame) if hasattr(frame, "iloc") else pl.DataFrame(frame)
