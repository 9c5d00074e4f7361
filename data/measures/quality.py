"""What is said of the quality of a model's data: rules with their violations, hours with their rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pilothouse.data.history.results import State
from pilothouse.data.measures.rules import Rule
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """A rule over a window. rows : those it was asked of. violations : those that break it.

    state : critical where a bucket of the last day is broken (or all of them together are, where each has too few rows to
    say), watch where an earlier one is. since : start of the newest stretch of broken buckets; None where none is.
    broken : number of buckets in which more rows break it than is tolerated, beyond chance.
    examples : ids of the newest predictions that break it, at most ten.
    """

    rule: Rule
    rows: int
    violations: int
    state: State
    since: datetime | None = None
    broken: int = 0
    examples: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        return self.violations / self.rows if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPoint:
    """One bucket: its rows, and how many break each rule, in the order of the lines' names."""

    window: Window
    rows: int
    violations: dict[str, int]
    broken: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeHour:
    """The rows of an hour beside those of the same hour of past weeks. expected, low, high : None without weeks enough."""

    window: Window
    rows: int
    errors: int
    expected: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def odd(self) -> str:
        """`too few`, `too many`, or nothing."""
        if self.low is not None and self.rows < self.low:
            return "too few"
        return "too many" if self.high is not None and self.rows > self.high else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How much came, and when last.

    weeks : past weeks each hour is compared with, at most. reason : why nothing can be said, empty where it can.
    last_at : event time of the newest row. age : of it, when asked. usual_gap : the longest stretch without a row that a
    usual day has. missed : rows that usually come in the time since the last one. late : whether more are missed than
    chance explains, and the gap is longer than usual.
    """

    state: State
    hours: tuple[VolumeHour, ...]
    weeks: int
    reason: str
    last_at: datetime | None
    age: timedelta | None
    usual_gap: timedelta | None
    missed: float | None
    late: bool
    rows: int
    errors: int

    @property
    def error_share(self) -> float | None:
        """Share of the requests' rows that ended in an error."""
        return self.errors / (self.rows + self.errors) if self.rows + self.errors else None

    @property
    def odd_hours(self) -> tuple[VolumeHour, ...]:
        return tuple(hour for hour in self.hours if hour.odd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Rules and volume over a window; `rules` worst first.

    schema_version : of the rules, 0 for those inferred from the reference. unshown : how many sensitive columns are left
    out. every : length of a bucket.
    """

    model: str
    window: Window
    schema_version: int
    tolerated: float
    rows: int
    every: timedelta
    rules: tuple[RuleLine, ...]
    points: tuple[QualityPoint, ...]
    volume: Volume
    unshown: int = 0

    @property
    def broken(self) -> tuple[RuleLine, ...]:
        return tuple(line for line in self.rules if line.state in (State.CRITICAL, State.WATCH))

    @property
    def state(self) -> State:
        """The worst of all."""
        order = list(State)
        states = [line.state for line in self.rules] + [self.volume.state]
        return min((s for s in states if s is not State.NO_DATA), key=order.index, default=State.NO_DATA)
