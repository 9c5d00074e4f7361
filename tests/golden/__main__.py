"""`make golden ONLY=FAMILY`: every measure beside other implementations of it; writes docs/agreement.md.

Ends with 1 where one differs."""

from __future__ import annotations

import argparse
import sys

from tests.golden.agreement import report
from tests.golden.families import FAMILIES
from tests.golden.page import write_page


def main() -> int:
    parser = argparse.ArgumentParser(prog="make golden", description=__doc__)
    parser.add_argument("--only", choices=("all", *FAMILIES), default="all")
    given = parser.parse_args()
    chosen = FAMILIES if given.only == "all" else [given.only]
    met = [report(name, FAMILIES[name]()) for name in chosen]
    write_page()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
