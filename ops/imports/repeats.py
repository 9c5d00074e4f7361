"""Rows that come twice: within a source, and in the log already."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.imported import known_rows
from pilothouse.data.log.repeats import IDENTITY, identities
from pilothouse.ops.imports.raw import REASONS, Read

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


class Seen:
    """Remembers each id by eight bytes, in sorted runs of growing length: ten million ids are 80 MB.

    Two ids of one hash would set a row aside that is none of a repeat: among ten million, once in 400,000 imports; and
    the row would stand in the file of bad rows.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def repeats(self, ids: pl.DataFrame) -> pl.Series:
        """Which rows have come before, here or in an earlier call; the others are remembered. ids : columns that identify."""
        hashes = ids.hash_rows(seed=7)
        # Sorted first: look-ups that go up through a run meet its pages in order, ten times as fast as at random.
        new = np.sort(hashes.to_numpy())
        twice = bool((new[1:] == new[:-1]).any())
        known = np.concatenate([new[:0], *(new[_within(run, new)] for run in self._runs)])
        self._remember(np.setdiff1d(new, known) if twice or len(known) else new)
        if not twice and not len(known):
            return pl.repeat(False, len(new), eager=True)
        return ~hashes.is_first_distinct() | hashes.is_in(pl.Series(known).implode())

    def _remember(self, new: Hashes) -> None:
        # Runs double in length, so that a row is merged a few times only and a look-up meets a few runs only.
        while self._runs and len(self._runs[-1]) <= len(new):
            new = np.sort(np.concatenate([self._runs.pop(), new]), kind="stable")
        if len(new):
            self._runs.append(new)


def _within(run: Hashes, asked: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of `asked` stand in `run`; both are sorted."""
    place = np.searchsorted(run, asked)
    found: np.ndarray[Any, np.dtype[np.bool_]] = run[np.minimum(place, len(run) - 1)] == asked
    return found


def without_repeats(read: Read, seen: Seen, raw: pl.DataFrame, line: str) -> Read:
    """`read` with the rows whose id has come before in the source among the bad ones. raw : the chunk's own rows."""
    repeated = seen.repeats(identities(read.good))
    if not repeated.any():
        return read
    lines = read.good.filter(repeated)[line]
    found = raw.filter(pl.col(line).is_in(lines.implode())).with_columns(
        pl.lit("the id has come before in this source").alias(REASONS)
    )
    return Read(good=read.good.filter(~repeated), bad=pl.concat([read.bad, found.select(read.bad.columns)]))


def already_there(good: pl.DataFrame, folder: DeltaFolder, days_back: int) -> pl.Series:
    """Which rows are answers that the log holds, within some days around their own."""
    days = _days_around(good["at"].dt.date().unique().to_list(), days_back)
    files = folder.files(keep=days.__contains__) if good.height else []
    known = known_rows(good.select(IDENTITY).to_arrow(), files) if files else []
    mask = np.zeros(good.height, dtype=bool)
    mask[known] = True
    return pl.Series(mask)


def _days_around(days: list[date], back: int) -> set[str]:
    return {(day + timedelta(days=shift)).isoformat() for day in days for shift in range(-back, back + 1)}
