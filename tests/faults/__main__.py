"""`make faults ONLY=loop|log SIZE=small|full`: break things under load and count what was lost. Ends with 1 if anything was.

ONLY may also name one campaign of the log, as in ONLY=log/orders; its rows replace those of the last time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.faults import log, loop
from tests.faults.campaign import Outcome, report

TIMES = {"small": 10, "full": 50}
Run = Callable[[str], list[Outcome]]
AREAS: dict[str, Run] = {"loop": lambda size: loop.run(TIMES[size]), "log": log.run}
PARTS: dict[str, Run] = {f"log/{name}": run for name, run in log.CAMPAIGNS.items()}


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
