"""Where rows stand: for each data file the hashes of its ids, or of the pairs of its business keys, sorted, with places.

Made from the file when it is first needed, kept as side files that are mapped into memory, and made again when they are
gone or damaged: a data file never changes, so what was made from it holds for as long as it has its name. A hash may
agree by chance, so whoever is sent to a row looks whether it is the right one.
"""

from __future__ import annotations

import mmap
import os
import shutil
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.limits import check_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Rows = NDArray[np.uint32]

_SEED = 11
_FORM = f"1-{pl.__version__}"
"""Hashes are those of one release of the library that makes them."""
_PAIR = r'"(?:[^"\\]|\\.)*":(?:"(?:[^"\\]|\\.)*"|[^,}]+)'
"""A name and its value in canonical JSON, which holds no lists and no objects (see `canonical_key`)."""
_HEADER = 16
_KEPT_OPEN = 512
_SMALL = 1 << 18
"""Bytes up to which a side file is read; a larger one is mapped, which costs an open file."""
_ONE_BY_ONE = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """hashes : uint64, rising. rows : uint32, same shape: the row that each is of."""

    hashes: Hashes
    rows: Rows

    def of(self, wanted: Hashes) -> Rows:
        """Rows of which a hash is among `wanted`, which rise, too; rising, each once."""
        if len(wanted) > len(self.hashes):
            # Most of so many are in other files: each of the fewer is asked for.
            near = np.minimum(np.searchsorted(wanted, self.hashes), len(wanted) - 1)
            return np.unique(self.rows[wanted[near] == self.hashes])
        first = np.searchsorted(self.hashes, wanted)
        last = np.searchsorted(self.hashes, wanted, side="right")
        met = np.flatnonzero(first < last)
        found = [self.rows[first[i] : last[i]] for i in met]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint32)


class RowIndex:
    """Looks up rows of a table's data files by the values of a column, or by pairs of business keys. Safe between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FORM
        self._open: OrderedDict[str, _Places] = OrderedDict()
        self._lock = threading.Lock()

    def with_values(self, files: Sequence[str], column: str, values: Iterable[str]) -> dict[str, Rows]:
        """Rows that all but surely hold one of `values` in `column`, for each file that has such rows."""
        wanted = np.sort(_hashed(pl.Series(list(set(values)), dtype=pl.String)))
        return _present((path, self._places(path, column, _values).of(wanted)) for path in files)

    def with_pairs(self, files: Sequence[str], column: str, keys: Iterable[Sequence[str]]) -> dict[str, Rows]:
        """Rows whose business keys in `column` all but surely hold every pair of one of `keys`; see `pairs_of`."""
        wanted = [_hashed(pl.Series(key, dtype=pl.String)) for key in keys]
        return _present((path, _with_all(self._places(path, column, _pairs), wanted)) for path in files)

    def keep_only(self, files: Iterable[str]) -> None:
        """Drop the side files of all data files but these."""
        kept = {Path(path).stem for path in files}
        for releases in self._folder.parent.glob("*"):
            if releases != self._folder:
                shutil.rmtree(releases, ignore_errors=True)
        for side in self._folder.glob("*.places"):
            if side.name.split(".")[0] not in kept:
                side.unlink(missing_ok=True)

    def _places(self, path: str, column: str, make: Callable[[pl.Series], _Places]) -> _Places:
        check_limit()
        name = f"{os.path.basename(path).removesuffix('.parquet')}.{column}.places"
        with self._lock:
            held = self._open.pop(name, None)
            if held is None:
                held = _held(f"{self._folder}/{name}") or self._made(path, column, make, name)
            self._open[name] = held
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)
        return held

    def _made(self, path: str, column: str, make: Callable[[pl.Series], _Places], name: str) -> _Places:
        made = make(pl.read_parquet(path, columns=[column], hive_partitioning=False).to_series())
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = made.hashes.tobytes() + made.rows.tobytes()
        unfinished = self._folder / f".{uuid4().hex}"
        unfinished.write_bytes(np.array([len(made.rows), zlib.crc32(content)], np.uint64).tobytes() + content)
        os.replace(unfinished, self._folder / name)
        return made


@lru_cache(maxsize=256)
def _index_at(folder: Path) -> RowIndex:
    return RowIndex(folder)


def index_of(folder: DeltaFolder) -> RowIndex:
    """The index of a model's table, shared by the whole process."""
    root, table, model = folder.path.parents[2], folder.path.parent.name, folder.path.name
    return _index_at(root / "run" / "index" / table / model)


