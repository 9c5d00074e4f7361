"""What many tests share: the demo's workspace, built once from all of the real flights, and copied for each test."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from tests.support.postgres import Postgres


def pytest_configure() -> None:
    """A test never sees the user's own environment, nor how wide a terminal is."""
    for name in [n for n in os.environ if n.startswith(("PILOTHOUSE_", "STREAMLIT_", "BENTOML_")) or n == "COLUMNS"]:
        del os.environ[name]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"


@pytest.fixture(autouse=True)
def own_main_module() -> Iterator[None]:
    """Streamlit's test harness leaves the page it has run as `__main__`, which every child process would run again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def build_demo(folder: Path, until: date) -> Path:
    from pilothouse.data.workspace import Workspace
    from pilothouse.ops.demo.build import build
    from pilothouse.ops.house import House

    house = House.open(Workspace.create(folder).root)
    build(house, until, say=lambda _: None)
    house.close()
    return folder


def built_once(places: pytest.TempPathFactory, name: str, until: date) -> Path:
    """A demo that the first process of this run to ask for it builds, and the others wait for."""
    own = places.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    ready = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not ready.exists():
            build_demo(shared / f"{name}-begun", until).rename(ready)
    return ready


@pytest.fixture(scope="session")
def september(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as it stands by default, late in September. Not to be changed: copy it."""
    from pilothouse.ops.demo.build import DEFAULT_UNTIL

    return built_once(tmp_path_factory, "september", DEFAULT_UNTIL)


@pytest.fixture(scope="session")
def november(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo in mid-November. Not to be changed: copy it."""
    return built_once(tmp_path_factory, "november", date(2013, 11, 19))


@pytest.fixture
def demo(september: Path, tmp_path: Path) -> Path:
    """A copy of the September demo, to do with as the test likes."""
    return Path(shutil.copytree(september, tmp_path / "demo"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; take a database of your own from it."""
    from tests.support.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty state store in each of the databases that can hold one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.sqlite'}"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def kept_in(state_url: str) -> str:
    """Settings of a workspace whose state is kept in each of the databases."""
    return "" if state_url.startswith("sqlite") else f'state_url = "{state_url}"\n'
