"""`make faults ONLY=loop|log SIZE=small|full`: break things under load and count what was lost. Ends with 1 if anything was."""

from __future__ import annotations

import argparse
import sys

from tests.faults import log, loop
from tests.faults.campaign import report

TIMES = {"small": 10, "full": 50}
AREAS = {"loop": lambda size: loop.run(TIMES[size]), "log": log.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", choices=("all", *AREAS), default="all")
    parser.add_argument("--size", choices=sorted(TIMES), default="small")
    given = parser.parse_args()
    chosen = AREAS if given.only == "all" else [given.only]
    met = [report(area, AREAS[area](given.size)) for area in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
