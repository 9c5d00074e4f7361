"""Bodies that are an Arrow stream: read with care, and turned into the JSON body that says the same, to be checked as that
is."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pilothouse.data.errors import BadRows, Fault
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.signature import Signature
from pilothouse.ops.serving.checks import MAX_TEXT

_VERSION, SCORE = "version", "score"
ASKED = {"id": "ids", "at": "at", "entity_id": "entities", "keys": "keys"}
"""The arrays of a JSON body that asks for predictions, by the column that each comes from."""
LOGGED = ASKED | {
    "prediction": "predictions",
    SCORE: "scores",
    CLASS_SCORES: "scores",
    "latency_us": "latency_us",
    _VERSION: _VERSION,
}
"""Those of one that tells of predictions made elsewhere."""
_BYTES_A_CHARACTER = 4
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, ArithmeticError, IndexError, struct.error)
"""What reading bytes that are no stream raises."""
# Fields of a message, a dictionary batch and a record batch, as Arrow's Message.fbs numbers them.
_HEADER_TYPE, _HEADER, _DICTIONARY_DATA, _COMPRESSION = 1, 2, 1, 3
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


def as_json(body: bytes, signature: Signature, max_rows: int, arrays: Mapping[str, str] = LOGGED) -> bytes:
    """The body of `POST /models/{name}/log` in JSON that holds the rows of the Arrow IPC stream `body`; with ASKED as
    `arrays` that of `predict`.

    One column a feature, `prediction`, and those of `id`, `at`, `score` or `scores` (lists), `entity_id`, `keys` (a struct), `latency_us`,
    `version` (the same in every row) and the context columns that there are. NaN is a missing value.
    Raises BadRows for what is no uncompressed Arrow stream, for columns that have no place here, and for too many rows.
    """
    try:
        return orjson.dumps(_body(table_of(body, max_rows), signature, arrays))
    except UNREADABLE as error:
        raise _bad("", f"must be an Arrow IPC stream, and could not be read as one ({type(error).__name__})") from None


def table_of(body: bytes, max_rows: int) -> Any:
    """The table in the stream `body`. Raises BadRows, or whatever a library raises on bytes that are no stream."""
    _refuse_compressed(body)
    with pa.ipc.open_stream(body) as reader:
        for field in reader.schema:
            _check_type(field.name, field.type)
        table = pa.Table.from_batches(_few(reader, max_rows), reader.schema)
    # Bytes from outside: lengths and offsets may point anywhere until they have been looked at.
    table.validate(full=True)
    return table


def _check_type(name: str, given: Any) -> None:
    """Raises BadRows for types that could name the same bytes many times over, and so grow as they are read."""
    from pyarrow import types

    if types.is_struct(given):
        for field in given:
            if types.is_dictionary(field.type) or types.is_struct(field.type):
                raise _bad(f"/{name}/{field.name}", "must be a number or a text")
            _check_type(f"{name}/{field.name}", field.type)
        return
    listed = types.is_list(given) or types.is_large_list(given)
    if name == CLASS_SCORES and listed and types.is_floating(given.value_type):
        return
    shared = types.is_dictionary(given) and types.is_string(given.value_type)
    plain = (types.is_boolean, types.is_integer, types.is_floating, types.is_timestamp, types.is_null)
    if not (shared or types.is_string(given) or types.is_large_string(given) or any(is_(given) for is_ in plain)):
        raise _bad(f"/{name}", "is of a type that is not taken: give numbers, booleans, texts or times")


def _few(batches: Iterator[Any], max_rows: int) -> list[Any]:
    kept, rows = [], 0
    for batch in batches:
        rows += batch.num_rows
        if rows > max_rows:
            raise _bad("/rows", f"must have 1 to {max_rows} rows; send them in several requests")
        _check_shared_texts(batch)
        kept.append(batch)
    return kept


def _check_shared_texts(batch: Any) -> None:
    """Raises BadRows for a dictionary whose texts, written out in each row, could fill the memory."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if isinstance(column, pa.DictionaryArray):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > _BYTES_A_CHARACTER * MAX_TEXT:
                raise _bad(f"/{name}", f"must have texts of at most {MAX_TEXT} characters")


