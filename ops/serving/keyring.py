"""The keys that this process knows, and whether a request carries one of them. No request waits for the state store."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pilothouse.data.state import keys
from pilothouse.data.state.keys import KeyRow
from pilothouse.data.state.store import State
from pilothouse.data.state.watch import Watch
from pilothouse.data.windows import Clock
from pilothouse.ops.answers import Problem
from pilothouse.ops.serving.exchange import CLOSE, Header, HttpRefusal

LOOK_EVERY_S = 0.25
# Where the id stands in `ph_<id>_<secret>`.
_ID = slice(3, 15)
_BEARER = b"bearer "
_HOW = "Send one as Authorization: Bearer ph_... or as X-API-Key: ph_..."

_log = logging.getLogger("pilothouse.service")


class _Known(NamedTuple):
    key: KeyRow
    digest: bytes


class KeyRing:
    """Follows the state store in a thread of its own, so that a model being loaded does not hold a revocation up."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._keys: Mapping[bytes, _Known] = {}
        self._watch = Watch(state)
        self._due = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    def start(self) -> None:
        self._look()
        if not any(known.key.live(self._clock()) for known in self._keys.values()):
            _log.warning("no API key is live, so every request is refused; `pilothouse keys create` makes one")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._watch.close()

    def holder(self, headers: Iterable[Header]) -> KeyRow:
        """The key that the request carries. Raises HttpRefusal (401) where it carries none that holds now."""
        shown = _shown(headers)
        if shown is None:
            raise _refused(401, "no-key", f"This address needs an API key. {_HOW}", "")
        known = self._keys.get(shown[_ID])
        if known is None or not hmac.compare_digest(hashlib.sha256(shown).digest(), known.digest):
            raise _bad("The API key is not known here.")
        key = known.key
        if key.revoked_at is not None:
            raise _bad("The API key was revoked.")
        if key.expires_at is not None and key.expired(self._clock()):
            raise _bad("The API key has expired.")
        return key

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look()
            except Exception:
                # Whatever it was: a thread that ended would leave revoked keys in force for good.
                _log.exception("the keys could not be read anew; those known before hold on")

    def _look(self) -> None:
        # Kept until it is done with: a store that was busy just then has to be looked at again.
        self._due = self._watch.changed() or self._due
        if self._due:
            with self._state.read() as conn:
                found = keys.list_keys(conn)
            self._keys = {key.id.encode(): _Known(key, bytes.fromhex(key.sha256)) for key in found}
            self._due = False


def require_scope(key: KeyRow, scope: str) -> None:
    """Raises HttpRefusal (403), naming `scope`, unless `key` has it."""
    if not key.allows(scope):
        detail = f"The key of {key.caller} lacks the scope {scope}. It has: {', '.join(key.scopes)}."
        raise _refused(403, "missing-scope", detail, f', error="insufficient_scope", scope="{scope}"')


def _refused(status: int, kind: str, detail: str, parameters: str) -> HttpRefusal:
    challenge = f'Bearer realm="pilothouse"{parameters}'.encode()
    problem = Problem(status=status, kind=kind, detail=detail)
    return HttpRefusal(problem, ((b"www-authenticate", challenge), *CLOSE))


def _bad(reason: str) -> HttpRefusal:
    return _refused(401, "bad-key", f"{reason} {_HOW}", ', error="invalid_token"')


def _shown(headers: Iterable[Header]) -> bytes | None:
    """What the request shows as its key: a bearer token, else the header made for it."""
    other = None
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == _BEARER:
            return value[7:].strip()
        if name == b"x-api-key":
            other = value.strip()
    return other
