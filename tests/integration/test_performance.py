"""Realized performance of a small house: through the notebook's handle, the command line and the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.data.errors import BadCode, BadPolicy, NotAllowed, UnreviewedCode
from pilothouse.data.policies import Costs
from pilothouse.data.windows import Window, utc_now
from pilothouse.ops.actors import Actor
from pilothouse.ops.house import House

ROWS = 1200
OWN = """
def profit(rows):
    flagged = rows.filter(rows["score"] >= 0.5)
    return float(len(flagged) * 2 - (flagged["label"] == 1).sum() * 3)

def broken(rows):
    return rows["no such column"].sum()

def banded(rows):
    return 0.5, 0.4, 0.6
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """1,200 loans over twenty days; of the last 100 no label has come, and those of the rest came two hours later."""
    made = make_small(tmp_path_factory.mktemp("performance") / "house", 'time_zone = "UTC"')
    loans, rows = made[MODEL], planted(ROWS, seed=3)
    start = utc_now() - timedelta(days=20)
    at = [start + timedelta(minutes=24 * n) for n in range(ROWS)]
    answered = loans.predict(rows.drop("failed")).with_columns(
        id=pl.Series(map(str, range(ROWS))), at=pl.Series(at), logged_at=pl.Series(at)
    )
    loans.log(answered, version=1)
    told = pl.DataFrame(
        {
            "id": list(map(str, range(ROWS))),
            "label": rows["failed"],
            "observed_at": [t + timedelta(hours=2) for t in at],
            "recorded_at": [t + timedelta(hours=2) for t in at],
        }
    )
    loans.label(told.head(ROWS - 100))
    made.catch_up()
    yield made
    made.close()


def truth(house: House) -> tuple[np.ndarray, np.ndarray]:
    rows = planted(ROWS, seed=3)
    scores = house[MODEL].predict(rows.drop("failed"))["score"].to_numpy()
    return scores[: ROWS - 100], rows["failed"].to_numpy()[: ROWS - 100] == 1


def test_every_metric_speaks_of_the_labelled_rows(house: House) -> None:
    scores, failed = truth(house)
    counted, exact = (house[MODEL].metrics("8w", exact=whole) for whole in (False, True))
    for found in (counted, exact):
        assert (found.rows, found.labelled, found.threshold) == (ROWS, ROWS - 100, 0.5)
        assert found.coverage == pytest.approx((ROWS - 100) / ROWS)
        assert found.crossing is not None
        assert np.array(found.crossing.counts).tolist() == confusion_matrix(failed, scores >= 0.5).tolist()
    assert exact.metrics["roc_auc"].value == pytest.approx(roc_auc_score(failed, scores), abs=1e-12)
    assert exact.metrics["pr_auc"].value == pytest.approx(average_precision_score(failed, scores), abs=1e-12)
    assert abs((counted.metrics["roc_auc"].value or 0) - roc_auc_score(failed, scores)) <= counted.auc_slack
    assert set(counted.metrics) == set(exact.metrics)
    assert house[MODEL].metrics("8w", threshold=0.99).threshold == 0.99


def test_what_was_known_then_is_less(house: House) -> None:
    then = house[MODEL].metrics("8w", as_known=utc_now() - timedelta(days=10))
    assert 500 < then.labelled < ROWS - 400
    assert then.labelled <= then.rows < ROWS


def test_the_trend_has_every_metric(house: House) -> None:
    points = [p for p in house[MODEL].metric_trend("8w", "1w") if p.labelled]
    assert len(points) >= 3
    assert all(p.metrics["pr_auc"].value is not None for p in points)


def test_costs_are_kept_audited_and_worth_a_threshold(house: House) -> None:
    loans = house[MODEL]
    assert loans.thresholds("8w").reason == "nobody has said what mistakes cost"
    for wrong in (Costs(fp=float("nan"), fn=1), Costs(fp=0, fn=0), Costs(fp=1, fn=2, currency="<b>")):
        with pytest.raises(BadPolicy):
            loans.set_costs(wrong)
    viewer = House(house.workspace, house.settings, Actor(name="eve", roles=frozenset()))
    with pytest.raises(NotAllowed):
        viewer[MODEL].set_costs(Costs(fp=1, fn=5))
    viewer.close()
    loans.set_costs(Costs(fp=1, fn=5))
    found = house[MODEL].thresholds("8w")
    assert found.saving is not None
    assert found.saving.threshold.value is not None
    assert found.saving.threshold.value < 0.4
    assert found.saving.calibrated == pytest.approx(1 / 6)
    (act, *_) = loans.audit()
    assert (act.act, act.details["to"]["fn"]) == ("costs", 5.0)
    with pytest.raises(BadPolicy, match="from 0 to 1"):
        loans.thresholds("8w", threshold=1.5)


def test_lenders_read_bands_and_vintages(house: House) -> None:
    found = house[MODEL].lending("8w", bands=(0.2, 0.5), every="1d", ages=3)
    assert [b.high for b in found.bands] == [0.2, 0.5, 1.0]
    assert sum(b.rows for b in found.bands) == ROWS - 100
    assert sum(v.rows for v in found.vintages) == ROWS
    assert house[MODEL].lending("8w", ages=0).vintages == ()
    for wrong in ({"bands": 1}, {"bands": (0.5, 0.2)}, {"every": timedelta(minutes=1)}, {"ages": 99}):
        with pytest.raises(BadPolicy):
            house[MODEL].lending("8w", **wrong)


