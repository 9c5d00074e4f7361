"""Context columns, what column classes keep out of the log, and models that answer elsewhere: all over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.integration.serving.conftest import ROW, fitted, served

from pilothouse.data.errors import BadData, CannotRetrain, NotServedHere, UnknownColumn
from pilothouse.data.log.pending import pending
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House

CLASSES = {"carrier": "hashed", "temp": "dropped", "entity_id": "hashed", "channel": "masked"}


def reference(rows: int = 60) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "carrier": ["UA", "AA", "DL"] * (rows // 3),
            "hour": [i % 24 for i in range(rows)],
            "temp": [50.0 + i % 30 for i in range(rows)],
            "distance": [100.0 + i for i in range(rows)],
            "channel": ["web", "desk"] * (rows // 2),
            "loyalty": [float(i % 5) for i in range(rows)],
            "late": [int(i % 24 > 12) for i in range(rows)],
        }
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House.open(Workspace.create(tmp_path / "ws").root)
    yield house
    house.close()


@pytest.fixture
def guarded(house: House) -> House:
    house.register(
        "flights", fitted(1), reference=reference(), target="late", trusted=("numpy.dtype",),
        context=("channel", "loyalty"), classes=CLASSES, segments=("channel",),
    )  # fmt: skip
    return house


def raw_spool(house: House) -> bytes:
    with pending(house.workspace.spool) as files:
        return b"".join(e.body for f in files for e in f.read("flights", EntryKind.PREDICTIONS, after=None))


def test_context_is_logged_typed_and_checked(guarded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"rows": [ROW, ROW], "ids": ["a", "b"], "context": [{"channel": "web", "loyalty": 2}, None]}
    with served(guarded, monkeypatch) as client:
        assert client.post("/predict", json=body).status_code == 200
        refused = client.post("/predict", json=body | {"context": [{"channel": 3, "colour": "red"}, None]})
        assert {(f["pointer"], f["detail"]) for f in refused.json()["faults"]} == {
            ("/context/0/channel", "must be a string or null; got a number"),
            ("/context/0/colour", "is not a field here; allowed: channel, loyalty"),
        }
        short = client.post("/predict", json=body | {"context": [None]})
        assert short.json()["faults"][0]["detail"] == "must have one item a row: 2; got 1"
    logged = guarded["flights"].prediction_log.predictions().sort("prediction_id")
    assert logged["c_channel"].to_list() == ["web", None]
    assert logged["c_loyalty"].to_list() == [2.0, None]


def test_hashed_and_dropped_values_never_reach_the_disk(guarded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROW | {"carrier": "SECRET-AIR", "temp": 77.125}
    with served(guarded, monkeypatch) as client:
        answer = client.post("/predict", json={"rows": [row, row, ROW], "entities": ["ann@example.org", None, None]})
        assert answer.status_code == 200
    spooled = raw_spool(guarded)
    assert b"SECRET-AIR" not in spooled
    assert b"77.125" not in spooled
    assert b"ann@" not in spooled
    logged = guarded["flights"].prediction_log.predictions()
    first, second, other = logged["x_carrier"].to_list()
    assert first == second != other
    assert len(first) == 32
    assert logged["x_temp"].to_list() == [None] * 3
    # The same value from a notebook's frame gets the same hash.
    frame = reference(6).with_columns(pl.lit("SECRET-AIR").alias("carrier"), pl.lit(0).alias("prediction"))
    guarded["flights"].log(frame)
    assert guarded["flights"].prediction_log.predictions()["x_carrier"].to_list()[3:] == [first] * 6
    # The reference holds hashes too, so that drift compares like with like, and nothing of a dropped column.
    assert list(guarded["flights"].profile.features) == ["carrier", "hour", "distance"]
    assert "UA" not in guarded["flights"].profile.features["carrier"].bins.values


def test_a_model_that_cannot_learn_from_its_log_is_not_retrained(guarded: House) -> None:
    with pytest.raises(CannotRetrain, match="the log does not hold carrier, temp as the model sees them"):
        guarded["flights"].retrain()


def test_classes_are_refused_where_they_make_no_sense(house: House) -> None:
    def register(**terms: Any) -> None:
        house.monitor("flights", reference=reference(), target="late", **terms)

    with pytest.raises(UnknownColumn, match=r"flights logs no column 'carier'.*Did you mean 'carrier'"):
        register(classes={"carier": "masked"})
    with pytest.raises(BadData, match=r"'secret' is no class for column 'carrier'. Classes are: plain, sensitive"):
        register(classes={"carrier": "secret"})
    with pytest.raises(BadData, match="'hour' holds numbers; only text is hashed"):
        register(classes={"hour": "hashed"})
    assert house.models() == []


def test_a_model_that_answers_elsewhere_is_logged_and_not_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.monitor("flights", reference=reference(), target="late", context=("channel", "loyalty"))
    with served(house, monkeypatch) as client:
        assert client.get("/models").json()["models"] == [{"name": "flights", "version": 1, "task": "binary"}]
        refused = client.post("/models/flights/predict", json={"rows": [ROW]})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:pilothouse:not-served-here")
        told = {"rows": [ROW], "predictions": [1], "scores": [0.9], "ids": ["x"], "context": [{"channel": "web"}]}
        assert client.post("/models/flights/log", json=told).status_code == 202
        assert client.post("/models/flights/feedback", json={"labels": [{"id": "x", "label": 1}]}).status_code == 202
    logged = house["flights"].prediction_log.labelled()
    assert logged.select("version", "prediction", "score", "c_channel", "label").rows() == [(1, 1.0, 0.9, "web", 1.0)]
    with pytest.raises(NotServedHere, match="served elsewhere"):
        house["flights"].predict(reference())
    with pytest.raises(CannotRetrain, match="it is served elsewhere"):
        house["flights"].retrain()


def test_a_second_version_elsewhere_takes_over_like_any_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.monitor("flights", reference=reference(), target="late")
    house.registry.add_monitored_version(house.actor, "flights", 7, note="went live on Tuesday")
    with served(house, monkeypatch) as client:
        house["flights"].promote(7, reason="it answers there now")
        row = ROW | {"channel": "web", "loyalty": 1}
        assert client.post("/log", json={"rows": [row], "predictions": [0]}).status_code == 202
        assert client.get("/model").json()["version"] == 7
    assert house["flights"].prediction_log.predictions()["version"].to_list() == [7]
