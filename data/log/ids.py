"""Prediction ids: UUIDs of version 7 (RFC 9562), made by the thousand."""

from __future__ import annotations

import os
from datetime import datetime

_COUNTER_BITS = 12


def new_ids(count: int, now: datetime) -> list[str]:
    """`count` fresh UUIDv7 texts in ascending order, their time part beginning at `now`.

    The 12 bits after the version count rows within a millisecond (RFC 9562, 6.2, method 1); when they are used up the
    time part moves on by one. 62 bits are random.

    >>> ids = new_ids(5000, datetime.fromisoformat("2026-03-03T00:00:00+00:00"))
    >>> ids == sorted(ids), len(set(ids)), ids[0][14]
    (True, 5000, '7')
    """
    first_ms = int(now.timestamp() * 1000)
    random = os.urandom(8 * count)
    return [
        _text(first_ms + (i >> _COUNTER_BITS), i & 0xFFF, int.from_bytes(random[8 * i : 8 * i + 8]))
        for i in range(count)
    ]


def _text(ms: int, counter: int, random: int) -> str:
    # The topmost two random bits give way to the variant, 10.
    low = (random & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{counter:03x}-{low >> 48:04x}-{low & 0xFFFF_FFFF_FFFF:012x}"
