"""The file of rows set aside: complete or not there, and ready to be mended and imported again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import polars as pl

from pilothouse.data.errors import UnreadableSource
from pilothouse.ops.imports.raw import REASONS
from pilothouse.ops.imports.sources import LINE, Chunk

TEXT = "bad_text"
"""Column for lines that could not be cut into fields."""


class BadRows:
    """Writes rows with their line and reasons beside `path` and puts them in its place at the end, if there are any.

    columns : the raw columns, as they are called in the source. As a context manager: an error leaves the unfinished
    file, whose name ends in `.part`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.rows = path, 0
        self._columns = [LINE, REASONS, *(c for c in columns if c not in (LINE, REASONS, TEXT)), TEXT]
        self._part = path.with_name(path.name + ".part")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            os.replace(self._part, self.path)

    @property
    def written(self) -> Path | None:
        return self.path if self.rows else None

    def write(self, bad: pl.DataFrame, chunk: Chunk) -> None:
        """Rows with faults, and the broken lines of their chunk, in the order of the source."""
        rows = all_bad(bad, chunk)
        if rows.height:
            self._append(rows)

    def _append(self, rows: pl.DataFrame) -> None:
        missing = [pl.lit(None, pl.String).alias(name) for name in self._columns if name not in rows.columns]
        first = self._file is None
        if self._file is None:
            try:
                self._file = self._part.open("wb")
            except OSError as error:
                raise UnreadableSource(
                    f"The file of bad rows {self._part}", str(error.strerror), "Name another with --bad-rows FILE."
                ) from error
        rows.with_columns(missing).select(self._columns).write_csv(self._file, include_header=first)
        self.rows += rows.height


def all_bad(bad: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    """Rows with faults as texts, and the broken lines of their chunk, in the order of the source."""
    texts = bad.select(pl.col(LINE), *(_as_text(column) for column in bad.drop(LINE)))
    return pl.concat([texts, _broken(chunk)] if chunk.broken else [texts], how="diagonal").sort(LINE)


def _as_text(column: pl.Series) -> pl.Series:
    """A list as it is read again from a mended file, named fields as JSON."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        inside = column.list.eval(pl.element().cast(pl.String).fill_null("")).list.join(", ")
        return pl.select(pl.format("[{}]", inside).alias(column.name)).to_series()
    return column.struct.json_encode() if isinstance(column.dtype, pl.Struct) else column.cast(pl.String, strict=False)


def _broken(chunk: Chunk) -> pl.DataFrame:
    return pl.DataFrame(
        {
            LINE: [line for line, _ in chunk.broken],
            REASONS: ["the line has too few or too many fields"] * len(chunk.broken),
            TEXT: [text for _, text in chunk.broken],
        },
        schema={LINE: pl.Int64, REASONS: pl.String, TEXT: pl.String},
    )


def default_path(source: Path | None, model: str) -> Path:
    """Beside the source; for a query's result, in the folder that the command was given in."""
    return Path(f"{model}.bad-rows.csv") if source is None else source.with_name(f"{source.stem}.bad-rows.csv")