def test_metrics_of_the_teams_own(house: House, tmp_path: Path) -> None:
    loans, file = house[MODEL], tmp_path / "loanmetrics.py"
    file.write_text(OWN)
    with pytest.raises(UnreviewedCode) as unseen:
        loans.add_metric("profit", "loanmetrics:profit", code=file)
    trust = unseen.value.sha256
    for name in ("profit", "broken", "banded"):
        loans.add_metric(name, f"loanmetrics:{name}", unit="EUR", code=file, trust=trust)
    scores, failed = truth(house)
    found = {own.metric.name: own.found for own in house[MODEL].metrics("8w").own}
    flagged = scores >= 0.5
    assert found["profit"].value == pytest.approx(2 * flagged.sum() - 3 * failed[flagged].sum())
    assert found["broken"].value is None
    assert "loanmetrics:broken failed (ColumnNotFoundError" in found["broken"].reason
    assert (found["banded"].low, found["banded"].high) == (0.4, 0.6)
    with pytest.raises(BadCode, match="it cannot be imported"):
        loans.add_metric("gone", "no_such_module:f")
    for name, entry in (("Profit!", "a:b"), ("profit", "nothing")):
        with pytest.raises(BadPolicy):
            loans.add_metric(name, entry)
    assert [m.name for m in loans.drop_metric("banded")] == ["profit", "broken"]
    with pytest.raises(BadPolicy, match="one that was added: profit, broken"):
        loans.drop_metric("banded")
    loans.add_metric("rows", planted_metric)
    assert {own.metric.name: own.found.value for own in house[MODEL].metrics("8w").own}["rows"] == ROWS - 100


def planted_metric(rows: pl.DataFrame) -> float:
    return float(rows.height)


def run(house: House, *arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments, "-w", str(house.workspace.root)])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_line_asks_the_same(house: House) -> None:
    said = json.loads(run(house, "metrics", MODEL, "--window", "8w", "--json"))
    assert said["metrics"]["roc_auc"]["value"] == house[MODEL].metrics("8w").metrics["roc_auc"].value
    day = f"{utc_now():%Y-%m-%d}"
    assert "as known then" in run(house, "metrics", MODEL, "--window", "8w", "--as-known", day).replace("\n", " ")
    assert "EUR" in run(house, "costs", MODEL, "--fp", "1", "--fn", "5")
    assert json.loads(run(house, "costs", MODEL, "--fn", "7", "--json"))["fn"] == 7
    assert "The costs are least from a score of" in run(house, "thresholds", MODEL, "--window", "8w")
    assert "Gini" in run(house, "lending", MODEL, "--bands", "0.2,0.5", "--ages", "2")
    assert "own metrics" in run(house, "metric", MODEL)
    assert "has no costs" in run(house, "costs", MODEL, "--clear").replace("\n", " ")
    wrong = CliRunner().invoke(cli, ["lending", MODEL, "--bands", "many", "-w", str(house.workspace.root)])
    assert "neither a number of bands nor scores" in str(wrong.exception)


def test_the_page_answers_and_every_view_is_drawn(house: House) -> None:
    house[MODEL].set_costs(None)
    with dashboard_of(house.workspace.root):
        app = open_page("performance", model=MODEL, range="8w")
        assert not app.exception
        said = words(app)
        assert "ROC AUC was 0." in said
        assert "on 1,100 labelled rows" in said
        for view, expected in (
            ("Threshold and costs", "Nobody has said what mistakes cost"),
            ("Score bands", "Gini 0."),
            ("All metrics", "Balanced accuracy"),
        ):
            app.button_group(key="behind").set_value(view)
            app.run()
            assert not app.exception
            assert expected in words(app)
        app.number_input(key="try-threshold").set_value(0.9)
        app.date_input(key="known-on").set_value((utc_now() - timedelta(days=10)).date())
        app.run()
        assert "Then " in words(app)
        assert "score of 0.9" in words(app)


def test_costs_are_set_on_the_page(house: House) -> None:
    house[MODEL].set_costs(None)
    with dashboard_of(house.workspace.root):
        app = open_page("performance", model=MODEL, range="8w")
        app.button_group(key="behind").set_value("Threshold and costs")
        app.run()
        app.button(key="costs-open").click().run()
        app.button(key="costs-open").click()
        app.number_input(key="costs-fn").set_value(8.0)
        app.button(key="costs-confirm").click().run()
        assert not app.exception
        assert house[MODEL].costs == Costs(fp=1, fn=8)


def test_bands_count_the_rows_of_a_day_together(house: House) -> None:
    loans = house[MODEL]
    counted, exact = (loans.metrics("8w", exact=whole).metrics for whole in (False, True))
    for found in (counted, exact):
        assert {metric.by for metric in found.values()} == {"days"}
        assert all(metric.wider >= 1.0 for metric in found.values())
    same = loans.history.performance(loans.window("8w")).metrics["roc_auc"]
    assert (same.low, same.high) == pytest.approx((counted["roc_auc"].low, counted["roc_auc"].high))
    few = loans.metrics(Window(utc_now() - timedelta(days=4), utc_now() - timedelta(days=2))).metrics
    assert {metric.by for metric in few.values()} == {"hours"}
    told = CliRunner().invoke(cli, ["metrics", MODEL, "--window", "8w", "--workspace", str(house.workspace.root)])
    assert "Rows of a day" in " ".join(told.output.split())
    with dashboard_of(house.workspace.root):
        assert "Rows of a day" in words(open_page("performance", model=MODEL, range="8w"))
