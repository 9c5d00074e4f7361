"""Drift by every measure, all features together, and calibrated thresholds: notebook, command line and page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.data.errors import BadPolicy, InvalidWindow, NotAllowed
from pilothouse.data.history.results import State
from pilothouse.data.measures.changes import differing
from pilothouse.data.measures.drift_thresholds import Null
from pilothouse.ops.actors import Actor
from pilothouse.ops.house import House

DAYS, ROWS_A_DAY = 35, 100
SINCE = datetime(2026, 2, 2, tzinfo=UTC)
MOVED = "2026-03-02T00:00Z/2026-03-09T00:00Z"
BEFORE = "2026-02-23T00:00Z/2026-03-02T00:00Z"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Five weeks of loans, a hundred a day; in the last week the amounts are a quarter higher."""
    made = make_small(tmp_path_factory.mktemp("drift") / "house")
    rows = planted(DAYS * ROWS_A_DAY, seed=8).drop("failed")
    number = pl.int_range(rows.height, eager=True)
    late = number >= (DAYS - 7) * ROWS_A_DAY
    at = pl.Series([SINCE + timedelta(days=1) * n / ROWS_A_DAY for n in number])
    moved = rows.with_columns(amount=pl.when(late).then(pl.col("amount") * 1.25).otherwise(pl.col("amount")), at=at)
    loans = made[MODEL]
    said = loans.predict(moved.drop("at"))
    loans.log(moved.with_columns(said["prediction"], said["score"], logged_at=at))
    made.catch_up()
    yield made
    made.close()


@pytest.fixture(scope="module")
def calibrated(house: House) -> House:
    house[MODEL].calibrate_drift("2 per month", "7d", baseline="2026-02-02T00:00Z/2026-03-02T00:00Z")
    return house


