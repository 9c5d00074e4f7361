"""`make planted ONLY=CASE SIZE=small|full`: how often what was planted is found. Ends with 1 where a goal was missed."""

from __future__ import annotations

import argparse
import sys

from tests.planted.cases import CASES
from tests.planted.verdict import report


def main() -> int:
    parser = argparse.ArgumentParser(prog="make planted", description=__doc__)
    parser.add_argument("--only", choices=("all", *CASES), default="all")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    given = parser.parse_args()
    chosen = CASES if given.only == "all" else [given.only]
    met = [report(name, CASES[name](given.size), given.size) for name in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
