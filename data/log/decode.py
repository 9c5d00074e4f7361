"""From spool entries to Arrow tables. An entry that cannot be read is named with its reason; the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.delta import fitted
from pilothouse.data.errors import BadEntry
from pilothouse.data.log.entries import LabelEntry, PredictionEntry, canonical_key
from pilothouse.data.log.pending import Stored
from pilothouse.data.log.schema import CLASS_SCORES, label_schema, prediction_schema
from pilothouse.data.log.spool import Format
from pilothouse.data.signature import NUMERIC, Feature, Kind, Signature, Task

CALLER_IDS = "caller_ids"
"""Extra column of a decoded batch: whether the row's id may have been sent before."""

_T = TypeVar("_T")
_Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Rows in the table's columns plus `CALLER_IDS`; (sequence number, reason) of each entry that cannot be read."""

    table: pa.Table
    unreadable: tuple[tuple[int, str], ...]


class Decoder(Protocol):
    """Reads entries of one kind. `schema`: the columns of the table they go to."""

    schema: pa.Schema

    def columns(self, body: bytes) -> _Columns:
        """The columns of a JSON body. Raises BadEntry or msgspec.MsgspecError."""

    @property
    def day_of(self) -> str:
        """The time column whose day is the partition."""


def decode(decoder: Decoder, entries: Sequence[Stored], spool_id: str) -> Decoded:
    """Rows of `entries` of the spool `spool_id`, in their order."""
    batches: list[pa.Table] = []
    unreadable: list[tuple[int, str]] = []
    for format_, run in groupby(entries, key=attrgetter("format")):
        read = _json_batches if format_ is Format.JSON else _arrow_batches
        batches.extend(read(decoder, run, unreadable))
    whole = [_completed(decoder, batch, spool_id) for batch in batches]
    empty = _with_flag(decoder.schema.empty_table(), [])
    return Decoded(table=pa.concat_tables([empty, *whole]), unreadable=tuple(unreadable))


class PredictionDecoder:
    """Reads prediction entries of a model with this signature."""

    day_of = "at"

    def __init__(self, signature: Signature) -> None:
        self.schema = prediction_schema(signature)
        self._signature, self._context = signature, signature.context
        self._target = signature.target
        self._entry = msgspec.json.Decoder(PredictionEntry)
        self._rows: dict[tuple[Feature, ...], msgspec.json.Decoder[list[Any]]] = {}
        # Columns of features as other versions take them.
        self._others = [c.column for c in signature.logged if isinstance(c, Feature)] if signature.variants else []

    def columns(self, body: bytes) -> _Columns:
        entry = self._entry.decode(body)
        features = self._signature.of_version(entry.version).features
        rows = self._rows_of(features).decode(entry.rows)
        count = len(rows)
        columns: _Columns = {
            "prediction_id": _checked("ids", entry.ids, count),
            "at": _checked("at", entry.at, count, otherwise=entry.logged_at),
            "logged_at": [entry.logged_at] * count,
            "version": [entry.version] * count,
            "role": [entry.role.value] * count,
            "entity_id": _checked("entities", entry.entities, count),
            "keys": _key_texts(_checked("keys", entry.keys, count)),
            "prediction": _checked("predictions", _typed(entry.predictions, self._target.kind), count),
            "score": _checked("scores", entry.scores, count),
            "latency_us": _checked("latencies_us", entry.latencies_us, count, otherwise=entry.latency_us),
            "status": [entry.status.value] * count,
            "caller": [entry.caller] * count,
            "weight": [None] * count,
        }
        columns |= {column: [None] * count for column in self._others}
        for place, feature in enumerate(features):
            columns[feature.column] = list(map(attrgetter(f"f{place}"), rows))
        return columns | self._class_scores(entry, count) | self._context_columns(entry, count)

    def _rows_of(self, features: tuple[Feature, ...]) -> msgspec.json.Decoder[list[Any]]:
        if features not in self._rows:
            self._rows[features] = msgspec.json.Decoder(list[_row_type(features)])  # type: ignore[misc]
        return self._rows[features]

    def _class_scores(self, entry: PredictionEntry, count: int) -> _Columns:
        if self._signature.task is not Task.MULTICLASS:
            return {}
        scores, classes = _checked("class_scores", entry.class_scores, count), len(self._target.classes)
        lengths = {len(row) for row in scores if row is not None}
        if lengths - {classes}:
            raise BadEntry(f"rows of {sorted(lengths)} class_scores for {classes} classes")
        return {CLASS_SCORES: scores}

    def _context_columns(self, entry: PredictionEntry, count: int) -> _Columns:
        given = [row or {} for row in _checked("context", entry.context, count)]
        return {c.column: _typed([row.get(c.name) for row in given], c.kind) for c in self._context}


class LabelDecoder:
    """Reads label entries of a model with this signature."""

    day_of = "recorded_at"

    def __init__(self, signature: Signature) -> None:
        self.schema = label_schema(signature)
        self._target = signature.target
        self._entry = msgspec.json.Decoder(LabelEntry)

    def columns(self, body: bytes) -> _Columns:
        entry = self._entry.decode(body)
        count = len(entry.labels)
        ids = _checked("ids", entry.ids, count)
        keys = _key_texts(_checked("keys", entry.keys, count))
        if any((id_ is None) == (key is None) for id_, key in zip(ids, keys, strict=True)):
            raise BadEntry("a label has neither an id nor a key, or both")
        return {
            "prediction_id": ids,
            "key": keys,
            "label": _typed(entry.labels, self._target.kind),
            "observed_at": _checked("observed_at", entry.observed_at, count),
            "recorded_at": [entry.recorded_at] * count,
            "source": [entry.source] * count,
        }


