"""`make bench ONLY=measures|serving|explaining|swaps|batch|pages|client|log SIZE=small|medium|full`: ours beside its rivals.

Ends with 1 if a goal was missed. Figures belong to the machine and the hour; a ratio compares two things of the same run.
Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import batch, client, explaining, log, measures, pages, serving, swaps
from tests.bench.table import report
from tests.bench.worlds import demo

AREAS = {
    "measures": measures.run, "serving": serving.run, "explaining": explaining.run, "swaps": swaps.run,
    "batch": batch.run, "pages": pages.run,
}  # fmt: skip
"""Those that measure a copy of the demo; the others make what they need."""
ALONE = {"client": client.run, "log": log.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=("all", *AREAS, *ALONE), default="all")
    parser.add_argument("--size", choices=("small", "medium", "full"), default="small", help="medium is for the log")
    given = parser.parse_args()
    _forget_environment()
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} before the start")
    met = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        chosen = [*AREAS, *ALONE] if given.only == "all" else [given.only]
        demos = [area for area in chosen if area in AREAS]
        built = demo(Path(folder) / "demo") if demos else None
        for area in demos:
            assert built is not None
            met.append(report(area, AREAS[area](built, given.size)))
        for area in [area for area in chosen if area in ALONE]:
            met.append(report(area, ALONE[area](Path(folder), given.size)))
    return 0 if all(met) else 1


def _forget_environment() -> None:
    """A bench does not depend on the settings of whoever runs it."""
    for name in [n for n in os.environ if n.startswith(("PILOTHOUSE_", "STREAMLIT_", "BENTOML_"))]:
        del os.environ[name]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"


if __name__ == "__main__":
    sys.exit(main())
