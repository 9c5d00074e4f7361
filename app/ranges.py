"""Time ranges as the URL and the sidebar hold them: short stable texts, read and written here; pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from pilothouse.data.errors import InvalidWindow
from pilothouse.data.windows import Window, parse_span

PRESETS = ("24h", "7d", "14d", "30d", "12w", "26w", "52w")
DEFAULT_RANGE = "14d"
_CUSTOM = re.compile(r"(\d{4}-\d\d-\d\d(?:T\d\d:\d\d)?)~(\d{4}-\d\d-\d\d(?:T\d\d:\d\d)?)")
_UNITS = {"h": "hour", "d": "day", "w": "week"}
_EARLIEST_YEAR = 1970
_LONGEST = timedelta(days=3660)
"""Ten years: a mistyped year must not make the pages draw thousands of empty weeks."""


def name(text: str) -> str:
    """A range in words, to stand in a sentence.

    >>> name("14d"), name("1w"), name("2026-09-01~2026-09-08T07:00")
    ('last 14 days', 'last week', '2026-09-01 to 2026-09-08 07:00')
    """
    if not is_back(text):
        return text.replace("~", " to ").replace("T", " ")
    count, unit = int(text[:-1]), _UNITS[text[-1]]
    return f"last {unit}" if count == 1 else f"last {count} {unit}s"


def short(text: str) -> str:
    """A range for the head of a column.

    >>> short("14d"), short("2026-09-01~2026-09-08")
    ('14d', 'chosen range')
    """
    return text if is_back(text) else "chosen range"


def is_back(text: str) -> bool:
    """Whether `text` counts back from the end of the data, like `14d` or `8w`, by ten years at most."""
    try:
        return parse_span(text) <= _LONGEST
    except InvalidWindow:
        return False


def is_known(text: str, zone: tzinfo) -> bool:
    """Whether a page can show the range `text`; what it cannot is dropped, as an unknown value in a URL is."""
    return is_back(text) or parse_custom(text, zone) is not None


def parse_custom(text: str, zone: tzinfo) -> Window | None:
    """A span as the URL holds it, `2026-09-01~2026-09-08` or with `T07:30`; None when it is not one.

    >>> from datetime import UTC
    >>> parse_custom("2026-09-01~2026-09-08", UTC).length.days
    7
    """
    found = _CUSTOM.fullmatch(text or "")
    if not found:
        return None
    try:
        start, end = (datetime.fromisoformat(part).replace(tzinfo=zone) for part in found.groups())
    except ValueError:
        return None
    sound = start.year >= _EARLIEST_YEAR and start < end and end - start <= _LONGEST
    return Window(start, end) if sound else None


def custom_text(start: datetime, end: datetime) -> str:
    """Two wall-clock times as the URL holds them: whole days without the hour.

    >>> custom_text(datetime(2026, 9, 1), datetime(2026, 9, 8))
    '2026-09-01~2026-09-08'
    """
    whole = all((t.hour, t.minute) == (0, 0) for t in (start, end))
    pattern = "%Y-%m-%d" if whole else "%Y-%m-%dT%H:%M"
    return f"{start:{pattern}}~{end:{pattern}}"


def window_text(window: Window, zone: tzinfo) -> str:
    """A window as the URL holds it, in the wall-clock time of `zone`."""
    return custom_text(window.start.astimezone(zone), window.end.astimezone(zone))


def snapped(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """A drag rounded to what a person meant: whole days, or whole hours when it spans two days or less."""
    if end - start > timedelta(days=2):
        first = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return first, end.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    first = start.replace(minute=0, second=0, microsecond=0)
    return first, end.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
