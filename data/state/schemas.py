"""What the values of a model's columns are to keep to, by version. Append-only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from pilothouse.data.measures import rule_forms
from pilothouse.data.measures.rules import Terms
from pilothouse.data.state import tables
from pilothouse.data.state.store import plain_row

_t = tables.data_schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRow:
    """One version. document : the rules in pandera's JSON. edits : what was changed, as it was typed."""

    model: str
    version: int
    document: str
    tolerated: float
    stops_above: float
    tests_stop: bool
    edits: list[str]
    reason: str
    created_at: datetime
    created_by: str

    @property
    def terms(self) -> Terms:
        return Terms(
            columns=rule_forms.from_json(self.document), tolerated=self.tolerated, stops_above=self.stops_above,
            tests_stop=self.tests_stop,
        )  # fmt: skip


def versions(conn: Connection, model: str) -> list[SchemaRow]:
    """Newest first; none as long as nobody has changed what was inferred."""
    query = select(_t).where(_t.c.model == model).order_by(_t.c.version.desc())
    return [SchemaRow(**plain_row(row)) for row in conn.execute(query)]


def append(
    conn: Connection, model: str, terms: Terms, *, edits: list[str], reason: str, actor: str, at: datetime
) -> SchemaRow:
    """Write the next version."""
    held = versions(conn, model)
    row = SchemaRow(
        model=model, version=held[0].version + 1 if held else 1, document=rule_forms.to_json(terms),
        tolerated=terms.tolerated, stops_above=terms.stops_above, tests_stop=terms.tests_stop, edits=edits, reason=reason,
        created_at=at, created_by=actor,
    )  # fmt: skip
    conn.execute(insert(_t).values({column.name: getattr(row, column.name) for column in _t.c}))
    return row
