"""The trunk of the error tree, and the words that its leaves share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PilothouseError(Exception):
    """Root of every error that Pilothouse raises on purpose."""


class NotFound(PilothouseError):
    """The thing named does not exist."""


class Refused(PilothouseError):
    """A rule stands against the act."""


class BadData(PilothouseError):
    """The input cannot be used as it is."""


class Unavailable(PilothouseError):
    """Not now; the same call may work later."""


def listing(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known) if known else "none yet"


def did_you_mean(got: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(got, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
