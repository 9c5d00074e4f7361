"""The client for plain code."""

from __future__ import annotations

from types import TracebackType

from pilothouse_client.face import Face


class Client(Face):
    """Tells a Pilothouse service what a model predicted and what came true, from any thread.

    `log` and `label` wait for nothing and raise nothing; what became of their rows stands in `stats`. For the arguments
    see `Face`.
    """

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what waits; whether all of it was settled in time. It blocks: never call it where requests are answered."""
        return self._outbox.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, for at most `timeout_s` seconds, and take nothing more. Done by itself at exit, in 2 s."""
        self._end(timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
