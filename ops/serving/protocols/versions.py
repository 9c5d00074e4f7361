"""Versions in an address: which number stands there, and whether that one answers."""

from __future__ import annotations

import re

from pilothouse.data.errors import NotFound, VersionNotLive
from pilothouse.ops.serving.models import Served

NONE = 0
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def version_in(segment: str) -> int:
    """The version that a segment of an address names; NONE for what is no version's number.

    >>> version_in("12"), version_in("012"), version_in("1e3")
    (12, 0, 0)
    """
    return int(segment) if _NUMBER.fullmatch(segment) else NONE


def live_versions(served: Served) -> dict[str, int]:
    """The versions that answer requests, by what they are: the champion, and the canary where there is one.

    Raises what `Served.live` raises.
    """
    live = {"champion": served.live().version}
    if served.beside is not None and served.beside.canary is not None:
        live["canary"] = served.beside.canary.live.version
    return live


def check_live(served: Served, version: int | None) -> None:
    """Raises VersionNotLive or NotFound where `version` is none of those that answer, or what `Served.live` raises."""
    if version == NONE:
        raise NotFound(f"A version of {served.name} is named by a whole number: 1, 2 and so on.")
    if version is not None and version not in (live := live_versions(served)).values():
        raise VersionNotLive(served.name, version, live["champion"])
