"""From labelled rows to a model's signature and reference profile: what registration leans on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from pilothouse.data.errors import BadData, UnknownColumn
from pilothouse.data.log.door import Door
from pilothouse.data.policies import ColumnClass, GatePolicy, LabelPolicy, LogPolicy
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.segments import SegmentColumn, Segments
from pilothouse.data.signature import NUMERIC, Kind, Signature, Task
from pilothouse.data.store import write_durably
from pilothouse.data.windows import Clock, Window
from pilothouse.data.workspace import Workspace
from pilothouse.ops.scoring import fitted_names, numbered

ENTITY = "entity_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a team agrees on when it registers a model.

    classes : by feature, context column or `entity_id`; what is not named is plain.
    segments : features or context columns by whose values volume and outcomes are rolled up.
    """

    label_policy: LabelPolicy = field(default_factory=LabelPolicy)
    gate_policy: GatePolicy = field(default_factory=GatePolicy)
    log_policy: LogPolicy = field(default_factory=LogPolicy)
    classes: Mapping[str, ColumnClass] = field(default_factory=dict)
    segments: tuple[str, ...] = ()

    def checked(self, model: str, signature: Signature) -> Terms:
        """These terms with classes as such. Raises UnknownColumn, or BadData for a class that a column cannot have."""
        columns = {c.name: c for c in signature.columns}
        for name in (*self.segments, *(n for n in self.classes if n != ENTITY)):
            if name not in columns:
                raise UnknownColumn(model, name, [*columns, ENTITY])
        classes = {name: checked_class(name, told) for name, told in self.classes.items()}
        for name, told in classes.items():
            if told is ColumnClass.HASHED and name != ENTITY and columns[name].kind in NUMERIC:
                raise BadData(f"Column {name!r} holds numbers; only text is hashed. Mask it, or drop it.")
        return replace(self, classes=classes)


USUAL = Terms()


def checked_class(column: str, told: str) -> ColumnClass:
    """The column class called `told`. Raises BadData."""
    try:
        return ColumnClass(told)
    except ValueError:
        allowed = ", ".join(ColumnClass)
        raise BadData(f"{told!r} is no class for column {column!r}. Classes are: {allowed}.") from None


def feature_order(estimator: Any, features: Sequence[str] | None) -> tuple[str, ...] | None:
    """The order the estimator was fitted with, where it remembers one."""
    fitted = fitted_names(estimator)
    return tuple(features) if features is not None else None if fitted is None else tuple(fitted)


def with_model_classes(signature: Signature, estimator: Any, *, known: bool = False) -> Signature:
    """`signature` with the target's classes in the model's own order. Raises BadData when they are not the model's.

    known : whether the order of those in `signature` has been told, for a model that only numbers them.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None or signature.task is Task.REGRESSION:
        return signature
    ordered = tuple(c.item() if hasattr(c, "item") else c for c in classes)
    if known and numbered(ordered, signature.target.classes):
        return signature
    strange = [c for c in signature.target.classes if c not in ordered]
    if strange or (signature.task is Task.BINARY and len(ordered) != 2):
        own, told = (", ".join(map(repr, of)) for of in (ordered, signature.target.classes))
        raise BadData(
            f"The model knows the classes {own}; {signature.target.name!r} has {told} in the reference. "
            "Give labels as the model was fitted on, and a task that fits it; of a model that only numbers its classes, "
            "say what they are in its order (class_order=[...])."
        )
    return replace(signature, target=replace(signature.target, classes=ordered))


def without_gaps(signature: Signature, estimator: Any) -> Signature:
    """`signature` without missing values for features that the model takes in a type that has none."""
    if not hasattr(estimator, "gapless"):
        return signature
    gapless = estimator.gapless([f.kind is Kind.CATEGORY for f in signature.features])
    features = (replace(f, nullable=f.nullable and place not in gapless) for place, f in enumerate(signature.features))
    return replace(signature, features=tuple(features))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMaker:
    """Makes the reference profile of one model and writes it into the workspace."""

    workspace: Workspace
    name: str
    signature: Signature
    terms: Terms
    clock: Clock

    def make(
        self, reference: pl.DataFrame, window: Window | None, score: Callable[[pl.DataFrame], pl.Series | None]
    ) -> Profile:
        """The profile of the labelled rows of `reference`, or of all where none has a label, as the log would hold them.

        score : the model's scores or predictions of the rows it is given, called so, or None where it has none.
        """
        labelled = self._labelled(reference)
        kept = self._kept(labelled, score)
        profile_id = f"r{self.clock():%Y%m%d%H%M%S}"
        made = Profile.make(kept, self._logged, profile_id, window)
        return self._saved(replace(made, segments=self._segments(labelled)), kept)

    def extend(
        self, before: Profile, reference: pl.DataFrame, score: Callable[[pl.DataFrame], pl.Series | None]
    ) -> Profile:
        """`before` with the features that it lacks, from the labelled rows of `reference`; the rest of it stays."""
        kept = self._kept(self._labelled(reference), score)
        return self._saved(before.extended(kept, self._logged, f"r{self.clock():%Y%m%d%H%M%S%f}"), kept)

    def _labelled(self, reference: pl.DataFrame) -> pl.DataFrame:
        labelled = reference.drop_nulls(self.signature.target.name)
        return labelled if labelled.height else reference

    def _kept(self, labelled: pl.DataFrame, score: Callable[[pl.DataFrame], pl.Series | None]) -> pl.DataFrame:
        """What may be kept of the rows, and what the model says of them where they have no column called so."""
        rows = labelled.select(*self.signature.names, self.signature.target.name)
        scores = score(labelled)
        kept = Door.of(self.workspace, self.signature, self.terms.classes).frame(rows)
        return kept if scores is None or scores.name in kept.columns else kept.with_columns(scores)

    def _saved(self, profile: Profile, kept: pl.DataFrame) -> Profile:
        folder = self.workspace.reference(self.name, profile.profile_id)
        profile.save(folder)
        example = kept.select(self.signature.names).row(0, named=True)
        write_durably(folder / "example.json", json.dumps(example, default=str).encode())
        return profile

    def _segments(self, labelled: pl.DataFrame) -> Segments:
        """The columns to watch, with the commonest values of the reference, as the log holds them."""
        named = [name for name in self.terms.segments if name in labelled.columns]
        held = Door.of(self.workspace, self.signature, self.terms.classes).frame(labelled)
        return tuple(SegmentColumn.of(self.signature, self.name, name, held[name]) for name in named)

    @property
    def _logged(self) -> Signature:
        """The signature without the features that never reach the log."""
        dropped = {name for name, told in self.terms.classes.items() if told is ColumnClass.DROPPED}
        return replace(self.signature, features=tuple(f for f in self.signature.features if f.name not in dropped))
