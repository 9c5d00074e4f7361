"""What this process answers with: one immutable value a model, swapped by reference."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

from sqlalchemy import Connection

from pilothouse.data.epoch import EpochView
from pilothouse.data.errors import BadArtifact, ModelNotLoaded, NoChampion, NotFound, NotServedHere, UnknownModel
from pilothouse.data.log.door import Door
from pilothouse.data.policies import Objective
from pilothouse.data.signature import Feature, Signature, Value
from pilothouse.data.state import catalog, deployments, epochs, trials
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.store import State
from pilothouse.data.state.trials import Trial, TrialKind
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.releases.assignment import Assignment
from pilothouse.ops.scoring import Scored, Scorer, load_scorer
from pilothouse.ops.serving.bodies import Bodies, Row
from pilothouse.ops.serving.examples import reference_example

KEPT_WARM = 3
"""Versions of a model held in memory besides those that answer or are on trial: the last three."""
QUICK_S = 0.000_25
"""Below this a row is scored on the event loop, which nothing may hold up for longer than a few milliseconds."""
_WARM_UP_CALLS = 5
_SHOWN_OF_A_NAME = 80

Features = tuple[Feature, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """How requests are read for the versions that take the same features. door : what is kept out of the log."""

    signature: Signature
    bodies: Bodies
    door: Door
    example: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModel:
    """One version, loaded and warm. form : how the rows that it scores were read. quick : it scores a row in no time."""

    name: str
    version: int
    row: VersionRow
    scorer: Scorer
    form: Form
    quick: bool = False

    def score(self, rows: list[Row]) -> Scored:
        """Scores for `rows`, each a tuple in the signature's order."""
        columns = zip(*rows, strict=True)
        return self.scorer.score(dict(zip(self.row.signature.names, columns, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """The version that answers those whom `assignment` holds."""

    live: LiveModel
    assignment: Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What this process has loaded of a model's trials. shadows : are asked about all rows, and answer nobody."""

    canary: Canary | None
    shadows: tuple[LiveModel, ...]

    @property
    def all(self) -> tuple[LiveModel, ...]:
        return self.shadows if self.canary is None else (self.canary.live, *self.shadows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the state store says of all models at one moment. seq : its newest number; a lower one is an older picture."""

    seq: int = -1
    due: Mapping[str, Deployment] = field(default_factory=dict)
    trials: Mapping[str, list[Trial]] = field(default_factory=dict)

    @classmethod
    def read(cls, conn: Connection) -> Standing:
        return cls(
            seq=epochs.newest_seq(conn), due=deployments.all_current(conn), trials=trials.all_running(conn)
        )  # fmt: skip

    def versions(self) -> Iterator[tuple[str, int]]:
        """Every version that answers or is on trial, champions first."""
        yield from ((name, deployed.version) for name, deployed in self.due.items())
        yield from ((name, trial.version) for name, running in self.trials.items() for trial in running)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A registered model as this process stands to it.

    champion : the version that answers here; None when the model has none, or it could not be loaded.
    due : the deployment in force, which `champion` follows as soon as it is loaded.
    watched : versions that have no artifact: they answer elsewhere, and are only logged here.
    forms : by the features that versions of the model take. beside : None unless a trial runs and is loaded here.
    """

    model: ModelRow
    forms: Mapping[Features, Form]
    champion: LiveModel | None = None
    due: Deployment | None = None
    watched: frozenset[int] = frozenset()
    beside: Beside | None = None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def form(self) -> Form:
        """How requests to the champion are read; those to the newest version as long as there is none."""
        if self.champion is not None:
            return self.champion.form
        return self.form_of(None if self.due is None else self.due.version)

    def form_of(self, version: int | None) -> Form:
        """How rows of `version` are read; None for the newest."""
        signature = self.model.signature
        return self.forms[(signature if version is None else signature.of_version(version)).features]

    def live(self) -> LiveModel:
        """Raises NoChampion, NotServedHere, or ModelNotLoaded when this process failed to load the one there is."""
        if self.due is not None and self.due.version in self.watched:
            raise NotServedHere(self.name, self.due.version)
        if self.champion is not None:
            return self.champion
        if self.due is None:
            raise NoChampion(self.name)
        raise ModelNotLoaded(self.name, self.due.version)

    @property
    def version(self) -> int | None:
        """The champion's number, wherever it answers; None before the first."""
        if self.due is not None and (self.champion is None or self.due.version in self.watched):
            return self.due.version
        return None if self.champion is None else self.champion.version

    def champion_version(self) -> int:
        """The champion's number. Raises NoChampion."""
        if self.version is None:
            raise NoChampion(self.name)
        return self.version


@dataclass(frozen=True, slots=True)
class Switched:
    """This process began to answer with a deployment's version. flipped_at : when the deployment was put in force."""

    deployment_seq: int
    at: datetime
    flipped_at: datetime


class Models:
    """All models of the workspace, as this process serves them.

    Requests read through `served` and `live`, on the event loop. Loading happens in one other thread, through `sync`
    and `load`. Both may swap; a lock keeps them apart, and is never held while anything is read or loaded.
    objectives : how fast models are to answer, of those for which somebody has said so.
    """

    def __init__(self, workspace: Workspace, state: State, clock: Clock, max_rows: int) -> None:
        self._workspace, self._state, self._clock, self._max_rows = workspace, state, clock, max_rows
        self._store = Store(workspace.store)
        self._epoch = EpochView(workspace.epoch_file)
        self._epoch_seen = -1
        self._served: Mapping[str, Served] = {}
        self.objectives: Mapping[str, Objective] = {}
        self._standing = Standing()
        self._warm: Mapping[tuple[str, int], LiveModel] = {}
        self._switched: list[Switched] = []
        self._swap = threading.Lock()

    @property
    def epoch(self) -> int:
        """The newest change of who answers that this process knows of."""
        return max(self._standing.seq, 0)

    @property
    def all(self) -> Mapping[str, Served]:
        return self._served

    def versions(self) -> dict[str, int]:
        """The version that answers, by model."""
        return {name: s.champion.version for name, s in self._served.items() if s.champion}

    def signatures(self) -> dict[str, Signature]:
        return {name: served.model.signature for name, served in self._served.items()}

    def warm(self) -> Counter[str]:
        """How many versions are held in memory, by model."""
        return Counter(name for name, _ in self._warm)

    def served(self, name: str) -> Served:
        """The model called `name`, after a look at the epoch. Raises UnknownModel."""
        self.look()
        found = self._served.get(name)
        if found is None:
            raise UnknownModel(name[:_SHOWN_OF_A_NAME], self._served)
        return found

    def only(self) -> Served:
        """The one model of a service with one model, for the short routes. Raises NotFound otherwise."""
        if len(self._served) != 1:
            known = ", ".join(sorted(self._served)) or "none yet"
            raise NotFound(f"The short routes need exactly one model. Registered: {known}. Use /models/{{name}}/...")
        return self.served(next(iter(self._served)))

    def live(self, name: str) -> LiveModel:
        """The version of `name` that answers now. Raises UnknownModel, NoChampion or ModelNotLoaded."""
        return self.served(name).live()

    def look(self) -> None:
        """Follow the epoch: eight bytes of shared memory, and a read of the state store only when they have changed."""
        epoch = self._epoch.epoch
        if epoch == self._epoch_seen:
            return
        self._epoch_seen = epoch
        with self._state.read() as conn:
            standing = Standing.read(conn)
        self._adopt(standing)

    def sync(self) -> list[VersionRow]:
        """Follow the state store: new models, deployments, trials. Returns the versions that have yet to be loaded."""
        with self._state.read() as conn:
            models = catalog.list_models(conn)
            standing = Standing.read(conn)
            rows = [
                catalog.get_version(conn, *key) for key in dict.fromkeys(standing.versions()) if not self.is_warm(*key)
            ]
        self._add(models)
        self.objectives = {row.name: row.objective for row in models if row.objective is not None}
        self._mark_watched([row for row in rows if row.artifact_sha256 is None])
        self._adopt(standing)
        return [row for row in rows if row.artifact_sha256 is not None]

    def is_warm(self, model: str, version: int) -> bool:
        return (model, version) in self._warm

    def version_row(self, model: str, version: int) -> VersionRow:
        """Raises UnknownModel or UnknownVersion."""
        with self._state.read() as conn:
            return catalog.get_version(conn, model, version)

    def load(self, row: VersionRow) -> None:
        """Load and warm a version, and swap to it where it is due. Slow; never called on the event loop.

        Raises BadArtifact or UntrustedArtifact, or whatever the model raises on its reference example.
        """
        if not self.is_warm(row.model, row.version):
            form = self._form(row)
            scorer = load_scorer(self._store, row)
            live = LiveModel(name=row.model, version=row.version, row=row, scorer=scorer, form=form)
            example = tuple(form.example[name] for name in row.signature.names)
            fastest = min(_seconds(live, example) for _ in range(_WARM_UP_CALLS))
            self._keep_warm(replace(live, quick=fastest < QUICK_S))
        self._adopt(self._standing)

    def _form(self, row: VersionRow) -> Form:
        """Requests are checked against features that the model is known to take, so every version must take such."""
        if row.signature.features not in self._served[row.model].forms:
            # It may be asked for before the next sync has told of features that came with it.
            with self._state.read() as conn:
                self._add(catalog.list_models(conn))
        form = self._served[row.model].forms.get(row.signature.features)
        if form is None:
            raise BadArtifact(row.artifact, f"version {row.version} takes other features than {row.model} does")
        return form

    def take_switched(self) -> list[Switched]:
        """The switches since the last call."""
        with self._swap:
            taken, self._switched = self._switched, []
        return taken

    def give_back(self, switched: list[Switched]) -> None:
        """Switches that could not be noted, for the next try."""
        with self._swap:
            self._switched = [*switched, *self._switched]

    def close(self) -> None:
        self._epoch.close()

    def _add(self, models: list[ModelRow]) -> None:
        new = {row.name: self._forms(row) for row in models if self._is_news(row)}
        if new:
            with self._swap:
                rows = {row.name: row for row in models}
                served = {name: self._serving(rows[name], forms) for name, forms in new.items()}
                self._served = {**self._served, **served}

    def _is_news(self, row: ModelRow) -> bool:
        known = self._served.get(row.name)
        return known is None or known.model.signature != row.signature

    def _serving(self, row: ModelRow, forms: Mapping[Features, Form]) -> Served:
        known = self._served.get(row.name)
        return Served(model=row, forms=forms) if known is None else replace(known, model=row, forms=forms)

    def _forms(self, row: ModelRow) -> dict[Features, Form]:
        """A form for each way in which versions take their features; those that are known already stay the same."""
        ways = dict.fromkeys([v.features for v in row.signature.variants] or [row.signature.features])
        known = self._served[row.name].forms if row.name in self._served else {}
        return {features: known.get(features) or self._new_form(row, features) for features in ways}

    def _new_form(self, row: ModelRow, features: Features) -> Form:
        signature = replace(row.signature, features=features)
        example = reference_example(self._workspace.reference(row.name, row.profile_id), signature)
        door = Door.of(self._workspace, signature, row.classes)
        return Form(signature=signature, bodies=Bodies(signature, self._max_rows), door=door, example=example)

    def _mark_watched(self, rows: list[VersionRow]) -> None:
        with self._swap:
            for row in rows:
                served = self._served[row.model]
                self._served = {**self._served, row.model: replace(served, watched=served.watched | {row.version})}

    def _adopt(self, standing: Standing) -> None:
        """Swap every model that has moved on and whose new versions are loaded; others keep answering."""
        with self._swap:
            if standing.seq < self._standing.seq:
                return
            self._standing = standing
            swapped = {
                name: self._followed(self._served[name], due, standing.trials.get(name, ()))
                for name, due in standing.due.items()
                if name in self._served
            }
            if any(swapped[name] is not self._served[name] for name in swapped):
                self._served = {**self._served, **swapped}

    def _followed(self, served: Served, due: Deployment, running: Sequence[Trial]) -> Served:
        loaded = self._warm.get((served.name, due.version))
        champion = loaded or served.champion
        beside = self._beside(served.name, champion, running)
        if (served.due, served.champion, served.beside) == (due, champion, beside):
            return served
        moved = served.due != due or loaded is not served.champion
        if loaded and served.champion and moved:
            self._switched.append(Switched(due.seq, self._clock(), due.at))
        return replace(served, champion=champion, due=due, beside=beside)

    def _beside(self, name: str, champion: LiveModel | None, running: Sequence[Trial]) -> Beside | None:
        """The trials that are loaded and read rows as `champion` does."""
        loaded = [(trial, self._warm.get((name, trial.version))) for trial in running]
        fit = [(trial, live) for trial, live in loaded if live and champion and live.form is champion.form]
        canaries = [
            Canary(live=live, assignment=Assignment(salt=trial.salt, basis_points=trial.basis_points))
            for trial, live in fit
            if trial.kind is TrialKind.CANARY
        ]
        shadows = tuple(live for trial, live in fit if trial.kind is TrialKind.SHADOW)
        return Beside(canary=canaries[0] if canaries else None, shadows=shadows) if fit else None

    def _keep_warm(self, live: LiveModel) -> None:
        """Keep `live`; of the model's others let go of those used longest ago, never of one that answers or is tried."""
        with self._swap:
            served = self._served[live.name]
            beside = served.beside.all if served.beside else ()
            needed = [*beside, *([served.champion] if served.champion else [])]
            warm = {(kept.name, kept.version): kept for kept in _by_last_use([*self._warm.values(), *needed, live])}
            mine = [key for key in warm if key[0] == live.name]
            for key in mine[: -(len(needed) + KEPT_WARM)]:
                del warm[key]
            self._warm = warm


def _seconds(live: LiveModel, row: Row) -> float:
    began = perf_counter()
    live.score([row])
    return perf_counter() - began


def _by_last_use(order: list[LiveModel]) -> list[LiveModel]:
    """Each model once, where it stands last in `order`."""
    last = {(live.name, live.version): position for position, live in enumerate(order)}
    return [order[position] for position in sorted(last.values())]
