"""Not now; the same call may work later."""

from __future__ import annotations

from pilothouse.data.errors.tree import Unavailable


class StoreBusy(Unavailable):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is busy. Try again in a moment.")


class StoreDown(Unavailable):
    """The state store's database cannot be used. in_doubt : it broke off in mid-commit, so the act may be written."""

    def __init__(self, why: str, *, in_doubt: bool = False) -> None:
        self.why, self.in_doubt = why, in_doubt
        known = "Whether the act was written is not known: look before you repeat it." if in_doubt else "Try again."
        super().__init__(f"The state store cannot be used: {why}. {known}")


class CommitConflict(Unavailable):
    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"Somebody else wrote to the table {table} first; nothing was written. Read it again and retry."
        )


class LogUnavailable(Unavailable):
    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(
            f"The prediction log cannot be written: {why}. No answer was given, so nothing is lost; try again."
        )


class LogBusy(Unavailable):
    def __init__(self, waiting: str, allowed: str) -> None:
        self.waiting, self.allowed = waiting, allowed
        super().__init__(
            f"The prediction log cannot keep up: {waiting} wait to be written, {allowed} are allowed. "
            "Nothing was taken; try again in a moment, or see whether the worker is running."
        )


class DiskFull(Unavailable):
    def __init__(self, free: int, needed: int) -> None:
        self.free, self.needed = free, needed
        super().__init__(
            f"The disk of the prediction log has {free / 2**20:.0f} MB left; {needed / 2**20:.0f} MB have to stay free. "
            "Nothing was taken; free some space, or lower min_free_bytes."
        )


class ModelNotLoaded(Unavailable):
    def __init__(self, model: str, version: int) -> None:
        self.model, self.version = model, version
        super().__init__(
            f"Version {version} of {model} could not be loaded here yet. "
            "Try again in a moment, or look at the service's output."
        )


class PortTaken(Unavailable):
    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"Port {port} is taken by another program. End it, or choose another port.")


class QueryTooSlow(Unavailable):
    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(
            f"The question took longer than {limit_s:g} s and was ended. Ask for a narrower window or for fewer columns, "
            "or raise query_limit_s."
        )


class QueryCancelled(Unavailable):
    def __init__(self) -> None:
        super().__init__("The question was called off before it was answered. Ask again if you still want to know.")


class CentralAway(Unavailable):
    """wait_s : the least wait that the central house asks for. answered : it does answer, and refuses this model alone."""

    def __init__(self, why: str, wait_s: float = 0.0, *, answered: bool = False) -> None:
        self.why, self.wait_s, self.answered = why, wait_s, answered
        super().__init__(
            f"The central house takes nothing just now: {why}. What is logged here is kept, and sent when it can be reached."
        )
