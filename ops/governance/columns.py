"""Column classes where rows and distributions are shown, and the acts of changing a class and of looking behind one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilothouse.data.errors import FixedClass, NoReason, UnknownColumn
from pilothouse.data.history.results import Distribution, Drift, Rows
from pilothouse.data.measures.distribution import NEW, OTHER
from pilothouse.data.policies import UNSHOWN, ColumnClass
from pilothouse.data.signature import Kind, Signature, Value
from pilothouse.data.state import audit, catalog
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.references import ENTITY, checked_class

HIDDEN = "•••"
"""What stands in the place of a value that is there and is not shown."""

_FIXED = frozenset({ColumnClass.HASHED})

Classes = Mapping[str, ColumnClass]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLine:
    """A column of the log that a class can be given to. role : feature, context or entity."""

    name: str
    role: str
    kind: str
    told: ColumnClass


def column_lines(signature: Signature, classes: Classes) -> tuple[ColumnLine, ...]:
    """Every such column with its class."""
    features = [(f.name, "feature", str(f.kind)) for f in signature.features]
    context = [(c.name, "context", str(c.kind)) for c in signature.context]
    return tuple(
        ColumnLine(name=name, role=role, kind=kind, told=classes.get(name, ColumnClass.PLAIN))
        for name, role, kind in (*features, *context, (ENTITY, "entity", "category"))
    )


def hide(rows: Rows, signature: Signature, classes: Classes) -> Rows:
    """`rows` without single values of sensitive and masked columns; what is missing is still seen to be missing.

    Where the entity is guarded, business keys are too: they name the same person.
    """
    guarded = hidden_columns(signature, classes)
    places = {place for place, name in enumerate(rows.columns) if name in guarded}
    return rows if not places else replace(rows, rows=tuple(_hidden(row, places) for row in rows.rows))


def hidden_columns(signature: Signature, classes: Classes) -> frozenset[str]:
    """The log's columns whose single values are not shown."""
    names = {name for name, told in classes.items() if told in UNSHOWN}
    stored = {column for name in names for column in signature.all_stored_as(name) or (name,)}
    return frozenset(stored | ({"keys"} if ENTITY in names else set()))


def unshown_features(classes: Classes) -> frozenset[str]:
    """Features of which not even the distribution is shown."""
    return frozenset(name for name, told in classes.items() if told is ColumnClass.SENSITIVE)


def without_sensitive(found: Drift, classes: Classes) -> tuple[Drift, str]:
    """`found` without sensitive features, and the sentence that says so (empty when there are none)."""
    guarded = unshown_features(classes)
    shown = tuple(feature for feature in found.features if feature.feature not in guarded)
    left_out = len(found.features) - len(shown)
    if not left_out:
        return found, ""
    verb = "column is" if left_out == 1 else "columns are"
    return replace(found, features=shown), f"{left_out} sensitive {verb} not shown."


def without_names(found: Distribution, signature: Signature, classes: Classes) -> Distribution:
    """`found` without the names of a guarded feature's categories: each is a value that some row has."""
    if classes.get(signature.own_name(found.feature)) not in UNSHOWN or found.kind is not Kind.CATEGORY:
        return found
    bins = [
        bar if bar.label in (OTHER, NEW) else replace(bar, label=f"{HIDDEN} {place}")
        for place, bar in enumerate(found.bins, start=1)
    ]
    return replace(found, bins=tuple(bins))


def reportable(signature: Signature, classes: Classes) -> Signature:
    """`signature` with the features that may stand in a report which shows single values and distributions alike."""
    return replace(signature, features=tuple(f for f in signature.features if classes.get(f.name) not in UNSHOWN))


def set_class(state: State, actor: Actor, model: str, column: str, told: str, clock: Clock) -> Classes:
    """Give a column another class from now on; returns all classes. Rows logged before stay as they were logged.

    Raises UnknownColumn, BadData for no class, FixedClass where `hashed` would come or go, NotAllowed.
    """
    require(state, actor, Right.ADMIN, "change the column classes of", model, clock)
    wanted = checked_class(column, told)
    with state.write() as conn:
        row = catalog.get_model(conn, model)
        names = [line.name for line in column_lines(row.signature, row.classes)]
        if column not in names:
            raise UnknownColumn(model, column, names)
        before = row.classes.get(column, ColumnClass.PLAIN)
        if wanted is before:
            return row.classes
        if {wanted, before} & _FIXED:
            raise FixedClass(model, column, before)
        classes = {name: c for name, c in row.classes.items() if name != column}
        if wanted is not ColumnClass.PLAIN:
            classes[column] = wanted
        catalog.set_classes(conn, model, classes)
        _audit(conn, actor, "column class", model, {"column": column, "from": before, "to": wanted}, clock())
    return classes


def allow_unmasking(state: State, actor: Actor, model: str, classes: Classes, reason: str, clock: Clock) -> None:
    """Let `actor` see hidden columns once, and write down which and why. Raises NotAllowed, or NoReason."""
    require(state, actor, Right.ADMIN, "unmask columns of", model, clock)
    if not reason.strip():
        raise NoReason("Unmasking columns")
    columns = sorted(name for name, told in classes.items() if told in UNSHOWN)
    with state.write() as conn:
        _audit(conn, actor, "unmask", model, {"columns": columns, "reason": reason}, clock())


def _hidden(row: tuple[Value | datetime, ...], places: set[int]) -> tuple[Value | datetime, ...]:
    return tuple(HIDDEN if place in places and value is not None else value for place, value in enumerate(row))


def _audit(conn: Connection, actor: Actor, act: str, model: str, details: Mapping[str, object], at: datetime) -> None:
    audit.append(conn, actor=actor.name, act=act, target=model, details=details, at=at)
