"""The standing work over real spools and tables: what is new is sealed and folded; one sick model stops no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from pilothouse.data.log.frames import append_frame
from pilothouse.data.log.spool import Spool
from pilothouse.data.log.tables import CROWDED, prediction_folder
from pilothouse.data.rollups.store import rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.state import catalog
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.faults import Faults
from pilothouse.ops.holdings import Holdings
from pilothouse.ops.registry import Registry
from pilothouse.ops.upkeep import Upkeep

ANN = Actor(name="ann", roles=frozenset({Right.OPERATOR}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w")


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = State.open(workspace.state_url)
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"size": rng.normal(size=400)}).with_columns(late=(pl.col("size") > 0.3).cast(pl.Int64))
    model = LogisticRegression().fit(frame.select("size").to_pandas(), frame["late"].to_numpy())
    for name in ("boats", "flights"):
        Registry(workspace, opened, Store(workspace.store)).register_model(
            ANN, name, model, reference=frame, target="late"
        )
    yield opened
    opened.close()


def upkeep(workspace: Workspace, state: State, holder: str = "here") -> tuple[Upkeep, Faults]:
    faults, settings = Faults(), Settings()
    holdings = Holdings(state, holder, utc_now)
    return Upkeep(workspace, state, settings, holdings, faults, utc_now, crash=lambda point: None), faults


def log_rows(workspace: Workspace, state: State, model: str, rows: int) -> None:
    with state.read() as conn:
        signature = catalog.get_model(conn, model).signature
    frame = pl.DataFrame({"size": np.linspace(-1, 1, rows), "prediction": 0.0, "score": 0.4})
    with Spool.open(workspace.spool, "test") as spool:
        append_frame(spool, model, signature, frame, version=1)


@pytest.fixture
def log(workspace: Workspace, state: State) -> Callable[[str, int], None]:
    return lambda model, rows: log_rows(workspace, state, model, rows)


def test_a_turn_does_what_there_is_to_do_and_then_nothing(
    workspace: Workspace, state: State, log: Callable[[str, int], None]
) -> None:
    keeper, faults = upkeep(workspace, state)
    keeper.turn()
    assert not keeper.turn()
    log("flights", 30)
    assert keeper.turn()
    assert rollup_folder(workspace, "flights").version == 1
    assert not keeper.turn()
    assert faults.listing() == []


def test_a_model_without_its_profile_is_named_and_the_others_are_folded(
    workspace: Workspace, state: State, log: Callable[[str, int], None]
) -> None:
    shutil.rmtree(workspace.root / "references" / "boats")
    keeper, faults = upkeep(workspace, state)
    log("boats", 5)
    log("flights", 5)
    keeper.turn()
    (fault,) = faults.listing()
    assert fault.startswith("fold boats: FileNotFoundError")
    assert rollup_folder(workspace, "flights").version is not None


def test_of_two_workers_one_does_it(workspace: Workspace, state: State, log: Callable[[str, int], None]) -> None:
    (first, _), (second, _) = upkeep(workspace, state, "a"), upkeep(workspace, state, "b")
    first.turn()
    log("flights", 5)
    assert not second.turn()
    assert first.turn()


def test_small_files_are_merged_and_figures_stay(
    workspace: Workspace, state: State, log: Callable[[str, int], None]
) -> None:
    keeper, faults = upkeep(workspace, state)
    for _ in range(CROWDED + 2):
        log("flights", 3)
        keeper.turn()
    with state.read() as conn:
        signature = catalog.get_model(conn, "flights").signature
    before = prediction_folder(workspace, "flights", signature).files()
    keeper.merge_files()
    merged = prediction_folder(workspace, "flights", signature)
    assert len(merged.files()) < len(before)
    assert pl.read_parquet(merged.files()).height == 3 * (CROWDED + 2)
    keeper.turn()
    assert faults.listing() == []
