"""The result of somebody's query as a source: fetched once into a file, since no query promises the same rows twice.

The file stays until its import is done, so that one which was broken off goes on without asking again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from pilothouse.data.errors import ImportBrokenOff, UnreadableSource
from pilothouse.data.sql.foreign import duckdb_batches, open_foreign
from pilothouse.ops.imports.sources import Tables, open_source

FETCHED_ROWS = 50_000
_ALLOWED = "Give duckdb:///FILE, sqlite:///FILE or postgresql://USER@HOST/DATABASE."


def fetch(url: str, query: str, folder: Path, *, model: str, resume: bool) -> Tables:
    """The rows that `query` gives at `url`, fetched into a file in `folder`; the database is only read.

    resume : take the file of a fetch whose import was broken off. Raises ImportBrokenOff when there is one and nobody
    asked for it, and UnreadableSource when the database cannot be asked.
    """
    named = hashlib.sha256(f"{url}\n{query}".encode()).hexdigest()[:32]
    file = folder / f"query-{named}.parquet"
    if file.exists() and not resume:
        raise ImportBrokenOff("this query", model)
    if not file.exists():
        _fetch_into(file, url, query)
    return replace(_as_tables(file), name=f"the query on {shown(url)}")


def forget(folder: Path, url: str, query: str) -> None:
    """Remove the file of a query whose import is done."""
    named = hashlib.sha256(f"{url}\n{query}".encode()).hexdigest()[:32]
    (folder / f"query-{named}.parquet").unlink(missing_ok=True)


def shown(url: str) -> str:
    """The address without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        raise UnreadableSource("The database", "its address is none", _ALLOWED) from None


def _as_tables(file: Path) -> Tables:
    source = open_source(file)
    assert isinstance(source, Tables)
    return source


def _fetch_into(file: Path, url: str, query: str) -> None:
    """Write beside the file's place and move it there: half of a result is never taken for all."""
    part = file.with_suffix(".part")
    try:
        batches = _batches(url, query)
        first = next(batches, None)
        if first is None:
            raise UnreadableSource(f"The query on {shown(url)}", "it gives no rows", "Check its conditions.")
        with parquet.ParquetWriter(part, first.schema, compression="zstd") as writer:
            for batch in chain([first], batches):
                writer.write_batch(_fitted(batch, first.schema))
    finally:
        if part.exists() and not file.exists() and _complete(part):
            os.replace(part, file)
        part.unlink(missing_ok=True)


def _complete(part: Path) -> bool:
    """Whether the writer has come to its end: only then does the file have a footer."""
    try:
        parquet.read_metadata(part)
    except (pa.ArrowException, OSError):
        return False
    return True


def _batches(url: str, query: str) -> Iterator[pa.RecordBatch]:
    if url.startswith("duckdb:///"):
        return duckdb_batches(Path(url.removeprefix("duckdb:///")), query)
    if url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        return _sql_batches(url, query)
    raise UnreadableSource(shown(url), "no such database is known", _ALLOWED)


def _sql_batches(url: str, query: str) -> Iterator[pa.RecordBatch]:
    """Rows by the ten thousand. The first part decides the types."""
    with open_foreign(url, query) as result:
        names = list(result.keys())
        while rows := result.fetchmany(FETCHED_ROWS):
            yield _batch(names, rows)


def _batch(names: Sequence[str], rows: Sequence[Any]) -> pa.RecordBatch:
    values = [tuple(row) for row in rows]
    frame = pl.DataFrame(values, schema=list(names), orient="row", infer_schema_length=None, strict=False)
    decimals = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Decimal)]
    table = frame.with_columns(pl.col(decimals).cast(pl.Float64)).to_arrow()
    # What is empty so far may turn out to be anything, and anything can be told as a text.
    told = pa.schema([pa.field(f.name, pa.string() if pa.types.is_null(f.type) else f.type) for f in table.schema])
    return table.cast(told).combine_chunks().to_batches()[0]


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` in the types of the first. Raises UnreadableSource when a column's values change their type."""
    try:
        return batch if batch.schema.equals(schema) else batch.cast(schema)
    except pa.ArrowInvalid as error:
        raise UnreadableSource("The result", f"a column changes its type: {error}", "Cast it in the query.") from error
