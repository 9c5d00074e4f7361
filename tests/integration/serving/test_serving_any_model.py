"""Models of every kind over HTTP: registered, served, followed by a second version, rolled back and retrained."""

from __future__ import annotations

import hashlib
import importlib
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.integration.serving.conftest import Client

from pilothouse.data.errors import CannotRetrain
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.state import runs
from pilothouse.data.state.runs import Run, RunState
from pilothouse.data.windows import utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.requests import STEPS
from pilothouse.ops.pipeline.tracking import StepRunner
from pilothouse.ops.runtimes.code import read_code
from pilothouse.ops.runtimes.own import NONE, Own

FEATURES = ["wind", "traffic"]
ROW = {"wind": 1.5, "traffic": 0.0}
CODE = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Turning(TransformerMixin, BaseEstimator):
    def fit(self, rows, target=None):
        self.fitted_ = True
        return self

    def transform(self, rows):
        from team_code import SIGN

        return np.asarray(rows, dtype=float) * SIGN


SIGN = {sign}


class Rule:
    def predict_proba(self, frame):
        chance = 1 / (1 + np.exp(-{sign} * frame["wind"].to_numpy(dtype=float)))
        return np.column_stack([1 - chance, chance])
"""


def world(rows: int, seed: int) -> pl.DataFrame:
    """Late depends on the wind alone."""
    rng = np.random.default_rng(seed)
    wind, traffic = rng.normal(size=rows), rng.normal(size=rows)
    late = (rng.random(rows) < 1 / (1 + np.exp(-2 * wind))).astype(int)
    return pl.DataFrame({"wind": wind, "traffic": traffic, "late": late})


def fitted(model: Any, sign: int = 1) -> Any:
    """`model`, which has learned from the world as it is (1), or turned about (-1)."""
    past = world(600, seed=1)
    late = past["late"].to_numpy()
    return model.fit(past.select(FEATURES).to_pandas(), late if sign > 0 else 1 - late)


class Shop:
    """A house with its service, in this process."""

    def __init__(self, folder: Path) -> None:
        from pilothouse.ops.serving.main import assemble

        self.folder = folder
        workspace = Workspace.create(folder / "w")
        workspace.settings_file.write_text('onnx = "never"')
        self.house = House.open(workspace.root)
        self.client = Client(assemble(workspace, self.house.settings))

    def register(self, name: str, model: Any, own: Own = NONE) -> None:
        self.house.register(
            name, model, reference=world(300, seed=2), target="late", own=own, trusted=("numpy.dtype",),
            label_policy=LabelPolicy(horizon=timedelta(days=1)), gate_policy=GatePolicy(min_labelled=50),
        )  # fmt: skip

    def answer(self, name: str) -> tuple[int, str]:
        """Which version answers, and whether it calls a strong wind `late` or `on time`; it is sure of both."""
        told = self.client.post(f"/models/{name}/predict", json={"rows": [ROW]})
        assert told.status_code == 200, told.text
        score = told.json()["predictions"][0]["score"]
        assert abs(score - 0.5) > 0.2
        return told.json()["version"], "late" if score > 0.5 else "on time"

    def wait_for(self, name: str) -> tuple[int, str]:
        """The same, once the service has loaded the model."""
        deadline = time.monotonic() + 10
        while self.client.post(f"/models/{name}/predict", json={"rows": [ROW]}).status_code != 200:
            assert time.monotonic() < deadline, "it did not come in time"
            time.sleep(0.02)
        return self.answer(name)

    def log_world(self, name: str) -> None:
        """Three weeks of rows with their labels, which came six hours later."""
        rows, now = world(900, seed=3), utc_now()
        at = [now - timedelta(days=24) + timedelta(minutes=30 * i) for i in range(rows.height)]
        ids = [f"{name}-{i}" for i in range(rows.height)]
        told = rows.select(FEATURES).with_columns(id=pl.Series(ids), at=pl.Series(at), prediction=0, score=0.5)
        self.house[name].log(told)
        observed = pl.Series([moment + timedelta(hours=6) for moment in at])
        self.house[name].label(pl.DataFrame({"id": ids, "label": rows["late"], "observed_at": observed}))
        self.house.catch_up()

    def retrain(self, name: str) -> Run:
        """The steps one after the other in this process, their heavy parts in children."""
        house, run = self.house, self.house[name].retrain(train="10d", judge="5d")
        with house.state.write() as conn:
            runs.set_run(conn, run.id, state=RunState.RUNNING, worker="here")
        runner = StepRunner(
            workspace=house.workspace, state=house.state, store=house.store, children=Children(house.workspace.store),
            worker="here", clock=utc_now, stopping=threading.Event(), settings=house.settings,
        )  # fmt: skip
        outputs: dict[str, Any] = {}
        for step in STEPS:
            outputs[step] = runner.call(run.id, step, outputs)
            assert outputs[step] is not None, house.run(run.id).error
        return house.run(run.id)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"))
    made.register("first", fitted(LogisticRegression()))
    with made.client:
        yield made
    made.house.close()


def team_code(folder: Path, sign: int) -> Own:
    """The team's module as a file, looked at. Its name is the same for every `sign`."""
    folder.mkdir()
    file = folder / "team_code.py"
    file.write_text(CODE.format(sign=sign))
    return Own(code=file, trust=hashlib.sha256(read_code(file)).hexdigest())