def _body(table: Any, signature: Signature, arrays: Mapping[str, str]) -> dict[str, Any]:
    context = {column.name for column in signature.context}
    faults = [
        Fault(f"/{name}", "is not a column here")
        for name in table.column_names
        if name not in {*signature.names, *context, *arrays}
    ]
    if len(set(table.column_names)) < table.num_columns:
        faults.append(Fault("", "must name each column once"))
    if {SCORE, CLASS_SCORES} <= {*table.column_names} - {*signature.names} and SCORE in arrays:
        faults.append(Fault(f"/{CLASS_SCORES}", f"must not stand beside {SCORE}; give one of them"))
    faults += [fault for name in table.column_names for fault in _infinite(name, table[name])]
    if faults:
        raise BadRows(faults[:50])
    given = set(table.column_names)
    # A feature may be called as one of the arrays is; then it is the feature.
    body: dict[str, Any] = {
        array: table[column].to_pylist()
        for column, array in arrays.items()
        if column in given.difference(signature.names, [_VERSION])
    }
    body["rows"] = table.select([n for n in signature.names if n in given]).to_pylist()
    if context & given:
        body["context"] = table.select(sorted(context & given)).to_pylist()
    if _VERSION in arrays and _VERSION in given.difference(signature.names):
        body[_VERSION] = _only(table[_VERSION].unique().to_pylist())
    return body


def _infinite(name: str, column: pa.ChunkedArray) -> Iterator[Fault]:
    """Numbers that JSON has no word for, and that would come out of it as missing ones."""
    if pa.types.is_floating(column.type):
        for row in pc.indices_nonzero(pc.is_inf(column)).to_pylist()[:50]:
            yield Fault(f"/rows/{row}/{name}", "must be a finite number, or NaN or null where it is missing")


def _only(versions: list[Any]) -> Any:
    if len(versions) > 1:
        raise _bad(f"/{_VERSION}", "must be the same in every row; send versions in requests of their own")
    return versions[0] if versions else None


def _bad(pointer: str, detail: str) -> BadRows:
    return BadRows([Fault(pointer, detail)])


def _refuse_compressed(body: bytes) -> None:
    """A few kilobytes could unpack to more than there is memory, before anybody could look. Raises BadRows."""
    reader = pa.ipc.MessageReader.open_stream(body)
    for message in iter(_next_of(reader), None):
        if _is_compressed(message.metadata.to_pybytes()):
            raise _bad("", "must be an Arrow stream without compression")


def _next_of(reader: Any) -> Callable[[], Any]:
    def following() -> Any:
        try:
            return reader.read_next_message()
        except StopIteration:
            return None

    return following


def _is_compressed(metadata: bytes) -> bool:
    """Whether the batch that a message describes is compressed: pyarrow tells it only after unpacking."""
    (root,) = struct.unpack_from("<I", metadata, 0)
    type_at, header = _field(metadata, root, _HEADER_TYPE), _field(metadata, root, _HEADER)
    kind = metadata[type_at] if type_at else 0
    if not header or kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _pointed(metadata, header)
    if kind == _DICTIONARY_BATCH:
        batch = _pointed(metadata, _field(metadata, batch, _DICTIONARY_DATA))
    return _field(metadata, batch, _COMPRESSION) != 0


def _field(buffer: bytes, table: int, number: int) -> int:
    """Where field `number` of the FlatBuffers table at `table` stands; 0 when it is left out."""
    (back,) = struct.unpack_from("<i", buffer, table)
    (size,) = struct.unpack_from("<H", buffer, table - back)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", buffer, table - back + 4 + 2 * number)
    return table + int(offset) if offset else 0


def _pointed(buffer: bytes, at: int) -> int:
    (offset,) = struct.unpack_from("<I", buffer, at)
    return at + int(offset)