def _json_batches(decoder: Decoder, entries: Iterable[Stored], unreadable: list[tuple[int, str]]) -> list[pa.Table]:
    """One batch of all JSON entries in a row: making an Arrow table for each small request would take longer."""
    fields = [f for f in decoder.schema if f.name not in ("spool", "day")]
    gathered: _Columns = {field.name: [] for field in fields}
    flags: list[bool] = []
    for stored in entries:
        try:
            columns = decoder.columns(stored.body)
        except (msgspec.MsgspecError, BadEntry) as error:
            unreadable.append((stored.seq, _reason(error)))
            continue
        for name, values in columns.items():
            gathered[name].extend(values)
        flags.extend([stored.caller_ids] * len(columns["prediction_id"]))
    table = pa.table([pa.array(gathered[f.name], f.type) for f in fields], schema=pa.schema(fields))
    return [_with_flag(table, flags)]


def _arrow_batches(decoder: Decoder, entries: Iterable[Stored], unreadable: list[tuple[int, str]]) -> list[pa.Table]:
    """One batch of all Arrow entries in a row, each column in one piece: what follows goes over every piece."""
    wanted = pa.schema([f for f in decoder.schema if f.name not in ("spool", "day")])
    read = []
    for stored in entries:
        try:
            read.append((stored, _fitted(pa.ipc.open_stream(stored.body).read_all(), wanted)))
        except (pa.ArrowException, OSError, BadEntry) as error:
            # Arrow reports a body cut short, or one that does not unpack, as an OSError.
            unreadable.append((stored.seq, _reason(error)))
    table = _in_one(wanted, read)
    if _gap(table):
        # Looked for entry by entry only when there is one to be found.
        unreadable.extend((stored.seq, f"{gap} holds nulls") for stored, part in read if (gap := _gap(part)))
        read = [(stored, part) for stored, part in read if not _gap(part)]
        table = _in_one(wanted, read)
    return [_with_flag(table, [stored.caller_ids for stored, part in read for _ in range(part.num_rows)])]


def _in_one(wanted: pa.Schema, read: Sequence[tuple[Stored, pa.Table]]) -> pa.Table:
    return pa.concat_tables([wanted.empty_table(), *(part for _, part in read)]).combine_chunks()


def _gap(table: pa.Table) -> str | None:
    """A column that holds nulls and must not."""
    return next((f.name for f in table.schema if not f.nullable and table[f.name].null_count), None)


def _completed(decoder: Decoder, batch: pa.Table, spool_id: str) -> pa.Table:
    """`batch` with the columns that only the sealer knows, in the schema's order."""
    spool = pa.repeat(pa.scalar(spool_id, pa.string()), batch.num_rows)
    day = pc.cast(batch[decoder.day_of], pa.date32())
    full = batch.append_column("spool", spool).append_column("day", day)
    return full.select([*decoder.schema.names, CALLER_IDS]).cast(
        pa.schema([*decoder.schema, pa.field(CALLER_IDS, pa.bool_())])
    )


def _fitted(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """`table` with nulls for columns that its writer did not know. Raises BadEntry for any other difference."""
    if table.schema.equals(wanted):
        return table
    unknown = set(table.schema.names) - set(wanted.names)
    if unknown:
        raise BadEntry(f"the table has no column {', '.join(sorted(unknown))}")
    for field in table.schema:
        if field.type != wanted.field(field.name).type:
            raise BadEntry(f"{field.name} is {field.type}, not {wanted.field(field.name).type}")
    return fitted(table, wanted)


def _with_flag(table: pa.Table, flags: list[bool]) -> pa.Table:
    return table.append_column(pa.field(CALLER_IDS, pa.bool_()), pa.array(flags, pa.bool_()))


def _reason(error: Exception) -> str:
    return error.why if isinstance(error, BadEntry) else str(error)


def _checked(what: str, values: list[_T] | None, count: int, *, otherwise: _T | None = None) -> list[Any]:
    """`values`, or `otherwise` for each row when left out. Raises BadEntry unless there is one for each row."""
    if values is None:
        return [otherwise] * count
    if len(values) != count:
        raise BadEntry(f"{len(values)} {what} for {count} rows")
    return values


def _key_texts(keys: list[dict[str, Any] | None]) -> list[str | None]:
    return [None if key is None else canonical_key(key) for key in keys]


def _optional_type(kind: Kind) -> Any:
    """What a JSON value of this kind, or null, is read as."""
    return float | None if kind in NUMERIC else bool | None if kind is Kind.BOOLEAN else str | None


def _typed(values: list[Any], kind: Kind) -> list[Any]:
    """`values` in the type of `kind`. Raises msgspec.ValidationError when one is of another."""
    converted: list[Any] = msgspec.convert(values, list.__class_getitem__(_optional_type(kind)))
    return converted


def _row_type(features: tuple[Feature, ...]) -> type[msgspec.Struct]:
    """A struct with a field f0, f1, ... for each feature, known in JSON by the feature's own name."""
    return msgspec.defstruct(
        "Row",
        [(f"f{place}", _optional_type(feature.kind), None) for place, feature in enumerate(features)],
        rename={f"f{place}": feature.name for place, feature in enumerate(features)},
    )
