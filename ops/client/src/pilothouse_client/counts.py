"""What became of the rows and labels that a client was given."""

from __future__ import annotations

from typing import NamedTuple


class Stats(NamedTuple):
    """Rows and labels, counted since the client was made.

    taken : given to the client, or found on disk from a process before. delivered : durable at the service.
    dropped : no room, or the client had been closed. refused : could not be read here, or the service said no.
    waiting : not settled yet; always `taken - delivered - dropped - refused`.
    retries : requests that failed and were put off. last_error : why the last of all these went wrong.
    """

    taken: int = 0
    delivered: int = 0
    dropped: int = 0
    refused: int = 0
    waiting: int = 0
    retries: int = 0
    last_error: str | None = None


class Counts:
    """The counters behind `Stats`. Whoever changes them holds the outbox's lock."""

    def __init__(self) -> None:
        self.taken = self.delivered = self.dropped = self.refused = self.retries = 0
        self.last_error: str | None = None

    @property
    def settled(self) -> int:
        return self.delivered + self.dropped + self.refused

    def drop(self, rows: int, why: str) -> None:
        self.dropped += rows
        self.last_error = why

    def refuse(self, rows: int, why: str) -> None:
        self.refused += rows
        self.last_error = why

    def put_off(self, why: str) -> None:
        self.retries += 1
        self.last_error = why

    def stats(self) -> Stats:
        return Stats(
            self.taken, self.delivered, self.dropped, self.refused, self.taken - self.settled, self.retries,
            self.last_error,
        )  # fmt: skip
