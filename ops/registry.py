"""Registering models and versions: the artifact into the store, the facts about it into the state store."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import version as library_version
from typing import Any

import polars as pl
from sqlalchemy import Connection

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.errors import BadData, Unavailable
from pilothouse.data.names import checked_name
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature, Task, Value, following, infer_signature
from pilothouse.data.state import audit, catalog, deployments
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Clock, Window, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.reference_scores import given_scores, scores, scores_of
from pilothouse.ops.references import USUAL, ReferenceMaker, Terms, feature_order, with_model_classes, without_gaps
from pilothouse.ops.runtimes.boosting import versions
from pilothouse.ops.runtimes.conversion import Converter, rows_kept
from pilothouse.ops.runtimes.examiner import Examiner
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.runtimes.own import NONE, Own
from pilothouse.ops.runtimes.taking import Original, take
from pilothouse.ops.scoring import SklearnScorer

ELSEWHERE = "elsewhere"
"""Runtime of a version that is only watched here."""
_LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "skops", "skl2onnx", "onnxruntime")
DEFAULT_THRESHOLD = 0.5


def installed_libraries() -> dict[str, str]:
    """Versions of what an artifact leans on, as of now."""
    return {"python": platform.python_version()} | {name: library_version(name) for name in _LIBRARIES} | versions()


@dataclass(frozen=True, slots=True)
class Registry:
    """Registers models and versions in one workspace. converter : None leaves every version as it is."""

    workspace: Workspace
    state: State
    store: Store
    clock: Clock = utc_now
    converter: Converter | None = None

    def register_model(
        self,
        actor: Actor,
        name: str,
        model: Any,
        *,
        reference: pl.DataFrame,
        target: str,
        task: Task = Task.BINARY,
        trusted: Sequence[str] = (),
        features: Sequence[str] | None = None,
        context: Sequence[str] = (),
        reference_window: Window | None = None,
        trained: Window | None = None,
        terms: Terms = USUAL,
        own: Own = NONE,
        class_order: Sequence[Value] | None = None,
    ) -> VersionRow:
        """Register `model` as `name`, version 1, and make it the champion.

        model : a fitted estimator, the path of a file that holds one, or `module:object` of `own` code (see `take`).
        reference : labelled rows held out from training, one an example, with the target column. Everything is later
        compared with them. Rows without a label are left out of the reference performance.
        context : columns of `reference` that are logged with each row and are no features.
        class_order : the target's classes in the model's order, for a model that only numbers them.
        Raises InvalidName, AlreadyExists, MissingColumn, UnknownColumn, NotAllowed, what `take` raises, or BadData when
        the model cannot score the reference, or knows other classes than it has.
        """
        self._check_free(actor, name)
        original = take(model, task, tuple(trusted), own)
        features = feature_order(original.model, features)
        inferred = infer_signature(reference, target, task, features, tuple(context), class_order)
        signature = with_model_classes(inferred, original.model, known=class_order is not None)
        signature = without_gaps(signature, original.model)
        scorer = SklearnScorer(original.model, signature, DEFAULT_THRESHOLD)
        first = _First(
            name=name, signature=signature, terms=terms.checked(name, signature), trained=trained, original=original,
            scorer=scorer,
        )  # fmt: skip
        return self._add_first(actor, first, reference, reference_window, partial(scores, scorer, signature))

    def register_monitored(
        self,
        actor: Actor,
        name: str,
        *,
        reference: pl.DataFrame,
        target: str,
        task: Task = Task.BINARY,
        features: Sequence[str] | None = None,
        context: Sequence[str] = (),
        score: str | None = "score",
        reference_window: Window | None = None,
        terms: Terms = USUAL,
        classes: Sequence[Value] | None = None,
        version: int = 1,
    ) -> VersionRow:
        """Register a model that is served elsewhere and only watched here: its first version has no artifact.

        reference : rows with the features, the target and, if it has them, the model's own scores. Where no row has a
        label, drift is measured and performance waits; `classes` then says what the target's are.
        features : None for all columns that are not named otherwise. score : the column of the positive class's
        probability; None, or one that is not there, for a model without.
        classes : the target's, in order, the positive one last; None for those of the reference, sorted.
        version : the number that the first version has there.
        Raises what `register_model` does, as far as it applies.
        """
        self._check_free(actor, name)
        scored = score if score in reference.columns else None
        if features is None:
            features = [c for c in reference.columns if c not in (target, scored, "prediction", *context)]
        signature = infer_signature(reference, target, task, tuple(features), tuple(context), classes)
        first = _First(name=name, signature=signature, terms=terms.checked(name, signature), number=version)
        return self._add_first(
            actor, first, reference, reference_window, partial(given_scores, scored) if scored else lambda rows: None
        )

    def add_monitored_version(
        self,
        actor: Actor,
        model: str,
        version: int,
        *,
        reference: pl.DataFrame | None = None,
        score: str = "score",
        note: str = "",
    ) -> VersionRow:
        """A further version of a model that is served elsewhere, under the number it has there.

        reference : rows as in `register_monitored`, for a version that takes its features otherwise than those before
        it. A version that is known already is given back. Raises UnknownModel, NotAllowed, or BadData for a model that is
        served here: its versions come with an artifact.
        """
        require(self.state, actor, Right.OPERATOR, "register a version of", model, self.clock)
        taken = self._as_before(model)
        if reference is not None:
            features = tuple(c for c in reference.columns if c not in (score, "prediction"))
            given = partial(given_scores, score)
            taken = self._taken_in(taken.row, reference, features, lambda signature: given)
        with self.state.write() as conn:
            known = catalog.list_versions(conn, model)
            if found := next((v for v in known if v.version == version), None):
                return found
            if any(v.artifact_sha256 for v in known):
                raise BadData(f"{model} is served here, and has no version {version}. Register the artifact instead.")
            self._agree(conn, taken, version)
            added = self._version(actor, _First(name=model, signature=taken.signature, terms=USUAL), version, note)
            catalog.add_version(conn, added)
            _audit(conn, actor, added)
        return added

    def _as_before(self, model: str) -> _Taken:
        """What a version takes that says nothing of it: the features of the champion, or of the model without one."""
        with self.state.read() as conn:
            row = catalog.get_model(conn, model)
            live = deployments.current(conn, model)
        signature = row.signature if live is None else row.signature.of_version(live.version)
        return _Taken(row=row, signature=replace(signature, variants=()), profile_id=row.profile_id)

    def _taken_in(
        self,
        row: ModelRow,
        reference: pl.DataFrame,
        features: tuple[str, ...] | None,
        score: Callable[[Signature], Callable[[pl.DataFrame], pl.Series | None]],
    ) -> _Taken:
        """What a version takes whose reference is `reference`, with a profile that knows its features too."""
        ours, context = row.signature, tuple(c.name for c in row.signature.context)
        given = tuple(n for n in features or reference.columns if n not in (ours.target.name, *context))
        found = infer_signature(reference, ours.target.name, ours.task, given, classes=ours.target.classes or None)
        signature = following(replace(ours, features=found.features, variants=()), ours)
        terms = Terms(classes=row.classes).checked(row.name, replace(signature, context=ours.context))
        maker = ReferenceMaker(
            workspace=self.workspace, name=row.name, signature=signature, terms=terms, clock=self.clock
        )
        folder = self.workspace.reference(row.name, row.profile_id)
        profile = maker.extend(Profile.load(folder), reference, score(signature))
        return _Taken(row=row, signature=signature, profile_id=profile.profile_id)

    def _agree(self, conn: Connection, taken: _Taken, version: int) -> None:
        """Write down how `version` takes its features. Raises Unavailable when another has done so meanwhile."""
        row = catalog.get_model(conn, taken.row.name)
        if row.profile_id != taken.row.profile_id:
            raise Unavailable(f"Another version of {row.name} was registered at the same moment. Try again.")
        earlier = sorted(v.version for v in catalog.list_versions(conn, row.name))
        signature = row.signature.with_version(version, taken.signature.features, earlier)
        if signature != row.signature or taken.profile_id != row.profile_id:
            catalog.set_signature(conn, row.name, signature, taken.profile_id)

    def _check_free(self, actor: Actor, name: str) -> None:
        checked_name(name)
        require(self.state, actor, Right.OPERATOR, "register", name, self.clock)
        with self.state.read() as conn:
            catalog.refuse_taken_name(conn, name)

    def _add_first(
        self,
        actor: Actor,
        first: _First,
        reference: pl.DataFrame,
        window: Window | None,
        score: Callable[[pl.DataFrame], pl.Series | None],
    ) -> VersionRow:
        """Write the reference, then the model, its first version and its deployment in one transaction."""
        maker = ReferenceMaker(
            workspace=self.workspace, name=first.name, signature=first.signature, terms=first.terms, clock=self.clock
        )
        profile = maker.make(reference, window, score)
        terms = first.terms
        model = ModelRow(
            name=first.name, task=first.signature.task, signature=first.signature, profile_id=profile.profile_id,
            label_policy=terms.label_policy, gate_policy=terms.gate_policy, log_policy=terms.log_policy,
            classes=dict(terms.classes), segments=terms.segments, created_at=self.clock(), created_by=actor.name,
        )  # fmt: skip
        bare = self._version(actor, first, first.number, "first version")
        version = self._examiner.of(bare, model, lambda: reference, first.scorer)
        with self.state.write() as conn:
            catalog.add_model(conn, model)
            catalog.add_version(conn, version)
            _audit(conn, actor, version)
            deployed = deployments.append(
                conn, model=first.name, version=first.number, expected_epoch=0, act="promote", actor=actor.name,
                reason="first version", clicked_at=version.created_at, at=version.created_at,
            )  # fmt: skip
        publish_epoch(self.workspace.epoch_file, deployed.seq)
        return version

    def _version(self, actor: Actor, first: _First, number: int, note: str) -> VersionRow:
        artifact = None if first.original is None else first.original.put(self.store)
        return VersionRow(
            model=first.name, version=number, artifact_sha256=artifact.sha256 if artifact else None,
            runtime=artifact.runtime if artifact else ELSEWHERE, signature=first.signature,
            trusted_types=artifact.trusted if artifact else (), code=artifact.code if artifact else None,
            libraries=installed_libraries() if artifact else {}, threshold=DEFAULT_THRESHOLD, run_id=None,
            snapshot_sha256=None, trained=first.trained, scorecard=None, note=note, created_at=self.clock(), created_by=actor.name,
        )  # fmt: skip

    def register_version(
        self,
        actor: Actor,
        model: str,
        challenger: Any,
        *,
        reference: pl.DataFrame | None = None,
        trusted: Sequence[str] | None = None,
        run_id: str | None = None,
        snapshot_sha256: str | None = None,
        scorecard: Mapping[str, Any] | None = None,
        trained: Window | None = None,
        note: str = "",
        own: Own = NONE,
    ) -> VersionRow:
        """Register a challenger. With a `run_id` it happens once: a second call returns the first call's version.

        challenger : what `register_model` takes, or an Artifact that stands in the store already.
        reference : labelled rows held out from training, for a challenger that takes its features otherwise than the
        champion: of another type, more or fewer of them. Left out, it takes them as the champion does.
        trusted : types to trust; None takes the champion's. scorecard : kept with the new version's number in it.
        It becomes the champion only by `promote`.
        Raises UnknownModel, NoChampion, NotAllowed, what `take` raises, BadArtifact when the store does not hold those
        bytes, or BadData when it cannot score the reference.
        """
        require(self.state, actor, Right.OPERATOR, "register a version of", model, self.clock)
        with self.state.read() as conn:
            champion = catalog.get_version(conn, model, deployments.in_force(conn, model).version)
            known = catalog.version_of_run(conn, run_id) if run_id else None
        if known:
            return known
        taken = self._as_before(model)
        types = champion.trusted_types if trusted is None else tuple(trusted)
        original = None if isinstance(challenger, Artifact) else take(challenger, taken.row.task, types, own)
        artifact = original.put(self.store) if original else self._kept(challenger)
        if reference is not None:
            estimator = original.model if original else artifact.load(self.store)
            features, score = feature_order(estimator, None), partial(scores_of, estimator, champion.threshold)
            taken = self._taken_in(taken.row, reference, features, score)
        made = VersionRow(
            model=model, version=0, artifact_sha256=artifact.sha256, runtime=artifact.runtime, code=artifact.code,
            signature=taken.signature, trusted_types=artifact.trusted, libraries=installed_libraries(),
            threshold=champion.threshold, run_id=run_id, snapshot_sha256=snapshot_sha256, trained=trained,
            scorecard=None, note=note, created_at=self.clock(), created_by=actor.name,
        )  # fmt: skip
        scorer = SklearnScorer(original.model, taken.signature, champion.threshold) if original else None
        row = replace(taken.row, profile_id=taken.profile_id)
        made = self._examiner.of(made, row, lambda: self._rows(row, made) if reference is None else reference, scorer)
        with self.state.write() as conn:
            known = catalog.version_of_run(conn, run_id) if run_id else None
            if known:
                return known
            number = catalog.next_version(conn, model)
            self._agree(conn, taken, number)
            version = replace(made, version=number, scorecard=_numbered(scorecard, number))
            catalog.add_version(conn, version)
            _audit(conn, actor, version)
        return version

    def convert_version(self, actor: Actor, model: str, version: int) -> VersionRow:
        """Convert a version that is registered already; what became of it is written to its row.

        Raises UnknownVersion, NotServedHere, NotAllowed, or BadData where the settings want no conversion.
        """
        require(self.state, actor, Right.OPERATOR, "convert a version of", model, self.clock)
        if self.converter is None:
            raise BadData('No version is converted while the setting onnx is "never". Set it to "where_equal".')
        with self.state.read() as conn:
            row, before = catalog.get_model(conn, model), catalog.get_version(conn, model, version)
        found = self._examiner.of(
            replace(before, artifact_sha256=before.artifact), row, lambda: self._rows(row, before)
        )
        with self.state.write() as conn:
            catalog.set_examined(conn, found)
            _audit(conn, actor, found, act="convert", at=self.clock())
        return found

    def _rows(self, row: ModelRow, version: VersionRow) -> pl.DataFrame | None:
        return rows_kept(self.workspace, self.store, row, version.signature, version.snapshot_sha256)

    @property
    def _examiner(self) -> Examiner:
        return Examiner(workspace=self.workspace, store=self.store, converter=self.converter)

    def _kept(self, artifact: Artifact) -> Artifact:
        """`artifact`, whose bytes stand in the store as they should. Raises BadArtifact."""
        self.store.read(artifact.sha256)
        return artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """How a version of the model in `row` takes its features, and the profile that knows them."""

    row: ModelRow
    signature: Signature
    profile_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _First:
    """A model about to be registered. original, scorer : None for one that is served elsewhere."""

    name: str
    signature: Signature
    terms: Terms
    trained: Window | None = None
    original: Original | None = None
    scorer: SklearnScorer | None = None
    number: int = 1


def _numbered(scorecard: Mapping[str, Any] | None, version: int) -> dict[str, Any] | None:
    """`scorecard` with the number that the challenger got only now."""
    if scorecard is None:
        return None
    return {**scorecard, "challenger": {**scorecard.get("challenger", {}), "version": version}}


def _audit(
    conn: Connection, actor: Actor, version: VersionRow, act: str = "register", at: datetime | None = None
) -> None:
    details = {
        "version": version.version, "artifact_sha256": version.artifact_sha256, "onnx_sha256": version.onnx_sha256,
        "run_id": version.run_id,
    }  # fmt: skip
    if version.code is not None:
        details |= {"code": version.code.name, "code_sha256": version.code.sha256}
    audit.append(conn, actor=actor.name, act=act, target=version.model, details=details, at=at or version.created_at)
