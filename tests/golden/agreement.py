"""What every comparison with another implementation says, and how that is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One measure beside a rival's on the same rows.

    data : "flights", or the name of a planted case. largest : the largest absolute difference over `compared` values,
    or the largest relative one where `relative`. allowed : what rounding may do where the definition is the same.
    note : why more is allowed, where the definition is not.
    """

    measure: str
    rival: str
    data: str
    compared: int
    largest: float
    allowed: float
    relative: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        return self.compared > 0 and self.largest <= self.allowed


def report(family: str, found: Sequence[Agreement]) -> bool:
    """Print the table and put it into results/<family>.json; whether all agreed."""
    print(f"{'measure':38} {'rival':42} {'data':16} {'values':>6} {'largest':>9} {'allowed':>8}  met")
    for a in found:
        print(
            f"{a.measure:38} {a.rival:42} {a.data:16} {a.compared:6} {a.largest:9.1e} {a.allowed:8.0e}  "
            f"{'yes' if a.met else 'NO'}"
        )
    RESULTS.mkdir(exist_ok=True)
    rows = [asdict(a) | {"met": a.met} for a in found]
    (RESULTS / f"{family}.json").write_text(json.dumps(rows, indent=1) + "\n")
    return all(a.met for a in found)