def run(house: House, *typed: str) -> str:
    answer = CliRunner().invoke(cli, [*typed, "-w", str(house.workspace.root)], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_counts_and_rows_give_the_same_measures(house: House) -> None:
    history, window = house[MODEL].history, house[MODEL].window(MOVED)
    counted, exact = ({f.name: f for f in history.drift(window, exact=e).features} for e in (False, True))
    for name in ("months", "purpose"):
        for measure, found in exact[name].more.items():
            assert counted[name].more[measure].value == pytest.approx(found.value), (name, measure)
    assert exact["amount"].more["chi_square"].q == pytest.approx(0, abs=1e-3)
    chance = differing(tuple(exact.values()))
    assert (chance.tested, chance.differ) == (3, 1)


def test_answers_are_measured_like_a_feature(house: House) -> None:
    loans = house[MODEL]
    quiet, moved = (loans.prediction_drift(window) for window in (BEFORE, MOVED))
    assert quiet is not None
    assert moved is not None
    assert (quiet.kind, quiet.rows) == ("category", 700)
    assert (quiet.more["z"].p or 0) > 0.01
    assert (moved.more["z"].p or 1) < 0.05


def test_what_is_no_budget_is_refused(house: House) -> None:
    loans = house[MODEL]
    for budget in ("0", "some", "-1", "2 per week"):
        with pytest.raises(BadPolicy, match="false alarms a month"):
            loans.calibrate_drift(budget)
    for window in ("12h", "200d"):
        with pytest.raises(BadPolicy, match="whole days"):
            loans.calibrate_drift(window=window)
    with pytest.raises(InvalidWindow):
        loans.calibrate_drift(window="soon")
    with pytest.raises(BadPolicy, match="at least 21 whole days"):
        loans.calibrate_drift(baseline="7d")
    house.actor, before = Actor(name="eve", roles=frozenset()), house.actor
    try:
        with pytest.raises(NotAllowed):
            loans.calibrate_drift()
    finally:
        house.actor = before
    assert house[MODEL].drift_thresholds is None


def test_calibrated_thresholds_give_states_and_are_audited(calibrated: House) -> None:
    loans = calibrated[MODEL]
    held = loans.drift_thresholds
    assert held is not None
    assert (held.null, set(held.features)) == (Null.DAYS, {"amount", "months", "purpose"})
    assert set(held.answers) == {"score", "prediction"}
    quiet, moved = (loans.history.drift(loans.window(window)) for window in (BEFORE, MOVED))
    assert {f.state for f in quiet.features} == {State.HEALTHY}
    first = moved.features[0]
    assert (first.name, first.state) == ("amount", State.WATCH)
    assert "calibrated to 2 false alarms a month in windows of 7 days" in first.reason
    assert "calibrated" not in loans.history.drift(loans.window("24h")).features[0].reason
    assert "calibrated threshold" in next(r.sentence for r in loans.health().reasons if r.rule == "drift")
    act = loans.audit()[0]
    assert (act.act, act.details["from"]) == ("drift thresholds", None)
    assert act.details["to"]["per_month"] == 2


def test_score_and_answers_are_judged_by_thresholds_of_their_own(calibrated: House) -> None:
    loans = calibrated[MODEL]
    held = loans.drift_thresholds
    assert held is not None
    score = loans.history.drift(loans.window(BEFORE)).score
    said = loans.prediction_drift(BEFORE)
    assert score is not None
    assert said is not None
    for found, name in ((score, "score"), (said, "prediction")):
        assert (found.state, found.threshold) == (State.HEALTHY, held.answers[name]["psi"])
        assert "calibrated to 2 false alarms a month" in found.reason
    assert "calibrated" not in (loans.prediction_drift("24h") or said).reason
    shown = run(calibrated, "drift-thresholds", MODEL)
    assert "(score)" in shown
    assert "and so have the score and the answers, calibrated to 2 false alarms" in " ".join(shown.split())


def test_a_short_log_is_calibrated_by_the_reference(tmp_path_factory: pytest.TempPathFactory) -> None:
    house = make_small(tmp_path_factory.mktemp("short") / "house")
    held = house[MODEL].calibrate_drift("1", "14d")
    assert held is not None
    assert (held.null, held.rows, set(held.answers)) == (Null.ROWS, 1000, {"score", "prediction"})
    assert all(0 < limits["psi"] < 0.1 for limits in held.features.values())
    assert house[MODEL].calibrate_drift(clear=True) is None
    assert house[MODEL].drift_thresholds is None
    house.close()


def test_the_command_line_asks_the_same(calibrated: House) -> None:
    found = json.loads(run(calibrated, "drift", MODEL, "--window", MOVED, "--json"))
    assert found["prediction"]["rows"] == 700
    assert found["features"][0]["more"]["chi_square"]["q"] < 0.05
    said = run(calibrated, "drift", MODEL, "--window", MOVED)
    assert "1 of 3 features differs from the reference by more than chance" in said.replace("\n", " ")
    assert "calibrated to 2 false alarms a month" in run(calibrated, "drift-thresholds", MODEL)
    together = json.loads(run(calibrated, "drift", MODEL, "--window", MOVED, "--multivariate", "--json"))
    assert (together["rows"], together["reference_rows"]) == (700, 1000)
    assert together["importance"][0][0] == "amount"
    assert "Nothing can be said: too few rows: 100; 500 would do" in run(
        calibrated, "drift", MODEL, "--window", "24h", "--multivariate"
    )


@pytest.fixture
def page(calibrated: House) -> Iterator[AppTest]:
    with dashboard_of(calibrated.workspace.root):
        yield open_page("drift", range="2026-03-02~2026-03-09")


def test_the_page_says_it_all(page: AppTest) -> None:
    assert not page.exception
    said = words(page)
    assert "1 of 3 features differs from the reference by more than chance" in said
    assert "Every measure of amount" in said
    assert "calibrated to 2 false alarms a month in windows of 7 days over all of them" in said
    page.button(key="together-ask").click().run()
    assert not page.exception
    assert "A classifier tells this range from the reference" in words(page) or "can hardly tell" in words(page)
    page.button(key="thresholds-open").click().run()
    page.button(key="thresholds-open").click()
    page.text_input(key="thresholds-budget").set_value("many")
    page.button(key="thresholds-confirm").click().run()
    assert "cannot be kept" in words(page)


def test_a_sensitive_feature_is_not_shown(house: House) -> None:
    loans = house[MODEL]
    loans.set_class("amount", "sensitive")
    try:
        with dashboard_of(house.workspace.root):
            page = open_page("drift", range="2026-03-02~2026-03-09")
            said = words(page)
            assert not page.exception
            assert "1 sensitive column is not shown" in said
            assert "Every measure of amount" not in said
            page.button(key="together-ask").click().run()
            assert "1 sensitive or unknown columns are left out" in words(page)
        assert "amount" not in [name for name, _ in loans.multivariate_drift(MOVED).importance]
    finally:
        loans.set_class("amount", "plain")
