"""Requests for predictions as an Arrow stream: read, scored and logged by the column, without a row ever being made.

What is not plainly right, or uncommon, goes the way of a JSON body instead, which names every fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from pilothouse.data.errors import BadRows
from pilothouse.data.log.frames import answered_table, entries_of
from pilothouse.data.log.ids import new_id_column
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.log.spool import Entry, EntryKind
from pilothouse.data.signature import Feature, Kind, Signature
from pilothouse.data.windows import Clock
from pilothouse.ops.scoring import Scored
from pilothouse.ops.serving.arrow import UNREADABLE, table_of
from pilothouse.ops.serving.checks import EARLIEST, LATEST, MAX_ID, MAX_TEXT
from pilothouse.ops.serving.models import LiveModel

_OTHERS = {"id": "prediction_id", "entity_id": "entity_id", "at": "at"}
"""Columns that may stand beside the features, by the log's name of each."""
_TIME = pa.timestamp("us", tz="UTC")


class _Uncommon(Exception):
    """A column that has to be looked at row by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A request that is right.

    features : by name, as a scorer takes them; arrays of 64-bit numbers with NaN for missing ones, lists of all else.
    logged : by the log's name of each, the features and what stands beside them.
    """

    rows: int
    features: Mapping[str, Any]
    logged: Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """What a model said to a request, and what the log is to keep of that."""

    scored: Scored
    ids: list[str]
    entries: list[Entry]


def columns_of(body: bytes, signature: Signature, max_rows: int) -> Columns | None:
    """The request in the Arrow stream `body`; None when anything is wrong with it, or uncommon."""
    try:
        table = table_of(body, max_rows).combine_chunks()
        names = table.column_names
        if _OTHERS.keys() & set(signature.names) or sorted({*names} - _OTHERS.keys()) != sorted(signature.names):
            raise _Uncommon
        if len(set(names)) < len(names) or not table.num_rows:
            raise _Uncommon
        given = {name: _plain(table[name]) for name in names}
        taken = {f.name: _taken(f, given[f.name]) for f in signature.features}
        others = {name: _OTHER_CHECKS[column](given[column]) for column, name in _OTHERS.items() if column in given}
    except (_Uncommon, BadRows, *UNREADABLE):
        return None
    logged = {f.column: _logged(given[f.name], taken[f.name]) for f in signature.features}
    return Columns(rows=table.num_rows, features=taken, logged=logged | others)


def framed(live: LiveModel, asked: Columns, began: float, caller: str | None, clock: Clock) -> Framed:
    """Score `asked`. Raises what the model raises."""
    scored, now = live.scorer.score(asked.features), clock()
    made = {} if "prediction_id" in asked.logged else {"prediction_id": new_id_column(asked.rows, now).to_arrow()}
    answers = {"prediction": pa.array(scored.prediction)}
    if scored.score is not None:
        answers["score"] = pa.array(scored.score)
    if scored.scores is not None:
        answers[CLASS_SCORES] = pa.array(scored.scores, pa.list_(pa.float64()))
    constants = {"version": live.version, "latency_us": int((perf_counter() - began) * 1e6), "caller": caller}
    table = answered_table(
        live.form.signature, {**asked.logged, **made, **answers}, constants, asked.rows, now=now
    )  # fmt: skip
    entries = entries_of(table, live.name, EntryKind.PREDICTIONS, caller_ids=not made)
    return Framed(scored=scored, ids=table["prediction_id"].to_pylist(), entries=[*entries])


def _plain(column: pa.ChunkedArray) -> pa.Array:
    chunk = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    return chunk.dictionary_decode() if types.is_dictionary(chunk.type) else chunk


def _taken(feature: Feature, column: pa.Array) -> Any:
    """The values of `feature` as a scorer takes them. Raises _Uncommon."""
    if feature.kind is Kind.CATEGORY:
        _require(types.is_string(column.type) or types.is_large_string(column.type))
        _require((pc.max(pc.utf8_length(column)).as_py() or 0) <= MAX_TEXT)
    elif feature.kind is Kind.BOOLEAN:
        _require(types.is_boolean(column.type))
    else:
        return _numbers(feature, column)
    _require(feature.nullable or not column.null_count)
    return column.to_pylist()


def _logged(column: pa.Array, taken: Any) -> pa.Array:
    """The column as the log has it: NaN is null there. As it came, where that is the same."""
    if isinstance(taken, np.ndarray) and (column.type != pa.float64() or np.isnan(taken).sum() > column.null_count):
        return pa.array(taken, from_pandas=True)
    return column


def _numbers(feature: Feature, column: pa.Array) -> NDArray[np.float64]:
    _require(types.is_integer(column.type) or types.is_floating(column.type))
    numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    missing = np.isnan(numbers)
    _require(feature.nullable or not missing.any())
    _require(not np.isinf(numbers).any())
    if feature.kind is Kind.INTEGER:
        _require(bool(((numbers == np.floor(numbers)) | missing).all()))
    return numbers


def _names(column: pa.Array) -> pa.Array:
    _require(types.is_string(column.type) or types.is_large_string(column.type))
    lengths = pc.utf8_length(column)
    _require(column.null_count == len(column) or (pc.min(lengths).as_py() >= 1 and pc.max(lengths).as_py() <= MAX_ID))
    return column


def _ids(column: pa.Array) -> pa.Array:
    _require(not column.null_count and pc.count_distinct(column).as_py() == len(column))
    return _names(column)


def _times(column: pa.Array) -> pa.Array:
    _require(types.is_timestamp(column.type) and column.type.tz is not None and not column.null_count)
    bounds = pc.min_max(column.cast(_TIME))
    _require(bounds["min"].as_py() >= EARLIEST and bounds["max"].as_py() < LATEST)
    return column.cast(_TIME)


_OTHER_CHECKS = {"id": _ids, "entity_id": _names, "at": _times}


def _require(plain: bool) -> None:
    if not plain:
        raise _Uncommon
