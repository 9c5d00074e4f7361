"""Figures and times as text: one style everywhere, made here and never by the browser's locale.

A value that cannot be said (None, NaN) is an en dash, so that it is never mistaken for a zero.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, tzinfo

from pilothouse.data.windows import Window

NOTHING = "–"
MINUS = "\u2212"


def _said(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def count(value: float | None) -> str:
    """
    >>> count(336776)
    '336,776'
    """
    return f"{value:,.0f}" if value is not None and _said(value) else NOTHING


def compact(value: float | None) -> str:
    """A count in at most four figures, for a tile.

    >>> compact(10_720), compact(512), compact(3_400_000)
    ('10.7 k', '512', '3.4 M')
    """
    if value is None or not _said(value):
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.1f} {unit}"
    return count(value)


def number(value: float | None, decimals: int = 3) -> str:
    """
    >>> number(0.6764), number(-0.02, 2), number(None)
    ('0.676', '−0.02', '–')
    """
    return _written(value, f".{decimals}f") if value is not None and _said(value) else NOTHING


def figure(value: float | None, like: float | None = None) -> str:
    """A value of any size: the larger, the fewer decimals. like : the value whose decimals it takes, to stand beside it.

    >>> figure(0.7214), figure(169.157), figure(-12345.678), figure(1e300), figure(None)
    ('0.721', '169.2', '−12,346', '1e+300', '–')
    >>> figure(3.252, like=40.3)
    '3.3'
    """
    if value is None or not _said(value):
        return NOTHING
    size = abs(value if like is None or not _said(like) else like)
    form = ",.3f" if size < 10 else ",.1f" if size < 10_000 else ",.0f"
    return _written(value, form if max(size, abs(value)) < 1e12 else ".3g")


def change(value: float | None, like: float | None = None) -> str:
    """A difference of values of any size. like : as in `figure`.

    >>> change(37.08), change(-0.0479), change(249.6), change(-0.0001)
    ('+37.1', '−0.048', '+249.6', '0.000')
    """
    written = figure(value, like)
    return f"+{written}" if value is not None and value > 0 and _is_not_zero(written) else written


def edges(low: float | None, high: float | None, like: float | None = None) -> str:
    """
    >>> edges(92.435, 1096.112)
    '92.4 to 1,096.1'
    """
    return f"{figure(low, like)} to {figure(high, like)}" if _said(low) and _said(high) else NOTHING


def _written(value: float, form: str) -> str:
    """What rounds to zero has no sign."""
    written = f"{value:{form}}"
    return written.replace("-", MINUS) if _is_not_zero(written) else written.lstrip("+-")


def _is_not_zero(written: str) -> bool:
    return any(digit in written for digit in "123456789")


def short(text: str, longest: int = 48) -> str:
    """A name of any length; the middle of a long one is left out, since names often differ in their ends.

    >>> short("carrier"), short("a_very_long_name_of_a_feature_12", 16)
    ('carrier', 'a_very_l…ture_12')
    """
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def signed(value: float | None, decimals: int = 3) -> str:
    """
    >>> signed(0.0479), signed(-0.009)
    ('+0.048', '−0.009')
    """
    return _written(value, f"+.{decimals}f") if value is not None and _said(value) else NOTHING


def share(value: float | None, decimals: int = 1) -> str:
    """
    >>> share(0.0423)
    '4.2%'
    """
    return f"{100 * value:.{decimals}f}%".replace("-", MINUS) if value is not None and _said(value) else NOTHING


def points(value: float | None, decimals: int = 1) -> str:
    """A difference of two shares, in percentage points.

    >>> points(-0.031)
    '−3.1 pp'
    """
    said = value is not None and _said(value)
    return f"{signed(100 * value, decimals)} pp" if value is not None and said else NOTHING


def milliseconds(value: float | None) -> str:
    """
    >>> milliseconds(4.24), milliseconds(121.6)
    ('4.2 ms', '122 ms')
    """
    if value is None or not _said(value):
        return NOTHING
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:,.0f} ms"


def band(low: float | None, high: float | None, decimals: int = 3) -> str:
    """
    >>> band(0.661, 0.69)
    '0.661 to 0.690'
    """
    return f"{number(low, decimals)} to {number(high, decimals)}" if _said(low) and _said(high) else NOTHING


def duration(length: timedelta | None) -> str:
    """
    >>> duration(timedelta(seconds=41)), duration(timedelta(minutes=12, seconds=8)), duration(timedelta(weeks=8))
    ('41 s', '12 min 8 s', '8 weeks')
    """
    if length is None:
        return NOTHING
    seconds = length.total_seconds()
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.0f} h"
    weeks, days = divmod(round(seconds / 86400), 7)
    return f"{weeks} week{'s' if weeks > 1 else ''}" if weeks and not days else f"{round(seconds / 86400)} days"


def day(time: datetime | None, zone: tzinfo) -> str:
    """
    >>> from datetime import UTC
    >>> day(datetime(2026, 9, 2, tzinfo=UTC), UTC)
    '2 Sep'
    """
    return f"{time.astimezone(zone):%-d %b}" if time else NOTHING


def day_of(time: datetime, zone: tzinfo) -> str:
    """A moment, or the day alone where it is the beginning of one.

    >>> from datetime import UTC
    >>> day_of(datetime(2026, 9, 2, tzinfo=UTC), UTC), day_of(datetime(2026, 9, 2, 7, tzinfo=UTC), UTC)
    ('2 Sep 2026', '2 Sep 2026 07:00')
    """
    written = moment(time, zone)
    return written.removesuffix(" 00:00")


def moment(time: datetime | None, zone: tzinfo) -> str:
    """
    >>> from datetime import UTC
    >>> moment(datetime(2026, 9, 2, 7, 5, tzinfo=UTC), UTC)
    '2 Sep 2026 07:05'
    """
    return f"{time.astimezone(zone):%-d %b %Y %H:%M}" if time else NOTHING


def second(time: datetime | None, zone: tzinfo) -> str:
    return f"{time.astimezone(zone):%-d %b %Y %H:%M:%S}" if time else NOTHING


def span(window: Window, zone: tzinfo) -> str:
    """A window in words; its last day is named, though the window ends before the day after.

    >>> from datetime import UTC
    >>> span(Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 15, tzinfo=UTC)), UTC)
    '1 Sep to 14 Sep'
    """
    last = window.end - timedelta(microseconds=1)
    if window.length <= timedelta(hours=36):
        return f"{moment(window.start, zone)} to {last.astimezone(zone):%-d %b %H:%M}"
    return f"{day(window.start, zone)} to {day(last, zone)}"


def ago(time: datetime | None, now: datetime) -> str:
    """
    >>> from datetime import UTC
    >>> ago(datetime(2026, 9, 2, tzinfo=UTC), datetime(2026, 9, 2, 0, 3, tzinfo=UTC))
    '3 min ago'
    """
    if time is None:
        return NOTHING
    seconds = (now - time).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"
