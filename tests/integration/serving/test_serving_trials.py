"""Canaries and shadows of one service process: who answers whom, what is logged, and what never reaches a client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from pilothouse.data.errors import (
    AlreadyChampion,
    AlreadyExists,
    CanaryRunning,
    NoReason,
    NoTrial,
    OtherFeatures,
    StaleDecision,
    TooManyShadows,
)
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.schema import Role
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.signature import Feature, Kind
from pilothouse.data.state import audit, catalog
from pilothouse.ops import artifacts
from pilothouse.ops.actors import local_operator
from pilothouse.ops.releases.assignment import Assignment
from pilothouse.ops.releases.switch import Releases
from pilothouse.ops.releases.trials import Trials

ROW: dict[str, Any] = {"carrier": "UA", "hour": 23, "temp": 61.5, "distance": 1400.0}
OPERATOR = local_operator()


def wait_for(found: Callable[[], Any], within_s: float = 10.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.01)
    return value


@pytest.fixture
def trials(bench: Any) -> Trials:
    return Trials(bench.workspace, bench.state, 3)


def ask(client: Any, rows: int = 1, **more: Any) -> Any:
    answer = client.post("/models/flights/predict", json={"rows": [ROW] * rows, **more})
    assert answer.status_code == 200, answer.text
    return answer


def version_for(client: Any, entity: str) -> int:
    return int(ask(client, entities=[entity]).json()["version"])


def logged(bench: Any, *roles: Role) -> pl.DataFrame:
    signature = catalog_signature(bench)
    return PredictionLog(bench.workspace, "flights", signature, LabelPolicy()).predictions(roles=roles)


def catalog_signature(bench: Any) -> Any:
    with bench.state.read() as conn:
        return catalog.get_model(conn, "flights").signature


def acts(bench: Any) -> list[tuple[str, dict[str, Any]]]:
    """The acts on trials and deployments, newest first."""
    with bench.state.read() as conn:
        return [(row.act, row.details) for row in audit.rows(conn, "flights")]


def test_the_canary_answers_those_whom_the_hash_gives_it_and_keeps_them(client: Any, bench: Any, trials: Any) -> None:
    started = trials.canary(OPERATOR, "flights", 2, share="30%", reason="try it")
    people = [f"person {number}" for number in range(40)]
    first = {person: version_for(client, person) for person in people}
    held = Assignment(salt=started.salt, basis_points=3_000)
    assert first == {person: 2 if held.holds(person) else 1 for person in people}
    raised = trials.canary(OPERATOR, "flights", 2, share="50%", reason="more")
    after = {person: version_for(client, person) for person in people}
    assert all(after[person] == 2 for person in people if first[person] == 2)
    assert Counter(after.values())[2] > Counter(first.values())[2]
    assert (raised.salt, raised.began_at) == (started.salt, started.began_at)
    rows = logged(bench, Role.CHAMPION, Role.CANARY)
    assert set(rows.select("version", "role").iter_rows()) == {(1, "champion"), (2, "canary")}
    assert rows.height == 80


def test_a_divided_request_is_answered_in_order_and_names_the_version_of_each_row(
    client: Any, bench: Any, trials: Any
) -> None:
    trial = trials.canary(OPERATOR, "flights", 2, share="50%", reason="try it")
    ids = [f"id {number}" for number in range(20)]
    hours = [0 if number % 2 else 23 for number in range(20)]
    rows = [{**ROW, "hour": hour} for hour in hours]
    keys = [{"flight": f"UA{number}"} for number in range(20)]
    answer = client.post("/models/flights/predict", json={"rows": rows, "ids": ids, "keys": keys})
    said, held = answer.json(), Assignment(salt=trial.salt, basis_points=5_000)
    assert answer.headers["x-pilothouse-version"] == "1, 2"
    assert said["version"] == 1
    assert [row["id"] for row in said["predictions"]] == ids
    assert [row["version"] for row in said["predictions"]] == [2 if held.holds(name) else 1 for name in ids]
    # Version 1 says late for late hours, version 2 for early ones.
    assert [row["prediction"] for row in said["predictions"]] == [
        int((hour == 23) == (row["version"] == 1)) for hour, row in zip(hours, said["predictions"], strict=True)
    ]
    kept = {row["prediction_id"]: row for row in logged(bench, Role.CHAMPION, Role.CANARY).iter_rows(named=True)}
    for number, (name, row) in enumerate(zip(ids, said["predictions"], strict=True)):
        assert (kept[name]["version"], kept[name]["x_hour"]) == (row["version"], hours[number])
        assert kept[name]["keys"] == f'{{"flight":"UA{number}"}}'
        assert kept[name]["role"] == ("canary" if row["version"] == 2 else "champion")


def test_ending_and_promoting_end_the_canary_and_say_so(client: Any, bench: Any, trials: Any) -> None:
    trials.canary(OPERATOR, "flights", 2, share="50%", reason="try it")
    assert {version_for(client, f"p{n}") for n in range(20)} == {1, 2}
    trials.end_canary(OPERATOR, "flights", reason="enough")
    assert {version_for(client, f"p{n}") for n in range(20)} == {1}
    with pytest.raises(NoTrial, match="flights has no canary that could be ended"):
        trials.end_canary(OPERATOR, "flights", reason="again")
    trials.canary(OPERATOR, "flights", 2, share="1%", reason="try it again")
    Releases(bench.workspace, bench.state).promote(OPERATOR, "flights", 2, reason="good")
    assert trials.running("flights") == ()
    assert {version_for(client, f"p{n}") for n in range(20)} == {2}
    assert [act for act, _ in acts(bench)] == [
        "promote", "canary end", "canary start", "canary end", "canary start", "promote"
    ]  # fmt: skip
    assert acts(bench)[1][1]["reason"] == "version 2 was promoted"
    trials.canary(OPERATOR, "flights", 1, share="1%", reason="the old one")
    Releases(bench.workspace, bench.state).roll_back(OPERATOR, "flights", reason="bad")
    assert acts(bench)[1] == ("canary end", acts(bench)[1][1] | {"reason": "version 1 was rolled back to"})


def test_what_stands_against_a_trial_is_said_in_plain_words(
    bench: Any, trials: Any, artifacts_of_two: tuple[bytes, bytes]
) -> None:
    with pytest.raises(AlreadyChampion):
        trials.canary(OPERATOR, "flights", 1, share="1%", reason="r")
    with pytest.raises(NoReason, match="To give a shadow to flights needs a reason"):
        trials.shadow(OPERATOR, "flights", 2, reason=" ")
    wider = replace(
        catalog_signature(bench),
        features=(*catalog_signature(bench).features, Feature(name="wind", kind=Kind.NUMBER)),
    )
    third = bench.add_version(artifacts_of_two[0], signature=wider)
    with pytest.raises(OtherFeatures, match="Version 3 of flights takes other features than its champion, version 1"):
        trials.canary(OPERATOR, "flights", third, share="1%", reason="r")
    more = [bench.add_version(artifacts_of_two[1]) for _ in range(3)]
    seen = trials.picture("flights").epoch
    trials.canary(OPERATOR, "flights", 2, share="1%", reason="r")
    with pytest.raises(CanaryRunning, match="flights has a canary already: version 2 with 1% of the requests"):
        trials.canary(OPERATOR, "flights", more[0], share="1%", reason="r")
    with pytest.raises(StaleDecision, match="you decided at epoch 1, it stands at epoch 2 with version 1"):
        trials.canary(OPERATOR, "flights", 2, share="2%", reason="r", expected_epoch=seen)
    with pytest.raises(StaleDecision):
        Releases(bench.workspace, bench.state).promote(OPERATOR, "flights", 2, reason="r", expected_epoch=seen)
    for version in more:
        trials.shadow(OPERATOR, "flights", version, reason="r")
    with pytest.raises(AlreadyExists, match="The shadow of version 4 of flights exists already"):
        trials.shadow(OPERATOR, "flights", more[0], reason="r")
    with pytest.raises(
        TooManyShadows, match=r"3 shadows already \(versions 4, 5, 6\); the setting max_shadows allows 3"
    ):
        trials.shadow(OPERATOR, "flights", 2, reason="r")
    trials.end_shadow(OPERATOR, "flights", more[0], reason="r")
    assert [(str(t.kind), t.version) for t in trials.running("flights")] == [
        ("canary", 2),
        ("shadow", 5),
        ("shadow", 6),
    ]


def test_shadows_log_the_same_rows_under_the_same_ids_and_answer_nobody(client: Any, bench: Any, trials: Any) -> None:
    alone = ask(client, 5, ids=[f"a{n}" for n in range(5)]).json()["predictions"]
    trials.shadow(OPERATOR, "flights", 2, reason="look at it")
    ids = [f"b{n}" for n in range(5)]
    answer = ask(client, 5, ids=ids, entities=["e"] * 5)
    assert answer.headers["x-pilothouse-version"] == "1"
    beside = answer.json()
    assert (beside["version"], [row["score"] for row in beside["predictions"]]) == (1, [row["score"] for row in alone])
    wait_for(lambda: logged(bench, Role.SHADOW).height == 5)
    said = logged(bench, Role.SHADOW)
    given = logged(bench, Role.CHAMPION).filter(pl.col("prediction_id").is_in(ids))
    assert set(said["version"]) == {2}
    same = ["prediction_id", "at", "entity_id", "x_carrier", "x_hour", "x_temp", "x_distance"]
    assert said.select(same).rows() == given.select(same).rows()
    assert set(said["prediction"]) == {0}
    assert set(given["prediction"]) == {1}
    # Traffic is what was answered: nothing of the shadow.
    assert bench.logged().height == 10
    assert set(bench.logged()["version"]) == {1}


def test_rows_that_find_no_room_are_dropped_and_counted(bench: Any, trials: Any, serve_with: Any) -> None:
    trials.shadow(OPERATOR, "flights", 2, reason="look at it")
    with serve_with(shadow_queue_rows=5) as client:
        ask(client, 10)
        text = wait_for(lambda: t if "shadow_rows_total{" in (t := client.get("/metrics").text) else None)
        assert 'pilothouse_shadow_rows_total{model="flights",outcome="dropped",version="2"} 10.0' in text
        tally = wait_for(lambda: bench.workers()[0].details["shadows"])
        assert tally == {"flights": {"2": {"logged": 0, "dropped": 10, "failed": 0, "fault": ""}}}
    assert logged(bench, Role.SHADOW).is_empty()


def test_a_shadow_that_fails_is_named_and_nobody_notices(bench: Any, trials: Any, serve_with: Any) -> None:
    version = bench.add_version(artifacts.dump(without_imputer(), ("numpy.dtype",)))
    trials.shadow(OPERATOR, "flights", version, reason="look at it")
    with serve_with() as client:
        answer = client.post("/predict", json={"rows": [{**ROW, "temp": None}]})
        assert answer.status_code == 200
        ask(client)
        tally = wait_for(lambda: bench.workers()[0].details["shadows"].get("flights"))
        assert tally == {str(version): {"logged": 1, "dropped": 0, "failed": 1, "fault": "BadRows"}}
    assert logged(bench, Role.SHADOW).height == 1


def without_imputer() -> Any:
    """A pipeline that gives no number where a value is missing."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    frame = pl.DataFrame({"temp": [float(n) for n in range(20)], "distance": [1.0] * 20}).to_pandas()
    columns = make_column_transformer(("passthrough", ["temp", "distance"]))
    return make_pipeline(columns, LogisticRegression()).fit(frame, [int(n > 9) for n in range(20)])


def test_what_waits_for_a_shadow_is_asked_before_the_end(bench: Any, trials: Any, serve_with: Any) -> None:
    trials.shadow(OPERATOR, "flights", 2, reason="look at it")
    with serve_with() as client:
        for _ in range(20):
            ask(client, 50)
    assert logged(bench, Role.SHADOW).height == 1000


def test_a_version_that_cannot_be_loaded_is_named_where_one_looks(client: Any, bench: Any, trials: Any) -> None:
    with bench.state.read() as conn:
        file = bench.store.path(catalog.get_version(conn, "flights", 2).artifact_sha256)
    file.write_bytes(b"broken" + file.read_bytes())
    seq = bench.prepare(2)
    wait_for(lambda: bench.answers(seq))
    assert client.get("/readyz").json()["failed"] == {"flights": [2]}
    failed = wait_for(lambda: bench.workers()[0].details["failed"])
    assert "the file's content has the SHA-256" in failed["flights"]["2"]
    assert version_for(client, "anybody") == 1


@pytest.fixture(autouse=True)
def _no_leftovers(bench: Any) -> Iterator[None]:
    yield
    with bench.state.read() as conn:
        assert audit.verify(conn) is None
