"""Prediction ids made here, so that a row sent twice is the same row."""

from __future__ import annotations

import os
import time


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then 74 random bits, so that ids sort by time.

    >>> first = new_id()
    >>> len(first), first[14], first[19] in "89ab"
    (36, '7', True)
    """
    ms = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    low = (random & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    high = random >> 64 & 0xFFF
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{high:03x}-{low >> 48:04x}-{low & 0xFFFF_FFFF_FFFF:012x}"
