"""What an answer of the service means for the batch that was sent, and when to try again. Pure."""

from __future__ import annotations

import json
from enum import Enum
from typing import NamedTuple

_FIRST_S, _LONGEST_S = 0.5, 10.0
_FEW = 5
"""How many faults of an answer are repeated in `last_error`."""


class What(Enum):
    """TAKEN : durable there. LATER : the same again. LESS : without the rows at fault. SMALLER : in two. NEVER : no."""

    TAKEN = "taken"
    LATER = "later"
    LESS = "less"
    SMALLER = "smaller"
    NEVER = "never"


class Verdict(NamedTuple):
    """What to do. at_fault : places of the rows that were refused. wait_s : the least wait the service asks for."""

    what: What
    why: str = ""
    at_fault: frozenset[int] = frozenset()
    wait_s: float = 0.0


def verdict_of(status: int, retry_after: str | None, content: bytes, rows: int) -> Verdict:
    """What an answer with `status` says of a batch of `rows` rows.

    400, 413, 415 and 422 are about the rows. Anything else may pass: a service restarts, a model is registered a minute
    after its application went live, a key is renewed. Only 202 says that the rows are durable: a proxy's page says 200.
    """
    if status == 202:
        return Verdict(What.TAKEN)
    why = f"{status}: {_detail(content)}"
    if status == 413 and rows > 1:
        return Verdict(What.SMALLER, why)
    if status == 422:
        at_fault = _places(content, rows)
        return Verdict(What.LESS, why, at_fault) if at_fault else Verdict(What.NEVER, why)
    if status in (400, 413, 415):
        return Verdict(What.NEVER, why)
    return Verdict(What.LATER, why, wait_s=_seconds(retry_after))


def delay_s(failures: int, asked_s: float, chance: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, at most 10, and never below `asked_s`.

    chance : from 0 to 1, spreads the clients of a service that comes back.
    >>> [delay_s(n, 0.0, 1.0) for n in (1, 2, 3, 20)], delay_s(1, 60.0, 0.0)
    ([0.5, 1.0, 2.0, 10.0], 60.0)
    """
    longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 10))
    return max(asked_s, longest * (0.5 + chance / 2))


def _detail(content: bytes) -> str:
    problem = _problem(content)
    faults = [f"{f.get('pointer')} {f.get('detail')}" for f in _faults(problem)[:_FEW]]
    return "; ".join(faults) or str(problem.get("detail", "no reason given"))[:500]


def _places(content: bytes, rows: int) -> frozenset[int]:
    """The rows that the faults point to: the number in `/rows/3/age` or `/ids/3`."""
    parts = [str(fault.get("pointer", "")).split("/") for fault in _faults(_problem(content))]
    numbers = [int(part[2]) for part in parts if len(part) > 2 and part[2].isdigit()]
    return frozenset(number for number in numbers if number < rows)


def _faults(problem: dict[str, object]) -> list[dict[str, object]]:
    faults = problem.get("faults")
    return [fault for fault in faults if isinstance(fault, dict)] if isinstance(faults, list) else []


def _problem(content: bytes) -> dict[str, object]:
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _seconds(retry_after: str | None) -> float:
    """Of the two forms of Retry-After the one in seconds; a date is left to our own delays."""
    return min(float(retry_after), 3600.0) if retry_after is not None and retry_after.isdigit() else 0.0
