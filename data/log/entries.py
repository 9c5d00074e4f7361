"""Bodies of log entries: what the service writes, and how the sealer reads it back. JSON, one object a request."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pilothouse.data.log.schema import Role, Status
from pilothouse.data.log.spool import Entry, EntryKind, Format
from pilothouse.data.signature import Value

KeyPart = str | int | float
Micros = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
"""Microseconds since 1970 in UTC, within the years 1 to 9999."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class PredictionEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One answered request. Lists are as long as `rows`; one left out means null in every row.

    rows : the JSON array of row objects, as the client sent it: a feature left out is null.
    at : event times; left out, the rows happened at `logged_at`.
    keys : business keys, one object a row. context : values of the context columns, one object a row; one left out is
    null. class_scores : of a multiclass model, the probability of each class in the target's order; `scores` has one
    number a row. latency_us : of the whole request, in microseconds; latencies_us : the same where each row has its own.
    """

    version: Count
    ids: list[str]
    rows: msgspec.Raw
    predictions: list[Value]
    logged_at: Micros
    role: Role = Role.CHAMPION
    at: list[Micros] | None = None
    entities: list[str | None] | None = None
    keys: list[dict[str, KeyPart] | None] | None = None
    context: list[dict[str, Value] | None] | None = None
    scores: list[float | None] | None = None
    class_scores: list[list[float] | None] | None = None
    latency_us: Count | None = None
    latencies_us: list[Count | None] | None = None
    status: Status = Status.OK
    caller: str | None = None

    def entry(self, model: str, *, caller_ids: bool) -> Entry:
        """This request as an entry of the spool. `caller_ids`: the ids came from the caller, not from `new_ids`."""
        return _entry(model, EntryKind.PREDICTIONS, self, len(self.ids), caller_ids)


class LabelEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Labels told in one request. For each, either its place in `ids` or the one in `keys` is not null."""

    labels: list[str | float | bool]
    observed_at: list[Micros]
    recorded_at: Micros
    ids: list[str | None] | None = None
    keys: list[dict[str, KeyPart] | None] | None = None
    source: str | None = None

    def entry(self, model: str) -> Entry:
        """These labels as an entry of the spool."""
        return _entry(model, EntryKind.LABELS, self, len(self.labels), caller_ids=True)


def _entry(model: str, kind: EntryKind, body: msgspec.Struct, rows: int, caller_ids: bool) -> Entry:
    return Entry(
        model=model,
        kind=kind,
        format=Format.JSON,
        caller_ids=caller_ids,
        rows=rows,
        body=msgspec.json.encode(body),
    )


def canonical_key(key: dict[str, KeyPart]) -> str:
    """`key` as JSON in one fixed spelling: names in order, no spaces, whole numbers without a fraction.

    >>> canonical_key({"flight": 12.0, "carrier": "UA"})
    '{"carrier":"UA","flight":12}'
    """
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in key.items()}
    return msgspec.json.encode(whole, order="sorted").decode()
