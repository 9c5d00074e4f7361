"""A model of three classes, end to end: what it says of each class comes through every door, and is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tests.integration.serving.conftest import Client
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.log.schema import Role
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.windows import utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.batch.entry import score
from pilothouse.ops.house import House

NAME, CLASSES, FEATURES = "ports", ("east", "north", "west"), ["wind", "tide"]
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


def world(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    wind, tide = rng.normal(size=(2, rows))
    strength = np.column_stack([wind, tide, -wind - tide]) + rng.gumbel(size=(rows, 3))
    return pl.DataFrame({"wind": wind, "tide": tide, "port": np.array(CLASSES)[strength.argmax(axis=1)]})


@pytest.fixture(scope="module", params=["never", "where_equal"])
def shop(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Client]]:
    """A house and its service, that answers with the model itself or with its ONNX form."""
    from pilothouse.ops.serving.main import assemble

    workspace = Workspace.create(tmp_path_factory.mktemp("ports") / "w")
    workspace.settings_file.write_text(f'onnx = "{request.param}"')
    house = House.open(workspace.root)
    past = world(900, seed=1)
    model = LogisticRegression().fit(past.select(FEATURES).to_pandas(), past["port"].to_numpy())
    house.register(
        NAME, model, reference=world(300, seed=2), target="port", trusted=("numpy.dtype",),
        task="multiclass", label_policy=LabelPolicy(horizon=timedelta(days=1)),
    )  # fmt: skip
    assert (house[NAME].champion.onnx_sha256 is None) is (request.param == "never")
    with Client(assemble(workspace, house.settings)) as client:
        yield house, client
    house.close()


def scores_of(house: House, *ids: str) -> list[list[float] | None]:
    columns = ["prediction_id", "scores"]
    log = house[NAME].prediction_log
    found = dict(log.predictions(columns=columns, roles=tuple(Role)).iter_rows())
    return [found[id] for id in ids]


def asked(rows: int, prefix: str, seed: int = 3) -> tuple[list[dict[str, Any]], list[str]]:
    return world(rows, seed).select(FEATURES).to_dicts(), [f"{prefix}-{place}" for place in range(rows)]


def stream(frame: pl.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_what_is_answered_is_what_is_logged(shop: tuple[House, Client]) -> None:
    house, client = shop
    rows, ids = asked(3, "json")
    told = client.post(f"/models/{NAME}/predict", json={"rows": rows, "ids": ids}).json()["predictions"]
    assert scores_of(house, *ids) == [row["scores"] for row in told]
    assert [CLASSES[int(np.argmax(row["scores"]))] for row in told] == [row["prediction"] for row in told]
    frame = pl.DataFrame(rows).with_columns(id=pl.Series(["arrow-0", "arrow-1", "arrow-2"]))
    again = client.post(f"/models/{NAME}/predict", content=stream(frame), headers=ARROW).json()["predictions"]
    assert [row["scores"] for row in again] == [pytest.approx(row["scores"], abs=1e-6) for row in told]
    assert scores_of(house, *frame["id"]) == [row["scores"] for row in again]


def test_predictions_made_elsewhere_bring_theirs(shop: tuple[House, Client]) -> None:
    house, client = shop
    rows, ids = asked(3, "else")
    given = [[0.2, 0.3, 0.5], None, 0.75]
    body = {"rows": rows, "ids": ids, "predictions": ["west"] * 3, "scores": given}
    assert client.post(f"/models/{NAME}/log", json=body).status_code == 202
    assert scores_of(house, *ids) == [[0.2, 0.3, 0.5], None, None]
    frame = pl.DataFrame(rows).with_columns(
        id=pl.Series(["lists-0", "lists-1", "lists-2"]), prediction=pl.lit("west"),
        scores=pl.Series([[0.2, 0.3, 0.5], None, [1.0, 0.0, 0.0]], dtype=pl.List(pl.Float64)),
    )  # fmt: skip
    assert client.post(f"/models/{NAME}/log", content=stream(frame), headers=ARROW).status_code == 202
    assert scores_of(house, *frame["id"]) == [[0.2, 0.3, 0.5], None, [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([[0.5, 0.5]], "/scores/0 must have 3 to 3 probabilities; got 2"),
        ([[0.5, 0.5, 1.5]], "/scores/0/2 must lie from 0 to 1"),
        ([[0.5, None, 0.5]], "/scores/0/1 must be a number; got null"),
        ([["a", 0.0, 1.0]], "/scores/0/0 must be a number; got a string"),
        ([[0.2, 0.3, 0.5]] * 2, "/scores must have one item a row: 1; got 2"),
    ],
)
def test_scores_that_fit_no_row_are_refused(shop: tuple[House, Client], scores: Any, told: str) -> None:
    rows, ids = asked(1, "refused")
    answer = shop[1].post(
        f"/models/{NAME}/log", json={"rows": rows, "ids": ids, "predictions": ["west"], "scores": scores}
    )
    assert answer.status_code == 422
    assert told in " ".join(f"{fault['pointer']} {fault['detail']}" for fault in answer.json()["faults"])


def test_one_kind_of_scores_at_a_time(shop: tuple[House, Client]) -> None:
    frame = pl.DataFrame(
        {"wind": [0.1], "tide": [0.2], "prediction": ["west"], "score": [0.5], "scores": [[0.2, 0.3, 0.5]]}
    )
    answer = shop[1].post(f"/models/{NAME}/log", content=stream(frame), headers=ARROW)
    assert answer.status_code == 422
    assert "must not stand beside score" in answer.text


def test_frames_and_files_bring_theirs_and_all_are_measured(shop: tuple[House, Client], tmp_path: Path) -> None:
    house, _ = shop
    handle = house[NAME]
    past, now = world(600, seed=9), utc_now()
    scored = handle.predict(past.select(FEATURES))
    ids = [f"frame-{place}" for place in range(past.height)]
    chances = np.array(scored["scores"].to_list())
    frame = past.select(FEATURES).with_columns(
        id=pl.Series(ids), at=pl.Series([now - timedelta(days=3)] * past.height), prediction=scored["prediction"]
    )
    by_class = pl.DataFrame(chances, schema=[f"p_{name}" for name in CLASSES])
    handle.log(frame[:300].with_columns(scores=pl.Series(chances[:300].tolist())))
    handle.log(
        pl.concat([frame, by_class], how="horizontal")[300:],
        mapping={f"score_{name}": f"p_{name}" for name in CLASSES},
    )
    assert scores_of(house, ids[0], ids[-1]) == [chances[0].tolist(), chances[-1].tolist()]
    handle.label(pl.DataFrame({"id": ids, "label": past["port"], "observed_at": [now - timedelta(days=2)] * 600}))
    house.catch_up()
    window = handle.window("30d")
    metrics = handle.history.performance(window, exact=True).metrics
    given = chances[np.arange(past.height), [CLASSES.index(port) for port in past["port"]]]
    assert metrics["log_loss"].value == pytest.approx(-np.log(given).mean(), abs=1e-12)
    assert metrics["macro_roc_auc"].value == pytest.approx(roc_auc_score(past["port"], chances, multi_class="ovr"))
    report = handle.metrics(window, exact=True)
    assert (report.exact, report.metrics["macro_roc_auc"]) == (True, metrics["macro_roc_auc"])
    assert handle.metrics(window).metrics["macro_roc_auc"].value == pytest.approx(
        metrics["macro_roc_auc"].value, abs=1e-3
    )
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    past.select(FEATURES)[:50].with_columns(id=pl.Series([f"file-{i}" for i in range(50)])).write_parquet(source)
    score(handle, source, out, id="id")
    file = pl.read_parquet(out).select(f"score_{name}" for name in CLASSES)
    assert scores_of(house, "file-0", "file-49") == [list(file.row(0)), list(file.row(49))]
    assert any(isinstance(value, list) for value in handle.rows("30d", 5).rows[0])


def test_commands_show_them_and_an_erasure_takes_those_of_one_person_alone(shop: tuple[House, Client]) -> None:
    house, _ = shop
    rows, ids = asked(4, "person")
    given = [[0.125, 0.375, 0.5]] * 4
    frame = pl.DataFrame(rows).with_columns(
        id=pl.Series(ids),
        entity=pl.Series(["ann", "bob", "bob", None]),
        prediction=pl.lit("west"),
        scores=pl.Series(given),
    )
    house[NAME].log(frame)
    house[NAME].label(pl.DataFrame({"id": ids, "label": ["west", "north", "west", "east"]}))
    house.catch_up()
    house[NAME].erase("bob", reason="asked for")
    left = house[NAME].prediction_log.predictions(columns=["prediction_id"])["prediction_id"].to_list()
    assert sorted(id for id in left if id in ids) == [ids[0], ids[3]]
    assert scores_of(house, ids[0], ids[3]) == given[:2]
    workspace = ["--workspace", str(house.workspace.root)]
    shown = CliRunner().invoke(app, ["rows", NAME, "--id", ids[0], "--json", *workspace])
    assert json.loads(shown.stdout)["rows"][0]["scores"] == given[0]
    told = CliRunner().invoke(app, ["performance", NAME, "--window", "30d", "--exact", *workspace])
    assert (told.exit_code, "macro_roc_auc" in told.stdout) == (0, True), told.stdout
