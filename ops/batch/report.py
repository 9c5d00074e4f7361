"""What a batch did: values that say it in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from pilothouse.data.state import audit
from pilothouse.data.state.store import State

ACT = "score"
"""The act under which the audit trail has a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of a batch: `read` is the sum of `scored` and `set_aside`. logged : those that came into the log just now;
    the other scored ones stood there before, or were not to be logged."""

    read: int = 0
    scored: int = 0
    set_aside: int = 0
    logged: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(
            read=self.read + other.read,
            scored=self.scored + other.scored,
            set_aside=self.set_aside + other.set_aside,
            logged=self.logged + other.logged,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """What a batch did. out : where its rows are, None when they are in `frame`. bad_rows : the file of those set aside.

    frame, bad : scored rows, and rows set aside with their line and reasons, where no file was asked for.
    log : whether the rows were to be logged. resumed : it went on with a batch that was broken off. done_before : its
    rows stood in `out` already, and nothing was done.
    """

    model: str
    version: int
    source: str
    out: Path | None
    counts: Counts
    bad_rows: Path | None
    log: bool
    seconds: float
    resumed: bool = False
    done_before: bool = False
    frame: pl.DataFrame | None = None
    bad: pl.DataFrame | None = None

    @property
    def sentence(self) -> str:
        if self.done_before:
            return f"{self.source} was scored by {self._by} into {self.out} before; nothing was done."
        again = " (gone on with)" if self.resumed else ""
        where = f" into {self.out}" if self.out else ""
        return f"Scored {self.counts.scored:,} rows of {self.source} with {self._by}{where}{again}: {self._rest}."

    @property
    def rows_per_s(self) -> float:
        return self.counts.read / self.seconds if self.seconds else 0.0

    @property
    def _by(self) -> str:
        return f"{self.model} v{self.version}"

    @property
    def _rest(self) -> str:
        aside = f"{self.counts.set_aside:,} set aside" + (f" in {self.bad_rows}" if self.bad_rows else "")
        return f"{self._logged}, {aside}; {self.seconds:.1f} s, {self.rows_per_s:,.0f} rows a second"

    @property
    def _logged(self) -> str:
        if not self.log:
            return "none logged"
        before = self.counts.scored - self.counts.logged
        return f"{self.counts.logged:,} logged" + (f", {before:,} logged before" if before else "")

    def __repr__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """A batch that is done, as the audit trail has it."""

    at: datetime
    actor: str
    source: str
    version: int
    rows: int
    set_aside: int
    logged: int
    seconds: float


def batch_runs(state: State, model: str, limit: int = 20) -> tuple[BatchRun, ...]:
    """The newest batches of `model` that are done, newest first."""
    with state.read() as conn:
        found = audit.rows(conn, model, limit, act=ACT)
    return tuple(
        BatchRun(
            at=row.at, actor=row.actor, source=row.details["source"], version=row.details["version"],
            rows=row.details["rows"], set_aside=row.details["set_aside"], logged=row.details["logged"],
            seconds=row.details["seconds"],
        )
        for row in found
    )  # fmt: skip
