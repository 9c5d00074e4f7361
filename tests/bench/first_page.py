"""`python -m tests.bench.first_page PAGE`: shows a page as the first of this process; prints milliseconds, wall and CPU.

A process of its own, since another has imported everything already.
"""

from __future__ import annotations

import logging
import sys

from pilothouse.app.launch import warm
from pilothouse.ops.demo.build import MODEL
from tests.bench.pages import as_served
from tests.bench.repeat import wall_and_cpu_ms
from tests.support.dashboard import open_page


def main(page: str) -> None:
    logging.disable(logging.WARNING)
    as_served()
    warm()
    wall, cpu = wall_and_cpu_ms(lambda: open_page(page, model=MODEL))
    print(wall, cpu)


main(sys.argv[1])
