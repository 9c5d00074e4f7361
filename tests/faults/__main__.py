"""`make faults ONLY=loop|log|hostile|serving SIZE=small|full`: break things under load and count what was lost.

ONLY may also name one campaign, as in ONLY=log/orders or ONLY=serving/swaps; its rows replace those of the last time.
Ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.faults import hostile, log, loop, serving
from tests.faults.campaign import Outcome, report

TIMES = {"small": 10, "full": 50}
Run = Callable[[str], list[Outcome]]
AREAS: dict[str, Run] = {
    "loop": lambda size: loop.run(TIMES[size]),
    "log": log.run,
    "hostile": hostile.run,
    "serving": serving.run,
}
PARTS: dict[str, Run] = {
    f"{area}/{name}": run
    for area, campaigns in (("log", log.CAMPAIGNS), ("serving", serving.CAMPAIGNS))
    for name, run in campaigns.items()
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", choices=("all", *AREAS, *PARTS), default="all")
    parser.add_argument("--size", choices=sorted(TIMES), default="small")
    given = parser.parse_args()
    chosen = AREAS if given.only == "all" else [given.only]
    met = [report(area.partition("/")[0], (AREAS | PARTS)[area](given.size), given.size) for area in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
