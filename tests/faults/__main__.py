"""`make faults ONLY=loop SIZE=small|full`: kill things under load and count what was lost. Ends with 1 if anything was."""

from __future__ import annotations

import argparse
import sys

from tests.faults import loop
from tests.faults.campaign import report

TIMES = {"small": 10, "full": 50}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", choices=("all", "loop"), default="all")
    parser.add_argument("--size", choices=sorted(TIMES), default="small")
    given = parser.parse_args()
    return 0 if report("loop", loop.run(TIMES[given.size])) else 1


if __name__ == "__main__":
    sys.exit(main())
