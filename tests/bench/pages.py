"""How long the server is busy with each page of the dashboard, from the click to the last element sent."""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl

import pilothouse
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from tests.bench.repeat import wall_and_cpu_ms
from tests.bench.table import Row
from tests.bench.worlds import copy_of, reference_rows

TIMES = {"small": 5, "full": 15}
STARTS = {"small": 3, "full": 7}
GOAL_MS = 1000.0
_ENTRY = Path(__file__).resolve().parents[2] / "app" / "main.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page as somebody looks at it. more : what was chosen on it, by the key of the widget. name : of that, if it has one."""

    page: str
    more: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def told(self) -> str:
        return self.name or ": ".join([self.page, *self.more.values()])


PAGES = ("fleet", "model", "drift", "performance", "segments", "quality", "explain", "releases", "retrain")
"""What stands there when a page is opened has a goal."""
VIEWS = ("Threshold and costs", "Score bands", "Estimated", "All metrics")
"""What else the page Performance has to show, one at a time."""
BUSY, STARTED = ("fleet", "model", "drift", "performance"), ("fleet", "model")


def run(built: Path, size: str) -> list[Row]:
    """Warm: the process has shown the page before. Asked anew: its answers are forgotten first.

    After new rows: a row has been logged, sealed and counted since, so that the tables are opened and read anew too.
    First of a process: nothing has been shown before, but the imports of `warm` are done, as in a dashboard that is up.
    """
    # Outside of `streamlit run` it warns again and again that no browser is there.
    logging.disable(logging.WARNING)
    workspace = copy_of(built, "pages")
    try:
        with patch.dict(os.environ, PILOTHOUSE_WORKSPACE=str(workspace)), closing(pilothouse.open(workspace)) as house:
            as_served()
            found = [row for page in PAGES for row in measure(Shown(page=page), size, GOAL_MS)]
            for shown in (*(Shown(page="performance", more={"behind": view}) for view in VIEWS), one_prediction(house)):
                found += measure(shown, size, None)
            found += [row for page in BUSY for row in after_new_rows(page, house, size)]
            return found + [row for page in STARTED for row in first_of_a_process(page, size)]
    finally:
        logging.disable(logging.NOTSET)


def as_served() -> None:
    """What `app/.streamlit/config.toml` says, which the test harness does not read, of how a page's script is run."""
    from streamlit import config

    config.set_option("runner.magicEnabled", False)


def one_prediction(house: House) -> Shown:
    """The page Explain, asked about the newest prediction."""
    newest = house[MODEL].rows("14d", 1)
    asked = str(newest.rows[0][newest.columns.index("prediction_id")])
    return Shown(page="explain", more={"id": asked}, name="explain: one prediction")


def measure(shown: Shown, size: str, goal: float | None) -> list[Row]:
    import streamlit as st

    dashboard = opened_at(shown)
    anew, remembered = [], []
    for _ in range(TIMES[size]):
        st.cache_data.clear()
        anew.append(wall_and_cpu_ms(lambda: show(dashboard)))
        remembered.append(wall_and_cpu_ms(lambda: show(dashboard)))
    return [
        *rows(f"{shown.told}, asked anew", anew, size, goal),
        *rows(f"{shown.told}, answers remembered", remembered, size, goal),
    ]


def after_new_rows(page: str, house: House, size: str) -> list[Row]:
    import streamlit as st

    dashboard, flights, turns = opened_at(Shown(page=page)), house[MODEL], []
    row = reference_rows(flights).head(1).select(*(pl.col(f.column).alias(f.name) for f in flights.signature.features))
    for _ in range(TIMES[size]):
        flights.predict(row, log=True)
        house.catch_up()
        st.cache_data.clear()
        turns.append(wall_and_cpu_ms(lambda: show(dashboard)))
    return rows(f"{page}, after new rows", turns, size, None)


def first_of_a_process(page: str, size: str) -> list[Row]:
    asked = [sys.executable, "-m", "tests.bench.first_page", page]
    told = [subprocess.run(asked, check=True, capture_output=True, text=True).stdout for _ in range(STARTS[size])]
    turns = [(float(wall), float(cpu)) for wall, cpu in (line.split() for line in told)]
    return rows(f"{page}, first of a process", turns, size, None)


def rows(name: str, turns: list[tuple[float, float]], size: str, goal: float | None) -> list[Row]:
    """By the clock, which is what a person waits for, and in processor time, which a busy machine does not lengthen."""
    wall, cpu = (statistics.median(times) for times in zip(*turns, strict=True))
    return [
        Row(name=name, ours=wall, unit="ms", size=size, goal=goal),
        Row(name=name, ours=cpu, unit="CPU ms", size=size),
    ]


def opened_at(shown: Shown) -> Any:
    """The dashboard as `shown`, shown once: imports, connections and compiled code are there."""
    from streamlit.testing.v1 import AppTest

    dashboard = AppTest.from_file(str(_ENTRY), default_timeout=60)
    dashboard.query_params["model"] = MODEL
    show(dashboard)
    dashboard.switch_page(f"../pages/{shown.page}.py")
    for key, value in shown.more.items():
        dashboard.session_state[key] = value
    show(dashboard)
    assert dashboard.main.children, f"{shown.told} shows nothing"
    return dashboard


def show(dashboard: Any) -> None:
    dashboard.run()
    assert not dashboard.exception, dashboard.exception
