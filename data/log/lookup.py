"""Who belongs together: predictions that a label may speak of, and labels that may speak of a prediction, by their index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.places import index_of, pairs_of, read_rows

if TYPE_CHECKING:
    from pilothouse.data.log.places import Rows

_MANY_PAIRS = 6
"""Pairs of a business key above which the keys that are part of it are too many to be looked up one by one."""
_MANY_ROWS = 200_000
"""Rows above which reading whole files is cheaper than picking."""


def rows_told_of(
    predictions: DeltaFolder, files: Sequence[str], columns: Sequence[str], ids: Sequence[str], keys: Sequence[str]
) -> pl.DataFrame:
    """`columns` of the predictions in `files` with one of `ids`, or with every pair of one of `keys`, and few others."""
    index = index_of(predictions)
    by_id = index.with_values(files, "prediction_id", ids) if ids else {}
    by_key = index.with_pairs(files, "keys", [pairs_of(key) for key in keys]) if keys else {}
    return read_rows(_either(by_id, by_key), columns, predictions.schema)


def labels_about(
    labels: DeltaFolder, files: Sequence[str], columns: Sequence[str], ids: Sequence[str], keys: Sequence[str]
) -> pl.DataFrame | None:
    """`columns` of the labels in `files` that speak of one of `ids`, or of a row with one of `keys`, and few others.

    keys : the business keys of the rows. None when there are so many such labels that a scan is cheaper.
    """
    pairs = [pairs_of(key) for key in keys]
    if any(len(of_row) > _MANY_PAIRS for of_row in pairs):
        return None
    index = index_of(labels)
    by_id = index.with_values(files, "prediction_id", ids) if ids else {}
    parts = {part for of_row in pairs for part in _parts(of_row)}
    found = _either(by_id, index.with_values(files, "key", parts) if parts else {})
    if sum(len(rows) for rows in found.values()) > _MANY_ROWS:
        return None
    return read_rows(found, columns, labels.schema)


def _parts(pairs: Sequence[str]) -> Iterable[str]:
    """Every business key that a row with these pairs answers to, in canonical form."""
    for size in range(1, len(pairs) + 1):
        for some in combinations(pairs, size):
            yield "{" + ",".join(some) + "}"


def _either(one: dict[str, Rows], other: dict[str, Rows]) -> dict[str, Rows]:
    none = np.zeros(0, np.uint32)
    return {
        path: np.union1d(one.get(path, none), other.get(path, none)).astype(np.uint32)
        for path in sorted({*one, *other})
    }