def with_own_transformer(own: Own) -> Any:
    """A pipeline with the team's transformer, fitted where its module can be imported, which it cannot be afterwards."""
    assert own.code is not None
    sys.path.insert(0, str(own.code.parent))
    try:
        module = importlib.import_module("team_code")
        return fitted(make_pipeline(module.Turning(), LogisticRegression()))
    finally:
        sys.path.remove(str(own.code.parent))
        del sys.modules["team_code"]


def boosted(library: str, kind: str, sign: int) -> Any:
    module = import_module(library)
    quiet = {"lightgbm": {"verbose": -1}, "catboost": {"verbose": False, "allow_writing_files": False}}
    return fitted(getattr(module, kind)(n_estimators=15, **quiet.get(library, {})), sign)


Made = tuple[Any, Own]


def of_kind(kind: str, folder: Path, sign: int) -> Made:
    """A model of the kind, and the code that comes with it."""
    match kind:
        case "own transformer":
            # Both versions bring a module of one name; the second turns the wind about, and was fitted on the first.
            right = with_own_transformer(team_code(folder / f"fit{sign}", 1))
            return right, team_code(folder / f"own{sign}", sign)
        case "object":
            return "team_code:Rule", team_code(folder / f"own{sign}", sign)
        case "onnx":
            from skl2onnx import to_onnx

            model = fitted(LogisticRegression(), sign)
            file = folder / f"model{sign}.onnx"
            file.write_bytes(to_onnx(model, np.zeros((1, 2), np.float32)).SerializeToString())
            return file, NONE
        case _:
            classifier = {"lightgbm": "LGBMClassifier", "xgboost": "XGBClassifier", "catboost": "CatBoostClassifier"}
            return boosted(kind, classifier[kind], sign), NONE


KINDS = ("lightgbm", "xgboost", "catboost", "own transformer", "onnx", "object")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_any_kind_is_served_promoted_and_rolled_back(shop: Shop, tmp_path: Path, kind: str) -> None:
    name = kind.replace(" ", "-")
    shop.register(name, *of_kind(kind, tmp_path, 1))
    assert shop.wait_for(name) == (1, "late")
    model, own = of_kind(kind, tmp_path, -1)
    assert shop.house.add_version(name, model, own=own).version == 2
    assert shop.answer(name) == (1, "late")
    shop.house[name].promote(2, reason="turned about")
    assert shop.answer(name) == (2, "on time")
    shop.house[name].rollback(reason="it was right before")
    assert shop.answer(name) == (1, "late")


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "own transformer"])
def test_it_is_retrained_from_its_log_and_the_new_version_answers(shop: Shop, tmp_path: Path, kind: str) -> None:
    name = f"{kind.replace(' ', '-')}-again"
    shop.register(name, *of_kind(kind, tmp_path, 1))
    assert shop.wait_for(name) == (1, "late")
    shop.log_world(name)
    run = shop.retrain(name)
    made = shop.house[name].version(int(run.version or 0))
    assert (made.version, made.runtime) == (2, shop.house[name].version(1).runtime)
    assert made.recorded is not None
    shop.house[name].promote(2, reason="retrained")
    assert shop.answer(name) == (2, "late")


@pytest.mark.parametrize("kind", ["onnx", "object"])
def test_what_cannot_be_fitted_anew_is_not_retrained(shop: Shop, tmp_path: Path, kind: str) -> None:
    shop.register(f"{kind}-fixed", *of_kind(kind, tmp_path, 1))
    with pytest.raises(CannotRetrain, match="it cannot be fitted anew"):
        shop.house[f"{kind}-fixed"].retrain()
