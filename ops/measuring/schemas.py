"""The data schema of a model: inferred from its reference until somebody agrees on another, then by version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadPolicy, NoReason
from pilothouse.data.measures import rule_forms
from pilothouse.data.measures.rules import ColumnTerms, Demand, Rule, Terms, changed
from pilothouse.data.policies import ALTERED, UNSHOWN, ColumnClass
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature
from pilothouse.data.state import audit, schemas
from pilothouse.data.state.schemas import SchemaRow
from pilothouse.data.state.store import State
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Right, require

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import ModelRow
    from pilothouse.ops.model import ModelHandle

INFERRED = 0
"""Number of the schema that nobody has agreed on yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedSchema:
    """The rules in force. version : INFERRED, or of `history`, newest first. guarded : columns whose values are not shown."""

    model: str
    version: int
    terms: Terms
    history: tuple[SchemaRow, ...] = ()
    guarded: frozenset[str] = frozenset()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, those of guarded columns without what they are measured by."""
        return tuple(shown(rule, self.guarded) for rule in self.terms.rules)

    def to_json(self) -> str:
        """pandera's JSON, without guarded columns: a range and a category are values that some row has."""
        return rule_forms.to_json(self._exported())

    def to_yaml(self) -> str:
        """pandera's YAML, without guarded columns."""
        return rule_forms.to_yaml(self._exported())

    def _exported(self) -> Terms:
        return replace(self.terms, columns=tuple(c for c in self.terms.columns if c.name not in self.guarded))


def shown(rule: Rule, guarded: frozenset[str]) -> Rule:
    """`rule` without what it is measured by, where that is a value of a guarded column."""
    hidden = rule.column in guarded and rule.demand is not Demand.TYPE
    return replace(rule, bound=None) if hidden else rule


def agreed(workspace: Workspace, state: State, row: ModelRow) -> AgreedSchema:
    """The schema in force. A column that came since the newest version was written has the rules inferred for it."""
    with state.read() as conn:
        held = tuple(schemas.versions(conn, row.name))
    inferred = _of_reference(workspace.reference(row.name, row.profile_id), row.signature, row.classes)
    terms = _completed(held[0].terms, inferred) if held else inferred
    guarded = frozenset(name for name, told in row.classes.items() if told in UNSHOWN)
    return AgreedSchema(
        model=row.name, version=held[0].version if held else INFERRED, terms=terms, history=held, guarded=guarded
    )


def edit(handle: ModelHandle, edits: Sequence[str], reason: str) -> AgreedSchema:
    """Agree on another schema; with no edit, on the one that was inferred. Audited.

    Raises BadPolicy, UnknownColumn, NoReason, NotAllowed.
    """
    house = handle.house
    require(house.state, house.actor, Right.OPERATOR, "edit the data schema of", handle.name, house.clock)
    if not reason.strip():
        raise NoReason("Editing a data schema")
    before = agreed(house.workspace, house.state, handle.row)
    if not edits and before.version != INFERRED:
        raise BadPolicy("edits", "nothing", "at least one edit, such as 'age <= 120'")
    terms = changed(before.terms, edits, handle.name)
    now = house.clock()
    with house.state.write() as conn:
        row = schemas.append(conn, handle.name, terms, edits=list(edits), reason=reason, actor=house.actor.name, at=now)
        # An edit may name a value; of a guarded column the trail is told the column alone.
        told = [_told(text, before) for text in edits]
        details = {"version": row.version, "edits": told, "reason": reason}
        audit.append(conn, actor=house.actor.name, act="data schema", target=handle.name, details=details, at=now)
    return agreed(house.workspace, house.state, handle.row)


def _told(text: str, schema: AgreedSchema) -> str:
    return next((f"{name} …" for name in sorted(schema.guarded) if text.startswith(f"{name} ")), text)


def _completed(terms: Terms, inferred: Terms) -> Terms:
    """`terms` of the columns that are there now, and what is inferred of the others."""
    held = {column.name: column for column in terms.columns}
    return replace(terms, columns=tuple(_of_type(held.get(c.name, c), c) for c in inferred.columns))


def _of_type(held: ColumnTerms, now: ColumnTerms) -> ColumnTerms:
    """A column whose values are stored in another way now cannot keep the rules of the old one."""
    return held if held.type == now.type else now


def _of_reference(folder: Path, signature: Signature, classes: Mapping[str, ColumnClass]) -> Terms:
    names = tuple((f.column, f.name) for f in signature.features if classes.get(f.name) not in ALTERED)
    return _inferred(folder, names)


@lru_cache(maxsize=32)
def _inferred(folder: Path, names: tuple[tuple[str, str], ...]) -> Terms:
    """What the reference rows in `folder` keep to; they never change. names : columns, each with its own name."""
    rows = Profile.load_sample(folder)
    return rule_forms.infer(
        rows.select([name for name, _ in names if name in rows.columns]).rename(
            {column: name for column, name in names if column in rows.columns}
        )
    )
