"""What every bench says of a thing it measured, and how that is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Ours beside a rival's, medians of the same run.

    more : whether more of `unit` is better. rival : None where there is none. goal : with a rival, the least ratio;
    without one, the worst figure of ours. None: shown without a goal.
    """

    name: str
    ours: float
    unit: str
    size: str
    rival: float | None = None
    goal: float | None = None
    more: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; below 1 it is worse. None without a rival."""
        if self.rival is None:
            return None
        return self.ours / self.rival if self.more else self.rival / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.goal is None:
            return None
        if self.ratio is not None:
            return self.ratio >= self.goal
        return self.ours >= self.goal if self.more else self.ours <= self.goal

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "ours": _rounded(self.ours), "rival": _rounded(self.rival),
            "ratio": _rounded(self.ratio), "goal": self.goal, "met": self.met, "unit": self.unit, "size": self.size,
        }  # fmt: skip


def report(area: str, rows: Sequence[Row]) -> bool:
    """Print the table and write results/<area>.json; whether no goal was missed."""
    width = max(len(row.name) for row in rows)
    print(f"\n{area:{width}} {'ours':>9} {'rival':>9}  {'unit':11} {'ratio':>7} {'goal':>6}  met")
    for row in rows:
        print(
            f"{row.name:{width}} {_shown(row.ours):>9} {_shown(row.rival):>9}  {row.unit:11} "
            f"{_shown(row.ratio):>7} {_shown(row.goal):>6}  {_WORD[row.met]}"
        )
    RESULTS.mkdir(exist_ok=True)
    found = [row.to_json() for row in rows]
    (RESULTS / f"{area}.json").write_text(json.dumps(found, indent=1) + "\n")
    return all(row.met is not False for row in rows)


_WORD = {True: "yes", False: "NO", None: "-"}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
