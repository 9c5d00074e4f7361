"""How long the server is busy with each page of the dashboard, from the click to the last element sent."""

from __future__ import annotations

import logging
import os
import statistics
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pilothouse.ops.demo.build import MODEL
from tests.bench.repeat import wall_and_cpu_ms
from tests.bench.table import Row
from tests.bench.worlds import copy_of

PAGES = ("fleet", "model", "releases", "retrain")
TIMES = {"small": 5, "full": 15}
GOAL_MS = 1000.0
_ENTRY = Path(__file__).resolve().parents[2] / "app" / "main.py"


def run(built: Path, size: str) -> list[Row]:
    """Warm: the process has shown the page before. Asked anew: its answers are forgotten first."""
    # Outside of `streamlit run` it warns again and again that no browser is there.
    logging.disable(logging.WARNING)
    try:
        with patch.dict(os.environ, PILOTHOUSE_WORKSPACE=str(copy_of(built, "pages"))):
            return [row for page in PAGES for row in measure(page, size)]
    finally:
        logging.disable(logging.NOTSET)


def measure(page: str, size: str) -> list[Row]:
    import streamlit as st

    dashboard = opened(page)
    anew, remembered = [], []
    for _ in range(TIMES[size]):
        st.cache_data.clear()
        anew.append(wall_and_cpu_ms(lambda: show(dashboard)))
        remembered.append(wall_and_cpu_ms(lambda: show(dashboard)))
    return [*rows(f"{page}, asked anew", anew, size), *rows(f"{page}, answers remembered", remembered, size)]


def rows(name: str, turns: list[tuple[float, float]], size: str) -> list[Row]:
    """By the clock, which is what a person waits for, and in processor time, which a busy machine does not lengthen."""
    wall, cpu = (statistics.median(times) for times in zip(*turns, strict=True))
    return [
        Row(name=name, ours=wall, unit="ms", size=size, goal=GOAL_MS),
        Row(name=name, ours=cpu, unit="CPU ms", size=size),
    ]


def opened(page: str) -> Any:
    """The dashboard at `page`, shown once: imports, connections and compiled code are there."""
    from streamlit.testing.v1 import AppTest

    dashboard = AppTest.from_file(str(_ENTRY), default_timeout=60)
    dashboard.query_params["model"] = MODEL
    show(dashboard)
    dashboard.switch_page(f"../pages/{page}.py")
    show(dashboard)
    assert dashboard.main.children, f"{page} shows nothing"
    return dashboard


def show(dashboard: Any) -> None:
    dashboard.run()
    assert not dashboard.exception, dashboard.exception