def pairs_of(key: str) -> list[str]:
    """The pairs of a canonical business key, each as it stands there.

    >>> pairs_of('{"carrier":"UA","flight":12}')
    ['"carrier":"UA"', '"flight":12']
    """
    found: list[str] = pl.Series([key]).str.extract_all(_PAIR).to_list()[0]
    return found


def read_rows(places: Mapping[str, Rows], columns: Sequence[str], schema: pa.Schema) -> pl.DataFrame:
    """`columns` of the rows at `places`; a column that a file lacks is null there."""
    known = pl.DataFrame(schema.empty_table()).schema
    wanted = {name: known[name] for name in columns}
    scans = [
        part
        for path, rows in places.items()
        for part in _rows_of(
            pl.scan_parquet(
                path, schema=wanted, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
            ),
            rows,
        )
    ]
    return pl.concat([pl.LazyFrame(schema=wanted), *scans]).collect()


def _rows_of(scan: pl.LazyFrame, rows: Rows) -> list[pl.LazyFrame]:
    """Few rows one by one, since a slice reads no more than the pages it lies in; many from the columns read whole."""
    if len(rows) > _ONE_BY_ONE:
        # Left to the plan, the rows are gathered for each column anew, which took most of a fold of thousands of labels.
        return [scan.collect()[rows].lazy()]
    return [scan.slice(int(row), 1) for row in rows]


def _held(side: str) -> _Places | None:
    """What a side file holds; None when it is not there, or not what was written."""
    try:
        with open(side, "rb") as file:
            large = os.fstat(file.fileno()).st_size > _SMALL
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if large else file.read()
    except FileNotFoundError:
        return None
    rows, checksum = np.frombuffer(content, np.uint64, 2).tolist() if len(content) >= _HEADER else (0, -1)
    if len(content) != _HEADER + 12 * rows or zlib.crc32(memoryview(content)[_HEADER:]) != checksum:
        return None
    hashes = np.frombuffer(content, np.uint64, rows, _HEADER)
    return _Places(hashes, np.frombuffer(content, np.uint32, rows, _HEADER + 8 * rows))


def _values(column: pl.Series) -> _Places:
    rows = np.flatnonzero(column.is_not_null().to_numpy()).astype(np.uint32)
    return _sorted(_hashed(column.drop_nulls()), rows)


def _pairs(column: pl.Series) -> _Places:
    keyed = column.to_frame("key").with_row_index("row").drop_nulls()
    pairs = keyed.select("row", pl.col("key").str.extract_all(_PAIR)).explode("key").drop_nulls()
    return _sorted(_hashed(pairs["key"]), pairs["row"].to_numpy().astype(np.uint32))


def _hashed(texts: pl.Series) -> Hashes:
    hashes: Hashes = texts.hash(_SEED).to_numpy()
    return hashes


def _sorted(hashes: Hashes, rows: Rows) -> _Places:
    order = np.argsort(hashes)
    return _Places(hashes[order], rows[order])


def _with_all(places: _Places, keys: Sequence[Hashes]) -> Rows:
    """Rows that hold every hash of one of `keys`; where one of a key's hashes is nowhere, no other is looked at."""
    none = np.zeros(0, np.uint32)
    if not keys:
        return none
    every = np.concatenate(keys)
    there = np.searchsorted(places.hashes, every) < np.searchsorted(places.hashes, every, side="right")
    ends = np.cumsum([len(key) for key in keys])
    of_key = np.split(there, ends[:-1])
    found = [
        reduce(np.intersect1d, (places.of(key[i : i + 1]) for i in range(len(key))))
        for key, held in zip(keys, of_key, strict=True)
        if len(key) and held.all()
    ]
    return np.unique(np.concatenate([none, *found])).astype(np.uint32)


def _present(found: Iterable[tuple[str, Rows]]) -> dict[str, Rows]:
    return {path: rows for path, rows in found if len(rows)}
