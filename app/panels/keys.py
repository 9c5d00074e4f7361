"""The page of API keys: its sentences and its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from pilothouse.app import formats, markup
from pilothouse.data.settings import YES, Settings
from pilothouse.data.state.keys import KeyRow

_TONE = {"live": "healthy", "expired": "plain", "revoked": "critical"}


def answer(keys: Sequence[KeyRow], settings: Settings, now: datetime) -> str:
    """Who may call the service, in one sentence."""
    callers = len({key.caller for key in keys if key.live(now)})
    hold = f"{callers} caller{' holds' if callers == 1 else 's hold'} a live key."
    if settings.require_keys == YES:
        return f"Every request needs a key, but those for health. {hold}"
    return f"Requests need no key: the service answers this machine alone. {hold}"


def live(keys: Sequence[KeyRow], now: datetime) -> list[KeyRow]:
    return [key for key in keys if key.live(now)]


def ended(keys: Sequence[KeyRow], now: datetime) -> list[KeyRow]:
    return [key for key in keys if not key.live(now)]


def table(keys: Sequence[KeyRow], now: datetime, zone: tzinfo) -> markup.Html:
    """The given keys, one a row. There is no secret to show: only its hash is kept."""
    head = ("Caller", "Key", "May", "Standing", "Made", "By", "Until")
    return markup.table(head, [_row(key, now, zone) for key in keys])


def _row(key: KeyRow, now: datetime, zone: tzinfo) -> list[object]:
    standing = key.standing(now)
    until = key.revoked_at or key.expires_at
    return [
        markup.tag("span", key.caller, kind="ph-name"),
        markup.tag("span", key.id, kind="ph-mono"),
        markup.tag("span", ", ".join(key.scopes), kind="ph-wrap"),
        markup.badge(standing, _TONE[standing]),
        formats.moment(key.created_at, zone),
        key.created_by,
        formats.moment(until, zone) if until else "no end",
    ]


def scopes_offered(models: Sequence[str]) -> list[str]:
    """What a key may be allowed, for a house with these models."""
    return ["predict:*", *(f"predict:{name}" for name in models), "feedback", "log", "metrics", "read"]
