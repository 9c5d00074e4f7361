"""Windows and times: half-open, aware, and clear about what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pilothouse.data.errors import InvalidWindow, NaiveTime
from pilothouse.data.windows import Window, parse_window

END = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"), [("7d", timedelta(days=7)), ("24h", timedelta(hours=24)), ("8w", timedelta(weeks=8))]
)
def test_a_length_counts_back_from_the_end_of_the_data(text: str, length: timedelta) -> None:
    assert parse_window(text, END) == Window(END - length, END)


def test_start_and_end_are_taken_as_given_in_any_zone() -> None:
    window = parse_window("2026-03-01T00:00:00+01:00/2026-03-02T00:00:00Z", END)
    assert window == Window(datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "0d", "7", "d", "7y", "-7d", "2026-03-01", "a/b", "9" * 200])
def test_what_is_no_window_is_named(text: str) -> None:
    with pytest.raises(InvalidWindow, match=r"is not a window\. Use 7d"):
        parse_window(text, END)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime, match="window's start has no time zone"):
        parse_window("2026-03-01T00:00:00/2026-03-02T00:00:00Z", END)


def test_the_end_is_outside_and_the_start_inside() -> None:
    window = parse_window("1d", END)
    assert window.start in window
    assert window.end not in window
    assert window.before().end == window.start


def test_a_window_ends_after_it_starts() -> None:
    with pytest.raises(InvalidWindow):
        Window(END, END)
