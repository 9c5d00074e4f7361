"""Registering models and versions: the artifact into the store, the facts about it into the state store."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as library_version
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.errors import BadData
from pilothouse.data.names import checked_name
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature, Task, infer_signature
from pilothouse.data.state import audit, catalog, deployments
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.store import State
from pilothouse.data.store import Store, write_durably
from pilothouse.data.windows import Clock, Window, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops import artifacts
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.scoring import SklearnScorer

RUNTIME = "sklearn"
_LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "skops")
DEFAULT_THRESHOLD = 0.5


def installed_libraries() -> dict[str, str]:
    """Versions of what a scikit-learn artifact leans on, as of now."""
    return {"python": platform.python_version()} | {name: library_version(name) for name in _LIBRARIES}


@dataclass(frozen=True, slots=True)
class Registry:
    """Registers models and versions in one workspace."""

    workspace: Workspace
    state: State
    store: Store
    clock: Clock = utc_now

    def register_model(
        self,
        actor: Actor,
        name: str,
        estimator: Any,
        *,
        reference: pl.DataFrame,
        target: str,
        task: Task = Task.BINARY,
        trusted: Sequence[str] = (),
        features: Sequence[str] | None = None,
        reference_window: Window | None = None,
        trained: Window | None = None,
        label_policy: LabelPolicy | None = None,
        gate_policy: GatePolicy | None = None,
    ) -> VersionRow:
        """Register `estimator` as `name`, version 1, and make it the champion.

        reference : labelled rows held out from training, one an example, with the target column. Everything is later
        compared with them. Rows without a label are left out of the reference performance.
        Raises InvalidName, AlreadyExists, MissingColumn, UntrustedArtifact, NotAllowed, or BadData when the estimator
        cannot score the reference, or knows other classes than it has.
        """
        checked_name(name)
        require(self.state, actor, Right.OPERATOR, "register", name, self.clock)
        with self.state.read() as conn:
            catalog.refuse_taken_name(conn, name)
        signature = infer_signature(reference, target, task, _feature_order(estimator, features))
        signature = _with_model_classes(signature, estimator)
        content = artifacts.dump(estimator, tuple(trusted))
        scorer = SklearnScorer(artifacts.load(content, tuple(trusted)), signature, DEFAULT_THRESHOLD)
        profile = self._make_profile(name, scorer, signature, reference, reference_window)
        now = self.clock()
        model = ModelRow(
            name=name, task=task, signature=signature, profile_id=profile.profile_id,
            label_policy=label_policy or LabelPolicy(), gate_policy=gate_policy or GatePolicy(),
            created_at=now, created_by=actor.name,
        )  # fmt: skip
        version = VersionRow(
            model=name, version=1, artifact_sha256=self.store.put(content), runtime=RUNTIME, signature=signature,
            trusted_types=tuple(trusted), libraries=installed_libraries(), threshold=DEFAULT_THRESHOLD,
            run_id=None, snapshot_sha256=None, trained=trained, scorecard=None, note="first version",
            created_at=now, created_by=actor.name,
        )  # fmt: skip
        with self.state.write() as conn:
            catalog.add_model(conn, model)
            catalog.add_version(conn, version)
            _audit(conn, actor, version)
            first = deployments.append(
                conn, model=name, version=1, expected_epoch=0, act="promote", actor=actor.name,
                reason="first version", clicked_at=now, at=now,
            )  # fmt: skip
        publish_epoch(self.workspace.epoch_file, first.seq)
        return version

    def register_version(
        self,
        actor: Actor,
        model: str,
        challenger: Any,
        *,
        trusted: Sequence[str] | None = None,
        run_id: str | None = None,
        snapshot_sha256: str | None = None,
        scorecard: Mapping[str, Any] | None = None,
        trained: Window | None = None,
        note: str = "",
    ) -> VersionRow:
        """Register a challenger. With a `run_id` it happens once: a second call returns the first call's version.

        challenger : a fitted estimator, or the SHA-256 of an artifact that stands in the store already.
        trusted : types to trust; None takes the champion's. scorecard : kept with the new version's number in it.
        It becomes the champion only by `promote`.
        Raises UnknownModel, NoChampion, UntrustedArtifact, UnportableModel, NotAllowed, or BadArtifact when the store
        does not hold those bytes.
        """
        require(self.state, actor, Right.OPERATOR, "register a version of", model, self.clock)
        with self.state.read() as conn:
            row = catalog.get_model(conn, model)
            champion = catalog.get_version(conn, model, deployments.in_force(conn, model).version)
        types = tuple(trusted) if trusted is not None else champion.trusted_types
        sha256 = self._stored(challenger, types)
        with self.state.write() as conn:
            known = catalog.version_of_run(conn, run_id) if run_id else None
            if known:
                return known
            number = catalog.next_version(conn, model)
            version = VersionRow(
                model=model, version=number, artifact_sha256=sha256, runtime=RUNTIME, signature=row.signature,
                trusted_types=types, libraries=installed_libraries(), threshold=champion.threshold, run_id=run_id,
                snapshot_sha256=snapshot_sha256, trained=trained, scorecard=_numbered(scorecard, number), note=note,
                created_at=self.clock(), created_by=actor.name,
            )  # fmt: skip
            catalog.add_version(conn, version)
            _audit(conn, actor, version)
        return version

    def _stored(self, challenger: Any, trusted: Sequence[str]) -> str:
        """SHA-256 of the challenger's artifact, which stands in the store when this returns."""
        if not isinstance(challenger, str):
            return self.store.put(artifacts.dump(challenger, trusted))
        self.store.read(challenger)
        return challenger

    def _make_profile(
        self, name: str, scorer: SklearnScorer, signature: Signature, reference: pl.DataFrame, window: Window | None
    ) -> Profile:
        labelled = reference.drop_nulls(signature.target.name)
        scored = labelled.select(*signature.names, signature.target.name)
        try:
            score = scorer.score(scored).score
        except Exception as error:
            raise BadData(f"The model cannot score the reference: {error}") from error
        if score is not None:
            scored = scored.with_columns(pl.Series("score", np.asarray(score, dtype=np.float64)))
        profile_id = f"r{self.clock():%Y%m%d%H%M%S}"
        profile = Profile.make(scored, signature, profile_id, window)
        folder = self.workspace.reference(name, profile_id)
        profile.save(folder)
        example = scored.select(signature.names).row(0, named=True)
        write_durably(folder / "example.json", json.dumps(example, default=str).encode())
        return profile


