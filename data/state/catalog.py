"""Models and their versions, as they stand in the state store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from pilothouse.data.errors import AlreadyExists, NotServedHere, UnknownModel, UnknownVersion
from pilothouse.data.measures.drift_thresholds import DriftThresholds
from pilothouse.data.policies import (
    ColumnClass,
    Costs,
    GatePolicy,
    LabelPolicy,
    LogPolicy,
    Objective,
    OwnMetric,
    WatchTerms,
)
from pilothouse.data.signature import Signature, Task
from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A registered model. `segments`: columns by whose values outcomes are rolled up. `classes`: by column name.

    objective : None where nobody has said how fast it is to answer. costs : None where nobody has said what its
    mistakes cost. watch : None where performance is watched by the usual rules. drift_thresholds : None where
    drift is judged by the fixed marks.
    """

    name: str
    task: Task
    signature: Signature
    profile_id: str
    label_policy: LabelPolicy
    gate_policy: GatePolicy
    created_at: datetime
    created_by: str
    log_policy: LogPolicy = field(default_factory=LogPolicy)
    classes: dict[str, ColumnClass] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    objective: Objective | None = None
    costs: Costs | None = None
    own_metrics: tuple[OwnMetric, ...] = ()
    watch: WatchTerms | None = None
    drift_thresholds: DriftThresholds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of turning a version into an ONNX file, and how far the file's answers are from the original's.

    sha256 : of the file, which answers in the original's place; None where the original answers, for the `reason`.
    rows : how many both have scored. other_class : those that got another class from it.
    largest : largest difference of a score; for a regression, of a prediction in units of `unit`. None where nothing
    was compared. unit : 1 for scores; the standard deviation of the original's predictions for a regression.
    """

    sha256: str | None = None
    reason: str = ""
    rows: int = 0
    other_class: int = 0
    largest: float | None = None
    tolerance: float = 0.0
    unit: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A team's own code that a version needs, as an archive of modules in the store.

    sha256 : of the archive. name : of the file that was handed over. entry : `module:object` where the model itself is
    in the code. data : SHA-256 of the archive of the folder that this object loads from.
    """

    sha256: str
    name: str
    entry: str | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the original said to reference rows when the version was registered, to be compared with in a preflight.

    sha256 : of the file that holds it. profile_id : of the reference whose rows they are. rows : how many.
    """

    sha256: str
    profile_id: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version of a model. `scorecard`: what it showed against the champion of its day, as the gate read it.

    artifact_sha256 : None for a version that is served elsewhere and only watched here.
    runtime : what the artifact is. conversion : None for a version that nobody has tried to convert.
    code : None for a version that needs none but what is installed. recorded : None where nothing was.
    """

    model: str
    version: int
    artifact_sha256: str | None
    runtime: str
    signature: Signature
    trusted_types: tuple[str, ...]
    libraries: dict[str, str]
    threshold: float
    run_id: str | None
    snapshot_sha256: str | None
    trained: Window | None
    scorecard: dict[str, Any] | None
    note: str
    created_at: datetime
    created_by: str
    conversion: Conversion | None = None
    code: Code | None = None
    recorded: Recorded | None = None

    @property
    def onnx_sha256(self) -> str | None:
        """SHA-256 of the ONNX file that answers; None where the artifact itself does."""
        return None if self.conversion is None else self.conversion.sha256

    @property
    def answers_with(self) -> str:
        """The form that answers requests: `onnx`, or the artifact's own runtime."""
        return self.runtime if self.onnx_sha256 is None else "onnx"

    @property
    def artifact(self) -> str:
        """SHA-256 of the artifact. Raises NotServedHere."""
        if self.artifact_sha256 is None:
            raise NotServedHere(self.model, self.version)
        return self.artifact_sha256


def refuse_taken_name(conn: Connection, name: str) -> None:
    """Raises AlreadyExists when a model is called `name`."""
    if conn.execute(select(tables.models.c.name).where(tables.models.c.name == name)).first():
        raise AlreadyExists(f"The model {name}", "Retrain it for a new version, or choose another name.")


def add_model(conn: Connection, model: ModelRow) -> None:
    """Raises AlreadyExists when the name is taken."""
    refuse_taken_name(conn, model.name)
    conn.execute(insert(tables.models).values(**_plain(model)))


def get_model(conn: Connection, name: str) -> ModelRow:
    """Raises UnknownModel."""
    row = conn.execute(select(tables.models).where(tables.models.c.name == name)).one_or_none()
    if row is None:
        raise UnknownModel(name, conn.execute(select(tables.models.c.name)).scalars().all())
    return _model(row)


def set_classes(conn: Connection, name: str, classes: dict[str, ColumnClass]) -> None:
    """Raises UnknownModel."""
    _change(conn, name, classes={column: told.value for column, told in classes.items()})


def set_log_policy(conn: Connection, name: str, policy: LogPolicy) -> None:
    """Raises UnknownModel."""
    _change(conn, name, log_policy=msgspec.to_builtins(policy))


def set_objective(conn: Connection, name: str, objective: Objective | None) -> None:
    """Raises UnknownModel."""
    _change(conn, name, objective=msgspec.to_builtins(objective))


