"""Latency objectives, from latencies planted in the log: through the notebook's handle, the command line and the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.data.errors import BadPolicy, NotAllowed
from pilothouse.data.history.results import State
from pilothouse.data.windows import utc_now
from pilothouse.ops.actors import Actor
from pilothouse.ops.house import House

FAST_US, SLOW_US = 24_000, 25_001


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """200 requests in the last half hour, 10 of them too slow and one failed; and 800 fast ones two days ago."""
    made = make_small(tmp_path_factory.mktemp("objectives") / "house")
    now = utc_now()
    log(made, now - timedelta(minutes=30), [FAST_US] * 189 + [SLOW_US] * 10 + [FAST_US])
    log(made, now - timedelta(days=2), [FAST_US] * 800)
    yield made
    made.close()


def log(house: House, since: object, latencies_us: list[int], **more: object) -> None:
    """A request a latency, a millisecond apart, the last of which failed if there are slow ones; two rows each."""
    requests = len(latencies_us)
    rows = planted(2 * requests, seed=3).drop("failed")
    number = pl.Series([n for n in range(requests) for _ in range(2)])
    failed = SLOW_US in latencies_us
    house[MODEL].log(
        rows.with_columns(
            prediction=pl.lit(0),
            at=pl.lit(since) + pl.duration(milliseconds=number),
            logged_at=pl.lit(since) + pl.duration(milliseconds=number),
            latency_us=pl.Series([us for us in latencies_us for _ in range(2)]),
            status=pl.Series(["error" if failed and n == requests - 1 else "ok" for n in number]),
        ),
        **more,
    )


def test_what_is_no_objective_is_refused(house: House) -> None:
    loans = house[MODEL]
    for within, share in (
        ("25", "99%"),
        ("0ms", "99%"),
        ("61s", "99%"),
        ("25ms", "100%"),
        ("25ms", "0%"),
        ("25ms", "1"),
    ):
        with pytest.raises(BadPolicy, match=r"cannot be kept\. Allowed: above 0"):
            loans.objective(within, share=share)
    assert loans.objective() is None
    viewer = House(house.workspace, house.settings, Actor(name="eve", roles=frozenset()))
    with pytest.raises(NotAllowed):
        viewer[MODEL].objective("25ms")
    viewer.close()
    assert loans.objective() is None


def test_requests_are_counted_once_and_failed_ones_are_late(house: House) -> None:
    loans = house[MODEL]
    house.catch_up()
    found = loans.objective("25ms", share="90%")
    assert found is not None
    assert (found.hour.requests, found.hour.in_time) == (200, 189)
    assert (found.window.requests, found.window.in_time) == (1000, 989)
    assert found.hour.share == pytest.approx(0.945)
    assert not found.hour.missed
    assert found.hour.budget_left == pytest.approx(0.45)
    assert house[MODEL].row.objective == found.objective
    (set_by, *_) = loans.audit()
    assert (set_by.act, set_by.details["to"]) == ("latency objective", {"within_ms": 25.0, "share": 0.9})


def test_a_missed_objective_is_a_reason_to_look(house: House) -> None:
    loans = house[MODEL]
    loans.objective("25ms", share="94%")
    assert [r.rule for r in loans.health().reasons if r.rule == "latency"] == []
    loans.objective("25ms", share="99.5%")
    health = loans.health()
    (reason,) = [reason for reason in health.reasons if reason.rule == "latency"]
    assert (health.state, reason.state) == (State.WATCH, State.WATCH)
    assert reason.sentence == (
        "94.50% of 200 requests of the last hour were answered within 25 ms; the objective asks for 99.5%"
    )


def test_an_hour_with_few_requests_leaves_it_to_the_week(house: House) -> None:
    later = House(house.workspace, house.settings, house.actor, clock=lambda: utc_now() + timedelta(hours=2))
    found = later[MODEL].objective("25ms", share="99.5%", window="7d")
    assert found is not None
    assert (found.hour.requests, found.hour.few, found.hour.share, found.hour.missed) == (0, True, None, False)
    (reason,) = [reason for reason in later[MODEL].health().reasons if reason.rule == "latency"]
    assert "98.90% of 1,000 requests of the last 7 days" in reason.sentence
    later.close()


def test_the_command_line_sets_shows_and_clears_it(house: House) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["objective", MODEL, *arguments, "-w", str(house.workspace.root)])
        assert done.exit_code == 0, done.output
        return done.output

    said = run("25ms", "--share", "99%")
    assert "loans: 99% of the requests are to be answered within 25 ms." in said
    found = json.loads(run("--json"))
    assert found["objective"] == {"within_ms": 25.0, "share": 0.99}
    hour = {name: found["hour"][name] for name in ("requests", "in_time", "share", "missed")}
    assert hour == {"requests": 200, "in_time": 189, "share": 0.945, "missed": True}
    assert found["hour"]["budget_left"] == pytest.approx(-4.5)
    assert "loans has no latency objective. Set one with: pilothouse objective loans 25ms" in run("--clear")
    assert json.loads(run("--json")) is None


def opened() -> AppTest:
    app = open_page("model", model=MODEL)
    app.button(key="objective-open").click().run()
    app.button(key="objective-open").click()
    return app


def test_the_page_shows_and_sets_it_and_the_fleet_names_the_model(house: House) -> None:
    house[MODEL].objective(clear=True)
    with dashboard_of(house.workspace.root):
        app = opened()
        assert "Nobody has said how fast this model is to answer." in words(app)
        app.text_input(key="objective-within").set_value("fast")
        app.button(key="objective-confirm").click().run()
        assert "cannot be kept" in words(app)
        app = opened()
        app.button(key="objective-confirm").click().run()
        assert not app.exception
        shown = words(open_page("model", model=MODEL))
        assert "99% of the requests are to be answered within 25 ms." in shown
        assert "98.90%" in shown and "94.50%" in shown  # noqa: PT018
        assert "the objective asks for 99%" in words(open_page("fleet"))
