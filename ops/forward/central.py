"""The central house as a site speaks to it: what it says to a batch, and what of the batch is then still to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.errors import CentralAway, InvalidSetting
from pilothouse.data.settings import NOWHERE, Settings
from pilothouse.data.state.forwards import Counted

if TYPE_CHECKING:
    from pilothouse_client.items import Batch
    from pilothouse_client.verdicts import Verdict

_TIMEOUT_S = 30.0
_OF_ONE_MODEL = ("403", "404")
"""What it answers where it does not know a model or its version yet, or the key has no right to it."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Central:
    """One connection to it. Raises InvalidSetting where its key cannot be read, or the client library is missing."""

    def __init__(self, settings: Settings) -> None:
        import httpx

        _check_client()
        self._address = settings.central_url.rstrip("/")
        url = httpx.URL(self._address)
        headers = {"content-type": "application/json", "user-agent": "pilothouse-site"} | _authorization(settings)
        # A proxy named in the environment does not stand between a machine and itself.
        self._http = httpx.Client(headers=headers, timeout=_TIMEOUT_S, trust_env=url.host not in _LOOPBACK)

    def close(self) -> None:
        self._http.close()

    def tell(self, model: str, batches: Sequence[Batch]) -> Counted:
        """Have it take all of them. Raises CentralAway when it cannot take one now; those before it are durable there.

        Rows that it refuses for what they are stay at the site, and are counted with the reason.
        """
        from pilothouse_client.items import halves, without
        from pilothouse_client.verdicts import What

        waiting, counted = deque(batches), Counted()
        while waiting:
            batch = waiting.popleft()
            verdict = self._verdict(model, batch)
            if verdict.what is What.LATER:
                raise CentralAway(f"{model}: {verdict.why}", verdict.wait_s, answered=verdict.why[:3] in _OF_ONE_MODEL)
            rest: list[Batch] = []
            if verdict.what is What.SMALLER:
                rest = halves(batch)
            elif verdict.what is What.LESS and (less := without(batch, verdict.at_fault)):
                rest = [less]
            waiting.extendleft(reversed(rest))
            settled = batch.rows - sum(part.rows for part in rest)
            taken = verdict.what is What.TAKEN
            counted = counted.plus(
                Counted(sent=settled) if taken else Counted(refused=settled, reason=verdict.why if settled else "")
            )
        return counted

    def _verdict(self, model: str, batch: Batch) -> Verdict:
        import httpx

        from pilothouse_client.verdicts import Verdict, What, verdict_of

        try:
            answer = self._http.post(f"{self._address}/models/{model}/{batch.kind.value}", content=batch.body)
        except httpx.HTTPError as error:
            return Verdict(What.LATER, f"{type(error).__name__}: {error}")
        return verdict_of(answer.status_code, answer.headers.get("retry-after"), answer.content, batch.rows)


def _authorization(settings: Settings) -> dict[str, str]:
    if settings.central_key_file == NOWHERE:
        return {}
    try:
        key = Path(settings.central_key_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        allowed = f"a file that holds the API key ({type(error).__name__})"
        raise InvalidSetting("central_key_file", settings.central_key_file, allowed, "settings") from None
    return {"authorization": f"Bearer {key}"}


def _check_client() -> None:
    try:
        import pilothouse_client  # noqa: F401
    except ImportError:
        allowed = f"{NOWHERE}, as long as pilothouse-client is not installed: pip install pilothouse-client"
        raise InvalidSetting("central_url", "an address", allowed, "settings") from None