def set_costs(conn: Connection, name: str, costs: Costs | None) -> None:
    """Raises UnknownModel."""
    _change(conn, name, costs=msgspec.to_builtins(costs))


def set_watch(conn: Connection, name: str, terms: WatchTerms | None) -> None:
    """Raises UnknownModel."""
    _change(conn, name, watch=msgspec.to_builtins(terms))


def set_drift_thresholds(conn: Connection, name: str, thresholds: DriftThresholds | None) -> None:
    """Raises UnknownModel."""
    _change(conn, name, drift_thresholds=msgspec.to_builtins(thresholds))


def set_own_metrics(conn: Connection, name: str, metrics: tuple[OwnMetric, ...]) -> None:
    """Raises UnknownModel."""
    _change(conn, name, own_metrics=msgspec.to_builtins(metrics))


def set_segments(conn: Connection, name: str, segments: tuple[str, ...]) -> None:
    """Raises UnknownModel."""
    _change(conn, name, segments=list(segments))


def set_signature(conn: Connection, name: str, signature: Signature, profile_id: str) -> None:
    """Raises UnknownModel."""
    _change(conn, name, signature=signature.to_json(), profile_id=profile_id)


def _change(conn: Connection, name: str, **values: Any) -> None:
    get_model(conn, name)
    conn.execute(update(tables.models).where(tables.models.c.name == name).values(**values))


def list_models(conn: Connection) -> list[ModelRow]:
    return [_model(row) for row in conn.execute(select(tables.models).order_by(tables.models.c.name))]


def next_version(conn: Connection, model: str) -> int:
    newest = select(func.max(tables.versions.c.version)).where(tables.versions.c.model == model)
    return (conn.execute(newest).scalar() or 0) + 1


def add_version(conn: Connection, version: VersionRow) -> None:
    values = _plain(version)
    values |= {
        "trained_start": version.trained.start if version.trained else None,
        "trained_end": version.trained.end if version.trained else None,
    }
    del values["trained"]
    conn.execute(insert(tables.versions).values(**values))


def set_examined(conn: Connection, version: VersionRow) -> None:
    """Write what was found out about `version` after it was registered: its conversion, and what was recorded."""
    t = tables.versions
    found = {name: msgspec.to_builtins(getattr(version, name)) for name in ("conversion", "recorded")}
    same = (t.c.model == version.model) & (t.c.version == version.version)
    conn.execute(update(t).where(same).values(**found))


def get_version(conn: Connection, model: str, version: int) -> VersionRow:
    """Raises UnknownModel or UnknownVersion."""
    t = tables.versions
    row = conn.execute(select(t).where(t.c.model == model, t.c.version == version)).one_or_none()
    if row is None:
        get_model(conn, model)
        known = conn.execute(select(t.c.version).where(t.c.model == model).order_by(t.c.version)).scalars().all()
        raise UnknownVersion(model, version, known)
    return _version(row)


def list_versions(conn: Connection, model: str) -> list[VersionRow]:
    """Newest first."""
    t = tables.versions
    return [_version(row) for row in conn.execute(select(t).where(t.c.model == model).order_by(t.c.version.desc()))]


def version_of_run(conn: Connection, run_id: str) -> VersionRow | None:
    """The version that the run registered, if it has."""
    row = conn.execute(select(tables.versions).where(tables.versions.c.run_id == run_id)).one_or_none()
    return None if row is None else _version(row)


def replace_snapshot(conn: Connection, old: str, new: str, note: dict[str, Any]) -> None:
    """Point runs and versions from the training snapshot `old` to `new`, and add `note` to the scorecards it stood for."""
    v, s, r = tables.versions, tables.steps, tables.runs
    for version in conn.execute(select(v).where(v.c.snapshot_sha256 == old)).all():
        same = (v.c.model == version.model) & (v.c.version == version.version)
        marked = _noted(version.scorecard, note)
        conn.execute(update(v).where(same).values(snapshot_sha256=new, scorecard=marked))
    for step in conn.execute(select(s).where(s.c.output.is_not(None))).all():
        if isinstance(step.output, dict) and step.output.get("snapshot_sha256") == old:
            same = (s.c.run_id == step.run_id) & (s.c.name == step.name)
            conn.execute(update(s).where(same).values(output={**step.output, "snapshot_sha256": new}))
            outcome = conn.execute(select(r.c.outcome).where(r.c.id == step.run_id)).scalar_one()
            conn.execute(update(r).where(r.c.id == step.run_id).values(outcome=_noted(outcome, note)))


def _noted(card: dict[str, Any] | None, note: dict[str, Any]) -> dict[str, Any] | None:
    return None if card is None else {**card, "erased": [*card.get("erased", []), note]}


def _plain(row: ModelRow | VersionRow) -> dict[str, Any]:
    """Column values: nested values as JSON, times as they are."""
    values: dict[str, Any] = msgspec.to_builtins(row, builtin_types=(datetime,))
    return values


def _model(row: Row[Any]) -> ModelRow:
    return msgspec.convert(plain_row(row), ModelRow)


def _version(row: Row[Any]) -> VersionRow:
    values = plain_row(row)
    start, end = values.pop("trained_start"), values.pop("trained_end")
    return msgspec.convert(values | {"trained": Window(start, end) if start and end else None}, VersionRow)
