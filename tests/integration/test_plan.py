"""How a model should be watched: suggested from its reference and its log, agreed on, and judged by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadPolicy
from pilothouse.data.history.results import State
from pilothouse.ops.house import House

A_DAY, DAYS = 100, 40


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Forty days of a hundred loans; in the last sixteen the labels have nothing to do with the scores."""
    house = make_small(tmp_path_factory.mktemp("plan") / "workspace")
    loans, rng = house[MODEL], np.random.default_rng(4)
    rows = planted(A_DAY * DAYS, seed=9)
    first = datetime.now(UTC) - timedelta(days=DAYS + 10)
    at = [first + timedelta(days=i // A_DAY) for i in range(rows.height)]
    broken = np.arange(rows.height) >= A_DAY * (DAYS - 16)
    label = np.where(broken, rng.integers(0, 2, rows.height), rows["failed"].to_numpy())
    rows = rows.with_columns(at=pl.Series(at), id=pl.Series([f"l{i}" for i in range(rows.height)]), label=label)
    scored = loans.predict(rows.drop("failed", "label"))
    loans.log(scored)
    loans.label(rows.select("id", "label", observed_at="at"))
    house.catch_up()
    return house


def test_a_plan_rests_on_the_reference_and_the_traffic(house: House) -> None:
    plan = house[MODEL].plan()
    assert plan.watch is not None
    assert plan.expected is not None
    assert plan.labelled_a_day == pytest.approx(A_DAY)
    assert plan.expected.value == pytest.approx(house[MODEL].profile.performance["roc_auc"].value)
    assert [choice.name for choice in plan.choices] == ["span", "alarm", "drift span", "segments"]
    assert plan.drift_days == 7


def test_health_is_judged_by_the_plan_that_was_agreed_on(house: House) -> None:
    loans = house[MODEL]
    terms = loans.agree(loans.plan(loss=0.2, budget=1.0), days=7)
    assert terms is not None
    reasons = {reason.rule: reason for reason in house[MODEL].health().reasons}
    assert reasons["plan"].state is State.CRITICAL
    assert "ROC AUC 0." in reasons["plan"].sentence
    assert "over the last 7 days" in reasons["plan"].sentence
    assert loans.audit()[0].act == "watch"
    assert loans.agree(None) is None
    assert "plan" not in {reason.rule for reason in house[MODEL].health().reasons}


def test_the_pages_long_spans_are_those_that_health_is_judged_by(house: House) -> None:
    with dashboard_of(house.workspace.root):
        app = open_page("model", model=MODEL, range="8w")
        assert "over the newest 28 days in view" in words(app)
        assert "By the usual rules, over 28 days" in words(app)
        app.button(key="plan-open").click().run()
        # A dialog is closed by every run of the whole page that AppTest does, and opened by the next.
        app.button(key="plan-open").click()
        app.number_input(key="plan-loss").set_value(0.2)
        app.number_input(key="plan-budget").set_value(1.0)
        app.run()
        app.button(key="plan-open").click()
        app.button(key="plan-agree").click().run()
        assert not app.exception
        terms = house[MODEL].watch
        assert terms is not None
        assert terms.days < 28
        assert house[MODEL].audit()[0].act == "watch"
        after = words(open_page("model", model=MODEL, range="8w"))
        assert f"over the newest {terms.days} days in view" in after
        assert f"over the last {terms.days} days" in after, "the sentence of its health"
        assert f"ROC AUC over {terms.days} days; an alarm is" in after
        assert "28 days" not in after
        house[MODEL].agree(None)
    with dashboard_of(house.workspace.root):
        assert "over the newest 28 days in view" in words(open_page("model", model=MODEL, range="8w"))


@pytest.mark.parametrize(("given", "said"), [({"loss": -1.0}, "loss = -1.0"), ({"budget": 0.0}, "budget = 0.0")])
def test_nonsense_is_refused(house: House, given: dict[str, float], said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        house[MODEL].plan(**given)  # type: ignore[arg-type]
    with pytest.raises(BadPolicy, match="days = 10 cannot be kept"):
        house[MODEL].agree(house[MODEL].plan(loss=0.2), days=10)


def test_a_model_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    silent = make_small(tmp_path / "workspace")
    plan = silent[MODEL].plan()
    assert plan.watch is None
    assert plan.reason == "no labelled rows have come yet; say how many to expect with labelled_a_day"
    hoped = silent[MODEL].plan(labelled_a_day=2_000, loss=0.1)
    assert hoped.watch is not None
    shown = CliRunner().invoke(app, ["plan", MODEL, "--workspace", str(tmp_path / "workspace")])
    assert "no labelled rows have come yet" in " ".join(shown.output.split())
    assert "Nothing is agreed on yet" in shown.output
    silent.close()
