"""Rows by the hundred thousand: from a frame into a spool, as Arrow instead of JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa

from pilothouse.data.errors import BadData, MissingColumn, NaiveTime
from pilothouse.data.log.class_scores import class_scores_in
from pilothouse.data.log.door import Door
from pilothouse.data.log.entries import KeyPart, canonical_key
from pilothouse.data.log.ids import new_id_column
from pilothouse.data.log.schema import MAX_LATENCY_US, Role, Status, label_schema, prediction_schema
from pilothouse.data.log.spool import Entry, EntryKind, Format, Spool
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Clock, utc_now

BLOCK_ROWS = 50_000
"""Rows in one entry, unless their bytes are more than BLOCK_BYTES; both bound what a sealer has to hold of it."""
BLOCK_BYTES = 16 * 1024 * 1024
_BLOCKS_UNDER_WAY = 2
"""One that is being written and one that waits: a frame may be larger than what may wait at all."""
_LATENCY = "latency_us"
_SEALERS = ("spool", "day")


def append_frame(
    spool: Spool,
    model: str,
    signature: Signature,
    frame: pl.DataFrame,
    *,
    version: int,
    role: Role = Role.CHAMPION,
    caller: str | None = None,
    door: Door | None = None,
    clock: Clock = utc_now,
) -> int:
    """Log predictions made elsewhere or in bulk; returns how many, once they are committed.

    frame and the other arguments : see `typed_predictions`. Raises what it raises, and LogUnavailable.
    """
    table = typed_predictions(
        _with_canonical_keys(frame, "keys"), model, signature, version=version, role=role, caller=caller, door=door,
        clock=clock,
    )  # fmt: skip
    return _submit(spool, model, EntryKind.PREDICTIONS, table, caller_ids="prediction_id" in frame.columns)


def append_labels(
    spool: Spool,
    model: str,
    signature: Signature,
    frame: pl.DataFrame,
    *,
    source: str | None = None,
    clock: Clock = utc_now,
) -> int:
    """Log labels in bulk; returns how many, once they are committed.

    frame : see `typed_labels`. Raises what it raises, and LogUnavailable.
    """
    table = typed_labels(_with_canonical_keys(frame, "key"), model, signature, source=source, clock=clock)
    return _submit(spool, model, EntryKind.LABELS, table, caller_ids=True)


def typed_predictions(
    frame: pl.DataFrame,
    model: str,
    signature: Signature,
    *,
    version: int | None,
    role: Role = Role.CHAMPION,
    caller: str | None = None,
    door: Door | None = None,
    clock: Clock = utc_now,
) -> pa.Table:
    """`frame` as rows of the prediction table, without the columns that only a sealer knows (spool, day).

    frame : features under their own names and `prediction`; if there, also context columns, `prediction_id`, `at`,
    `logged_at`, `version`, `role`, `entity_id`, `keys` (canonical JSON), `score`, `latency_us`, `status`, `caller`, and of
    a multiclass model the probability of each class (see `class_scores_in`); other columns are left out. Without
    `prediction_id` ids are made, and without `at` or `logged_at` the rows happened, or were logged, now. NaN is null.
    version : of rows that do not say it themselves; None when all do. door : what may not enter the log; None lets all in.
    latency_us : numbers of microseconds from 0 on, of which a fraction is rounded away.
    Raises MissingColumn, NaiveTime, or BadData when a column has not the type of its feature.
    """
    now = clock()
    signature = _one_variant(frame, signature, version)
    given = _with_whole_latency(_required(frame, ["prediction", *signature.names], model), signature)
    allowed = given if door is None or door.open else door.frame(given)
    rename = {column.name: column.column for column in signature.columns}
    renamed = allowed.select(pl.col(name).alias(rename.get(name, name)) for name in allowed.columns)
    if (class_scores := class_scores_in(given, signature, model)) is not None:
        renamed = renamed.with_columns(class_scores)
    caller_ids = "prediction_id" in frame.columns
    ids = [] if caller_ids else [new_id_column(frame.height, now).alias("prediction_id")]
    defaults: dict[str, datetime | str | int | None] = {
        "logged_at": now,
        "at": now,
        "role": role.value,
        "status": Status.OK.value,
        "caller": caller,
    }
    if version is not None:
        defaults["version"] = version
    return _typed(_with_defaults(renamed.with_columns(*ids), defaults), prediction_schema(signature))


def answered_table(
    signature: Signature, columns: Mapping[str, pa.Array], constants: Mapping[str, Any], rows: int, *, now: datetime
) -> pa.Table:
    """Rows of the prediction table, without the columns that only a sealer knows, for which nothing is left to check.

    columns, constants : by the table's own names; a constant is the same in every row, and what is left out is null. They
    have their types, or ones that convert without loss. The rows are champion's answers of `now` unless they say otherwise.
    """
    known = {"logged_at": now, "at": now, "role": Role.CHAMPION.value, "status": Status.OK.value, **constants}
    fields = [field for field in prediction_schema(signature) if field.name not in _SEALERS]

    def filled(field: pa.Field) -> pa.Array:
        if field.name in columns:
            given = columns[field.name]
            return given if given.type == field.type else given.cast(field.type)
        value = known.get(field.name)
        return pa.nulls(rows, field.type) if value is None else pa.repeat(pa.scalar(value, field.type), rows)

    return pa.table([filled(field) for field in fields], schema=pa.schema(fields))


def typed_labels(
    frame: pl.DataFrame, model: str, signature: Signature, *, source: str | None = None, clock: Clock = utc_now
) -> pa.Table:
    """`frame` as rows of the label table, without the columns that only a sealer knows.

    frame : `label`, and `prediction_id` or `key` (canonical JSON); `observed_at` and `recorded_at` if there, else now.
    Raises MissingColumn, NaiveTime, or BadData when a label has not exactly one of id and key.
    """
    now = clock()
    given = _required(frame, ["label"], model)
    filled = _with_defaults(
        given, {"prediction_id": None, "key": None, "recorded_at": now, "observed_at": now, "source": source}
    )
    both = filled.filter(pl.col("prediction_id").is_null() == pl.col("key").is_null())
    if both.height:
        raise BadData(f"{both.height} labels have neither a prediction_id nor a key, or both. Give each exactly one.")
    return _typed(filled, label_schema(signature))


def _with_canonical_keys(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """`frame` with its business keys in the one spelling by which a label finds its row. Raises BadData."""
    if name not in frame.columns or frame[name].dtype != pl.String:
        return frame
    told = frame[name].drop_nulls().unique()
    spelled = pl.Series([_canonical(text) for text in told.to_list()], dtype=pl.String)
    return frame.with_columns(frame[name].replace(told, spelled)) if (told != spelled).any() else frame


def _canonical(text: str) -> str:
    try:
        return canonical_key(msgspec.json.decode(text, type=dict[str, KeyPart]))
    except msgspec.DecodeError as error:
        raise BadData(
            f"The business key {text[:80]!r} cannot be read ({error}). "
            'Give a JSON object of strings and numbers, such as {"contract": 7}.'
        ) from None


def _one_variant(frame: pl.DataFrame, signature: Signature, version: int | None) -> Signature:
    """The signature with the features as the frame's versions take them. Raises BadData when they do not agree."""
    if not signature.variants:
        return signature
    told = pl.Series([version]) if "version" not in frame.columns else frame["version"].unique().sort()
    versions: list[int] = told.to_list()
    taken = {signature.of_version(each) for each in versions}
    if len(taken) > 1:
        raise BadData(
            f"The versions {', '.join(map(str, versions))} take their features in different ways. "
            "Log the rows of each version in a frame of their own."
        )
    return taken.pop() if taken else signature


