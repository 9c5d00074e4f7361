"""Where rows come from: files and tables of others, read in chunks of raw columns that never fit into memory whole.

Every source gives the same rows in the same order each time it is read, and a digest of them: that is what makes an
import that was broken off go on at the right row. What cannot promise that is first written to a file (queries.py).
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.errors import UnreadableSource
from pilothouse.ops.imports.digests import file_digest, files_digest

LINE = "bad_line"
"""Extra column of a chunk: the line in a CSV file, elsewhere the row, counted from 1."""

CHUNK_ROWS = 1 << 18
SAMPLE_ROWS = 20_000
NO_VALUE = ("", "NULL", "null", "NA", "N/A", "n/a", "NaN", "nan", "None", "\\N", "#N/A")
"""Texts of a CSV file that mean a missing value."""

_KINDS = {".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
_SNIFFED_BYTES = 256 * 1024
_READ_BYTES = 8 * 1024 * 1024
_BATCH_ROWS = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Rows as they are. frame : the raw columns and LINE. broken : (line, text) of lines with too few or many fields."""

    frame: pl.DataFrame
    broken: tuple[tuple[int, str], ...] = ()

    @property
    def rows(self) -> int:
        return self.frame.height + len(self.broken)


class Source(Protocol):
    """A log of somebody else's. `name`: how to speak of it. `rows`: how many it has, None while unknown."""

    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def delimiter(self) -> str | None: ...
    def sample(self) -> pl.DataFrame: ...
    def digest(self) -> str: ...
    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Parquet, Arrow or Delta: anything whose batches carry types. `read` gives the batches of the columns named."""

    name: str
    rows: int | None
    digest_of: Callable[[], str]
    read: Callable[[Sequence[str] | None], Iterable[pa.RecordBatch]]
    delimiter: str | None = None

    def sample(self) -> pl.DataFrame:
        """The first rows, and rows from further on where they are cheap to reach."""
        taken, rows = [], 0
        for batch in self.read(None):
            taken.append(batch)
            rows += batch.num_rows
            if rows >= SAMPLE_ROWS:
                break
        return _plain(pa.Table.from_batches(taken)).head(SAMPLE_ROWS) if taken else pl.DataFrame()

    def digest(self) -> str:
        return self.digest_of()

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
        start = 1
        for table in _rechunked(self.read(columns)):
            lines = pl.Series(LINE, np.arange(start, start + table.num_rows, dtype=np.int64))
            start += table.num_rows
            yield Chunk(frame=_plain(table).with_columns(lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv:
    """Text with a delimiter. Every column is read as text: what it means is for the mapping to say."""

    path: Path
    encoding: str
    delimiter: str
    quote: str
    skip: int
    names: tuple[str, ...]
    header: bool = True
    rows: int | None = None

    @property
    def name(self) -> str:
        return self.path.name

    def sample(self) -> pl.DataFrame:
        first = next(self.chunks(), None)
        frame = pl.DataFrame(schema=dict.fromkeys(self.names, pl.String)) if first is None else first.frame.drop(LINE)
        return frame.head(SAMPLE_ROWS)

    def digest(self) -> str:
        return file_digest(self.path)

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
        wanted = [name for name in self.names if columns is None or name in columns]
        numbering = _Lines(self.skip + 1 + self.header)
        last: Chunk | None = None
        for table in _rechunked(self._batches(wanted, numbering.broken_line)):
            if last is not None:
                yield last
            lines, broken = numbering.next(table.num_rows)
            last = Chunk(frame=_plain(table).with_columns(pl.Series(LINE, lines)), broken=broken)
        rest = numbering.rest()
        if last is not None:
            yield replace(last, broken=(*last.broken, *rest))
        elif rest:
            yield Chunk(frame=pl.DataFrame(schema={**dict.fromkeys(wanted, pl.String), LINE: pl.Int64}), broken=rest)

    def _batches(self, wanted: Sequence[str], broken: Callable[[Any], str]) -> Iterator[pa.RecordBatch]:
        try:
            with self._open(wanted, broken) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            way_out = f"It is read as {self.encoding}; --encoding says otherwise. Or mend the file."
            raise UnreadableSource(self.name, str(error).splitlines()[0].rstrip("."), way_out) from error

    def _open(self, wanted: Sequence[str], broken: Callable[[Any], str]) -> Any:
        from pyarrow import csv

        return csv.open_csv(
            self.path,
            # One thread: only then does a broken line know its number.
            read_options=csv.ReadOptions(
                use_threads=False, block_size=_READ_BYTES, encoding=self.encoding, skip_rows=self.skip + self.header,
                column_names=list(self.names),
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.delimiter, quote_char=self.quote, newlines_in_values=True,
                invalid_row_handler=broken,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()), include_columns=list(wanted),
                strings_can_be_null=True, null_values=list(NO_VALUE),
            ),
        )  # fmt: skip


@dataclass(slots=True)
class _Lines:
    """Gives every row its line, and every broken line its place: the reader leaves those out and tells us of them.

    following : the line of the next row. The reader may be some blocks ahead of what has been taken from it.
    """

    following: int
    _broken: list[tuple[int, str]] = field(default_factory=list)
    _offset: int | None = None

    def broken_line(self, row: Any) -> str:
        self._broken.append((row.number, row.text))
        return "skip"

    def next(self, rows: int) -> tuple[np.ndarray[Any, Any], tuple[tuple[int, str], ...]]:
        """Lines of the next `rows` good rows, and the broken ones before the last of them."""
        numbers = np.array([number for number, _ in self._broken], dtype=np.int64)
        lines = np.arange(self.following, self.following + rows + len(numbers), dtype=np.int64)
        lines = lines[~np.isin(lines, numbers)][:rows]
        last = int(lines[-1]) if rows else self.following - 1
        before = tuple(one for one in self._broken if one[0] <= last)
        self._broken = [one for one in self._broken if one[0] > last]
        self.following = last + 1
        return lines, before

    def rest(self) -> tuple[tuple[int, str], ...]:
        return tuple(self._broken)


def open_source(path: Path, *, encoding: str | None = None) -> Source:
    """The log at `path`: a CSV, Parquet or Arrow file, a folder of Parquet files, or a Delta table.

    encoding : of a CSV file; None to find out. Raises UnreadableSource.
    """
    if not path.exists():
        raise UnreadableSource(str(path), "it does not exist", "Check the path.")
    try:
        if path.is_dir():
            return _open_delta(path) if (path / "_delta_log").is_dir() else _open_parquet(path)
        kind = _KINDS.get(path.suffix.lower())
        return (
            _open_parquet(path)
            if kind == "parquet"
            else _open_arrow(path)
            if kind == "arrow"
            else open_csv(path, encoding)
        )
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UnreadableSource(path.name, str(error).splitlines()[0], _FORMATS_SAID) from error


_FORMATS_SAID = "Give a CSV, Parquet or Arrow (Feather) file, a folder of Parquet files, or a Delta table."


def open_csv(path: Path, encoding: str | None = None) -> Csv:
    """A delimited text file; how it is written is found out from its first part. Raises UnreadableSource."""
    from pilothouse.data.sql.sniff import sniff_csv

    found = encoding or _encoding(path)
    with path.open("rb") as file:
        head = codecs.getincrementaldecoder(found)("replace").decode(file.read(_SNIFFED_BYTES))
    if not head.strip():
        raise UnreadableSource(path.name, "it is empty", _FORMATS_SAID)
    if "\0" in head:
        raise UnreadableSource(path.name, "it is not a text file", _FORMATS_SAID)
    dialect = sniff_csv(head)
    return Csv(
        path=path, encoding=found, delimiter=dialect.delimiter, quote=dialect.quote or '"', skip=dialect.skip_rows,
        names=_distinct(dialect.names), header=dialect.header,
    )  # fmt: skip


def _open_parquet(path: Path) -> Tables:
    from pyarrow import parquet

    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise UnreadableSource(path.name, "the folder holds no Parquet file", _FORMATS_SAID)
    schema = parquet.read_schema(files[0])
    rows = sum(parquet.read_metadata(file).num_rows for file in files)

    def read(columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        for file in files:
            # Not as a dataset: that reads row groups whole, and a row group may be a million rows.
            with parquet.ParquetFile(file, pre_buffer=False) as opened:
                known = [name for name in wanted.names if name in opened.schema_arrow.names]
                for batch in opened.iter_batches(_BATCH_ROWS, columns=known, use_threads=False):
                    yield batch if batch.schema.equals(wanted) else _fitted(batch, wanted)

    return Tables(name=path.name, rows=rows, digest_of=lambda: files_digest(files), read=read)


def _open_arrow(path: Path) -> Tables:
    """Arrow's file format (Feather 2) or its stream format."""
    try:
        with pa.memory_map(str(path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
    except pa.ArrowInvalid:
        rows = None

    def read(columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        with pa.memory_map(str(path)) as mapped:
            batches: Iterable[pa.RecordBatch]
            if rows is None:
                batches = pa.ipc.open_stream(mapped)
            else:
                file = pa.ipc.open_file(mapped)
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
            for batch in batches:
                yield batch.select(list(columns)) if columns else batch

    next(iter(read(None)), None)
    return Tables(name=path.name, rows=rows, digest_of=lambda: file_digest(path), read=read)


def _open_delta(path: Path) -> Tables:
    """One version of a Delta table, named by the table's id: a version never changes."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError
    from pyarrow import dataset

    try:
        table = DeltaTable(path)
    except DeltaError as error:
        raise UnreadableSource(path.name, str(error), "Give the folder of a Delta table.") from error
    version, identity = table.version(), table.metadata().id
    schema = pa.schema(table.schema().to_arrow())
    partitions = table.metadata().partition_columns
    files = sorted(unquote(uri.removeprefix("file://")) for uri in table.file_uris())
    partitioning = dataset.partitioning(pa.schema([schema.field(p) for p in partitions]), flavor="hive")
    read_from = dataset.dataset(files, schema=schema, format="parquet", partitioning=partitioning)

    def read(columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        for fragment in read_from.get_fragments():
            yield from fragment.to_batches(schema=schema, columns=columns and list(columns), batch_readahead=2)

    rows = read_from.count_rows()
    said = hashlib.sha256(f"{identity}/{version}".encode()).hexdigest()
    return Tables(name=path.name, rows=rows, digest_of=lambda: said, read=read)


def _encoding(path: Path) -> str:
    """UTF-8 or UTF-16 where a mark or the bytes say so, otherwise the one of Windows in the West."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if _is_utf8(path):
        return "utf-8"
    return "cp1252"


def _is_utf8(path: Path) -> bool:
    """The whole file is looked at: one umlaut in its last line would stop the import at its end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while part := file.read(_READ_BYTES):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Column names as they are, numbered where one comes twice, and named by place where one is empty."""
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        wanted = name.strip() or f"column {place}"
        twins = sum(1 for known in found if known == wanted or known.startswith(f"{wanted} ("))
        found.append(f"{wanted} ({twins + 1})" if wanted in found else wanted)
    return tuple(found)


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` in the columns of the first file: what it lacks is missing in its rows."""
    known = set(batch.schema.names)
    columns = [
        batch[field.name].cast(field.type) if field.name in known else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)


def _plain(table: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(table)
    packed = [name for name, dtype in frame.schema.items() if dtype in (pl.Categorical, pl.Enum)]
    return frame.with_columns(pl.col(packed).cast(pl.String)) if packed else frame


def _rechunked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of exactly CHUNK_ROWS, but for the last: a chunk's number says which rows it holds."""
    kept: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + batch.num_rows >= CHUNK_ROWS:
            wanted = CHUNK_ROWS - rows
            yield pa.Table.from_batches([*kept, batch.slice(0, wanted)])
            kept, rows, batch = [], 0, batch.slice(wanted)
        if batch.num_rows:
            kept.append(batch)
            rows += batch.num_rows
    if kept:
        yield pa.Table.from_batches(kept)
