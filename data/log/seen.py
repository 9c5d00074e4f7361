"""Which files hold a row, without reading them again: the hashes of their identities, kept in memory.

A data file never changes, so its hashes hold for as long as it has its name. A hash may agree by chance, so who finds
one looks into the file itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

HELD_BYTES = 128 * 1024 * 1024
"""Memory for hashes, 8 bytes a row; what was asked for longest ago goes first."""


class Seen:
    """Sorted hashes of the rows of data files, over the columns that make up a row's identity. Safe between threads.

    columns : that are read. alike : from them to columns in which rows of one identity agree; None when they do.
    """

    def __init__(
        self,
        columns: Sequence[str],
        alike: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
        *,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._columns = tuple(columns)
        self._alike = alike
        self._held_bytes = held_bytes
        self._files: OrderedDict[str, Hashes] = OrderedDict()
        self._lock = threading.Lock()

    def files_with(self, files: Sequence[str], rows: pl.DataFrame) -> list[str]:
        """Those of `files` that all but surely hold one of `rows`, which have the columns of the identity."""
        wanted = np.sort(self._hashed(rows))
        with self._lock:
            return [path for path in files if _meet(self._hashes(path), wanted)]

    def _hashes(self, path: str) -> Hashes:
        held = self._files.pop(path, None)
        if held is None:
            held = np.sort(self._hashed(pl.read_parquet(path, columns=list(self._columns), hive_partitioning=False)))
        self._files[path] = held
        while len(self._files) > 1 and sum(h.nbytes for h in self._files.values()) > self._held_bytes:
            self._files.popitem(last=False)
        return held

    def _hashed(self, rows: pl.DataFrame) -> Hashes:
        identities = rows.select(self._columns)
        hashes: Hashes = (self._alike(identities) if self._alike else identities).hash_rows(seed=7).to_numpy()
        return hashes


def _meet(held: Hashes, wanted: Hashes) -> bool:
    """Whether two sorted arrays share a value; looks up the shorter in the longer."""
    long, short = (held, wanted) if len(held) >= len(wanted) else (wanted, held)
    if not len(short):
        return False
    at: Any = np.minimum(np.searchsorted(long, short), len(long) - 1)
    return bool((long[at] == short).any())
