"""What every fault campaign counts, and how it is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def processes() -> ForkServerContext:
    """Child processes that have the heavy imports done, so that starting one takes a hundredth of a second."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.recount"])
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """tried : faults caused. lost, doubled : acknowledged rows missing, and rows there more than once, in table and
    roll-ups together. wrong : figures that differ from a recount, and errors that recovery met.
    control : a promise was taken away on purpose, so something has to be lost: else the campaign cannot see a loss."""

    name: str
    tried: int
    lost: int
    doubled: int
    wrong: int
    control: bool = False

    @property
    def met(self) -> bool:
        if self.control:
            return self.lost + self.wrong > 0
        return self.tried > 0 and self.lost == self.doubled == self.wrong == 0


def report(area: str, outcomes: Sequence[Outcome], size: str) -> bool:
    """Print the table and put it into results/<area>.json, in the place of rows so named; whether all promises were kept."""
    print(f"{'fault':62} {'tried':>6} {'lost':>6} {'doubled':>8} {'wrong':>6}  met")
    for o in outcomes:
        print(f"{o.name:62} {o.tried:6} {o.lost:6} {o.doubled:8} {o.wrong:6}  {'yes' if o.met else 'NO'}")
    RESULTS.mkdir(exist_ok=True)
    results = RESULTS / f"{area}.json"
    known = json.loads(results.read_text()) if results.exists() else []
    rows = {row["name"]: row for row in known} | {o.name: asdict(o) | {"met": o.met, "size": size} for o in outcomes}
    results.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    return all(o.met for o in outcomes)
