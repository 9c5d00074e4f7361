"""The validate step holds what is learned from against the schema that was agreed on, and keeps what Evidently's tests say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted

from pilothouse.app.panels import runs as panels
from pilothouse.data.errors import QueryCancelled
from pilothouse.data.state import runs
from pilothouse.data.state.runs import Run, RunState
from pilothouse.data.windows import utc_now
from pilothouse.ops.house import House
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.tracking import StepRunner
from pilothouse.ops.reports.running import Child


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ten weeks of labelled rows, a tenth of them with a purpose that the reference does not know."""
    made = make_small(tmp_path_factory.mktemp("validate") / "house")
    rows = planted(2000, seed=5).with_row_index("i")
    at = pl.lit(utc_now() - timedelta(weeks=10)) + pl.duration(minutes=pl.col("i") * 44)
    purpose = pl.when(pl.col("i") % 10 == 0).then(pl.lit("yacht")).otherwise("purpose")
    rows = rows.with_columns(at=at, purpose=purpose, id=pl.format("r{}", "i"))
    made[MODEL].predict(rows.drop("failed"), log=True)
    made[MODEL].label(rows.select("id", label=pl.col("failed"), observed_at=pl.col("at") + timedelta(hours=1)))
    made.catch_up()
    yield made
    made.close()


def validated(house: House) -> Run:
    """A retraining as far as its validate step, in this process; its heavy parts in children."""
    run = house[MODEL].retrain(train="6w", judge="2w")
    with house.state.write() as conn:
        runs.set_run(conn, run.id, state=RunState.RUNNING, worker="here")
    runner = StepRunner(
        workspace=house.workspace, state=house.state, store=house.store, children=Children(house.workspace.store),
        worker="here", clock=utc_now, stopping=threading.Event(),
    )  # fmt: skip
    outputs: dict[str, Any] = {}
    for name in ("extract", "validate"):
        outputs[name] = runner.call(run.id, name, outputs)
    found = house.run(run.id)
    if found.active:
        with house.state.write() as conn:
            runs.set_run(conn, run.id, state=RunState.CANCELLED, finished_at=utc_now())
    return found


def log(house: House, run: Run) -> str:
    return "\n".join(line.text for line in house.run_log(run.id))


def test_rules_that_nobody_agreed_on_warn_and_agreed_ones_stop(house: House) -> None:
    warned = validated(house)
    assert warned.error is None
    assert "10.0% of the rows break the rule: purpose is one of 3 values" in log(house, warned)
    house[MODEL].edit_schema(reason="they are right")
    stopped = validated(house)
    assert stopped.state is RunState.FAILED
    assert "10.0% of the rows to learn from break the rule" in (stopped.error or "")
    assert "version 1 of the schema allows 5.0%" in (stopped.error or "")


def test_failed_tests_of_evidently_are_kept_and_stop_where_the_schema_says_so(house: House) -> None:
    house[MODEL].edit_schema("stop above 20%", reason="a tenth is known")
    warned = validated(house)
    assert warned.error is None
    checked = next(s for s in house.steps(warned.id) if s.name == "validate").output["checked"]  # type: ignore[index]
    failed = [test for test in checked["tests"] if test["status"] == "fail"]
    assert len(checked["tests"]) == 4
    assert any("purpose" in test["name"] for test in failed)
    assert f"{len(failed)} of 4 tests of Evidently failed." in panels.checked(house.steps(warned.id))
    house[MODEL].edit_schema("failed tests stop", reason="be strict")
    stopped = validated(house)
    assert stopped.state is RunState.FAILED
    assert "tests of Evidently failed, first: " in (stopped.error or "")


def test_a_report_can_be_called_off(house: House) -> None:
    child = Child()
    threading.Timer(0.3, child.stop).start()
    with pytest.raises(QueryCancelled):
        house[MODEL].report(house[MODEL].window("10w"), ["drift"], child)
