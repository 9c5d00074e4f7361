"""Time: aware UTC inside, half-open windows, the clock as an argument."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pilothouse.data.errors import InvalidWindow, NaiveTime

Clock = Callable[[], datetime]

_BACK = re.compile(r"(\d{1,5})([hdw])")
_UNIT = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def utc_now() -> datetime:
    """The present moment, aware, in UTC. The only clock of the product; whatever needs one takes it as an argument."""
    return datetime.now(UTC)


def as_utc(time: datetime, what: str = "a time") -> datetime:
    """`time` in UTC. Raises NaiveTime when it has no zone: a guess would be wrong twice a year."""
    if time.tzinfo is None:
        raise NaiveTime(what)
    return time.astimezone(UTC)


def parse_time(text: str, what: str = "a time") -> datetime:
    """An ISO 8601 time as aware UTC.

    >>> parse_time("2026-03-03T01:00:00+01:00").isoformat()
    '2026-03-03T00:00:00+00:00'
    """
    try:
        return as_utc(datetime.fromisoformat(text), what)
    except ValueError:
        raise InvalidWindow(text) from None


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of event time: `start` included, `end` excluded, both aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_utc(self.start, "the window's start"))
        object.__setattr__(self, "end", as_utc(self.end, "the window's end"))
        if self.start >= self.end:
            given = f"{self.start.isoformat()}/{self.end.isoformat()}"
            raise InvalidWindow(given, "does not end after it begins", "Put the earlier time first: START/END.")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def before(self) -> Window:
        """The window of the same length that ends where this one starts."""
        return Window(self.start - self.length, self.start)

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


def parse_span(text: str) -> timedelta:
    """The length that `7d`, `24h` or `8w` names. Raises InvalidWindow.

    >>> parse_span("8w").days
    56
    """
    length = _length(text)
    if length is None:
        raise InvalidWindow(text, "is not a length of time", "Use hours, days or weeks, such as 24h, 7d or 8w.")
    return length


def _length(text: str) -> timedelta | None:
    """None for what names no length, or none at all."""
    found = _BACK.fullmatch(text.strip())
    return int(found[1]) * _UNIT[found[2]] if found and int(found[1]) else None


def parse_window(text: str, data_end: datetime) -> Window:
    """The window that `text` names: `7d`, `24h`, `8w` back from `data_end`, or `START/END` in ISO 8601.

    Raises InvalidWindow, or NaiveTime when a given time has no zone.

    >>> parse_window("7d", datetime(2026, 1, 8, tzinfo=UTC)).start.isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    start, slash, end = text.partition("/")
    if not slash:
        length = _length(text)
        if length is None:
            raise InvalidWindow(text)
        return Window(data_end - length, data_end)
    return Window(parse_time(start, "the window's start"), parse_time(end, "the window's end"))