def _feature_order(estimator: Any, features: Sequence[str] | None) -> tuple[str, ...] | None:
    """The order the estimator was fitted with, where it remembers one."""
    fitted = getattr(estimator, "feature_names_in_", None)
    return tuple(features) if features is not None else None if fitted is None else tuple(str(n) for n in fitted)


def _with_model_classes(signature: Signature, estimator: Any) -> Signature:
    classes = getattr(estimator, "classes_", None)
    if classes is None or signature.task is Task.REGRESSION:
        return signature
    ordered = tuple(c.item() if hasattr(c, "item") else c for c in classes)
    strange = [c for c in signature.target.classes if c not in ordered]
    if strange or (signature.task is Task.BINARY and len(ordered) != 2):
        known, told = (", ".join(map(repr, of)) for of in (ordered, signature.target.classes))
        raise BadData(
            f"The model knows the classes {known}; {signature.target.name!r} has {told} in the reference. "
            "Give labels as the model was fitted on, and a task that fits it."
        )
    return replace(signature, target=replace(signature.target, classes=ordered))


def _numbered(scorecard: Mapping[str, Any] | None, version: int) -> dict[str, Any] | None:
    """`scorecard` with the number that the challenger got only now."""
    if scorecard is None:
        return None
    return {**scorecard, "challenger": {**scorecard.get("challenger", {}), "version": version}}


def _audit(conn: Connection, actor: Actor, version: VersionRow) -> None:
    details = {"version": version.version, "artifact_sha256": version.artifact_sha256, "run_id": version.run_id}
    audit.append(conn, actor=actor.name, act="register", target=version.model, details=details, at=version.created_at)