def _with_whole_latency(frame: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    if _LATENCY not in frame.columns or _LATENCY in signature.names or not frame[_LATENCY].dtype.is_numeric():
        return frame
    taken = frame[_LATENCY].cast(pl.Float64).fill_nan(None)
    if not taken.is_between(0, MAX_LATENCY_US).all():
        raise BadData(
            f"Column {_LATENCY!r} holds values outside of 0 to {MAX_LATENCY_US:,}. Give microseconds, or null for none."
        )
    return frame.with_columns(taken.round().cast(pl.Int64))


def _required(frame: pl.DataFrame, names: list[str], model: str) -> pl.DataFrame:
    for name in names:
        if name not in frame.columns:
            raise MissingColumn(f"the frame for {model}", name, frame.columns)
    return frame


def _with_defaults(frame: pl.DataFrame, defaults: dict[str, datetime | str | int | None]) -> pl.DataFrame:
    """`frame` with a constant column for each default whose column it lacks."""
    return frame.with_columns(pl.lit(v).alias(name) for name, v in defaults.items() if name not in frame.columns)


def _typed(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """`frame` in the table's types and order, without the columns that the sealer adds. What it lacks becomes null."""
    fields = [field for field in schema if field.name not in _SEALERS]
    kinds = frame.schema
    for field in fields:
        _check_type(kinds, field)
    columns = frame.select(_plain(f.name, kinds[f.name]) for f in fields if f.name in kinds).to_arrow()
    return pa.table([_converted(columns, field) for field in fields], schema=pa.schema(fields))


def _check_type(kinds: Mapping[str, pl.DataType], field: pa.Field) -> None:
    dtype = kinds.get(field.name)
    if dtype is None:
        if not field.nullable:
            raise MissingColumn("the frame", field.name, list(kinds))
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        raise NaiveTime(f"column {field.name!r}")
    elif not _fits(dtype, field.type):
        raise BadData(f"Column {field.name!r} is of type {dtype}; the log wants {field.type}. Convert it.")


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column without what Arrow's types do not know: NaN is missing, a category is its text."""
    if dtype in (pl.Categorical, pl.Enum):
        return pl.col(name).cast(pl.String)
    return pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name)


def _converted(columns: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name not in columns.schema.names:
        return pa.nulls(columns.num_rows, field.type)
    column = columns[field.name]
    if column.null_count and not field.nullable:
        raise BadData(f"Column {field.name!r} holds {column.null_count} nulls. Give a value in every row.")
    try:
        return column if column.type == field.type else column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise BadData(f"Column {field.name!r} does not fit {field.type}: {error}.") from error


def _fits(dtype: pl.DataType, wanted: pa.DataType) -> bool:
    """Whether a column may be stored as `wanted`: text is never parsed, a boolean never counted."""
    if dtype == pl.Null:
        return True
    if pa.types.is_floating(wanted) or pa.types.is_integer(wanted):
        return dtype.is_numeric()
    if pa.types.is_boolean(wanted):
        return dtype == pl.Boolean
    if pa.types.is_list(wanted):
        return isinstance(dtype, pl.List)
    return isinstance(dtype, pl.Datetime if pa.types.is_timestamp(wanted) else (pl.String, pl.Categorical, pl.Enum))


def _submit(spool: Spool, model: str, kind: EntryKind, table: pa.Table, caller_ids: bool) -> int:
    under_way: deque[Future[None]] = deque()
    for entry in entries_of(table, model, kind, caller_ids=caller_ids):
        if len(under_way) == _BLOCKS_UNDER_WAY:
            under_way.popleft().result()
        under_way.append(spool.submit(entry))
    for done in under_way:
        done.result()
    return int(table.num_rows)


def entries_of(table: pa.Table, model: str, kind: EntryKind, *, caller_ids: bool) -> Iterator[Entry]:
    """The rows of `table`, typed as above, as entries of a spool."""
    for block, body in _blocks(table):
        yield Entry(
            model=model, kind=kind, format=Format.ARROW, caller_ids=caller_ids, rows=block.num_rows, body=body
        )  # fmt: skip


def _blocks(table: pa.Table) -> Iterator[tuple[pa.Table, bytes]]:
    fitting = BLOCK_BYTES * table.num_rows // max(table.nbytes, 1)
    rows = max(1, min(BLOCK_ROWS, fitting))
    for start in range(0, table.num_rows, rows):
        block = table.slice(start, rows)
        sink = pa.BufferOutputStream()
        # Not compressed: a small block would take longer, and an erasure looks for a name in it as it stands.
        with pa.ipc.new_stream(sink, block.schema) as writer:
            writer.write_table(block)
        yield block, sink.getvalue().to_pybytes()
