"""What every planted case says, and how that is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a measure did on `seeds` worlds of one planted case.

    value : what was found, in `unit`. goal : the least value that will do, or the most where `at_most`; None: shown
    without a goal. detail : one sentence with whatever else must be known to read the value.
    """

    name: str
    seeds: int
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    detail: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def report(case: str, found: Sequence[Verdict], size: str) -> bool:
    """Print the table and put it into results/<case>.json; whether all goals were reached."""
    print(f"{'planted case':64} {'seeds':>5} {'value':>9} {'goal':>9}  met  unit")
    for v in found:
        goal = "-" if v.goal is None else f"{'<=' if v.at_most else '>='} {v.goal:g}"
        said = {True: "yes", False: "NO", None: "-"}[v.met]
        print(f"{v.name:64} {v.seeds:5} {v.value:9.4g} {goal:>9}  {said:3}  {v.unit}  {v.detail}")
    RESULTS.mkdir(exist_ok=True)
    rows = [asdict(v) | {"met": v.met, "size": size} for v in found]
    (RESULTS / f"{case}.json").write_text(json.dumps(rows, indent=1) + "\n")
    return all(v.met is not False for v in found)
