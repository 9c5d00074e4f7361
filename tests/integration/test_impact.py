"""What drift costs, as people ask for it: from Python, the command line and the pages; sensitive columns stay hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app as cli
from pilothouse.data.errors import BadData, NoReason, UnknownVersion
from pilothouse.data.measures.impact import Verdict
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.windows import parse_time
from pilothouse.ops.house import House
from pilothouse.ops.measuring.frames import reference_rows

FIRST = parse_time("2026-03-01T00:00:00Z")
ROWS = 1500


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ten days of labelled loans: amounts all much alike, on which the model rests; purposes all of one kind, on which nothing does."""
    made = make_small(tmp_path_factory.mktemp("impact") / "w")
    rows = planted(4 * ROWS, seed=7).filter(pl.col("amount").is_between(1200, 2400)).head(ROWS)
    rows = rows.with_columns(
        at=pl.Series([FIRST + timedelta(minutes=9 * n) for n in range(rows.height)]),
        id=pl.format("l{}", pl.int_range(rows.height)),
        purpose=pl.lit("car"),
    )
    model = made[MODEL]
    model.log(model.predict(rows.drop("failed")))
    told = rows.select("id", label="failed", observed_at=pl.col("at") + timedelta(hours=1))
    model.label(told.with_columns(recorded_at=pl.col("observed_at")))
    made.catch_up()
    yield made
    made.close()


def test_the_feature_that_matters_comes_before_the_one_that_moved_most(house: House) -> None:
    found = house[MODEL].impact("11d")
    assert (found.version, found.metric, found.rows, found.labelled, found.answered) == (1, "roc_auc", ROWS, ROWS, 1.0)
    assert (found.reference_rows, found.reason) == (1000, "")
    first = found.features[0]
    assert (first.name, first.verdict) == ("amount", Verdict.COSTS)
    loudest = max(found.features, key=lambda f: f.psi or 0.0)
    assert loudest.name == "purpose"
    assert loudest.verdict is Verdict.UNCLEAR
    change, rest, summed = found.change.value, found.remainder.value, found.summed.value
    assert change is not None
    assert rest is not None
    assert summed is not None
    assert change < -0.03
    assert change == pytest.approx(rest + summed)


def test_what_is_not_there_is_refused_or_said(house: House) -> None:
    loans = house[MODEL]
    with pytest.raises(BadData, match="Ask for roc_auc or log_loss"):
        loans.impact("11d", "mae")
    with pytest.raises(UnknownVersion):
        loans.impact("11d", version=9)
    before = loans.impact("2025-01-01T00:00:00Z/2025-01-08T00:00:00Z")
    assert (before.reason, before.features, before.version) == ("no predictions in this range", (), 1)
    other = loans.impact("11d", "log_loss")
    assert other.features[0].loss == other.features[0].effect.value


def test_the_command_line_says_the_same(house: House) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["impact", MODEL, *arguments, "-w", str(house.workspace.root)])
        assert done.exit_code == 0, done.output
        return done.output

    found = json.loads(run("--window", "11d", "--json"))
    assert next(f["name"] for f in found["features"]) == "amount"
    assert found["remainder"]["kind"] == "estimated"
    said = " ".join(run("--window", "11d", "--metric", "log_loss").split())
    assert "(not explained)" in said
    assert "Log-loss" in said
    assert "no predictions in this range" in run("--window", "2025-01-01T00:00:00Z/2025-01-08T00:00:00Z")


def test_the_pages_rank_by_cost(house: House) -> None:
    with dashboard_of(house.workspace.root):
        for page in ("drift", "model"):
            app = open_page(page, model=MODEL, range="28d")
            assert not app.exception
            shown = words(app)
            assert "Drift that costs, beyond chance: amount" in shown
            assert "not explained by single features" in shown


def test_a_sensitive_column_is_shown_for_a_reason_only(house: House) -> None:
    loans = house[MODEL]
    loans.set_class("amount", "sensitive")
    hidden = loans.impact("11d")
    assert "amount" not in [f.name for f in hidden.features]
    assert hidden.unshown == "1 sensitive column is not shown; what that costs is in the remainder."
    with pytest.raises(NoReason):
        loans.impact("11d", unmask=True)
    shown = loans.impact("11d", unmask=True, reason="an audit asks")
    assert shown.features[0].name == "amount"
    assert loans.audit()[0].act == "unmask"
    loans.set_class("amount", "plain")


def test_the_reference_is_scored_again_only_when_its_rows_are_others(house: House) -> None:
    model = house[MODEL]
    version, file = model.version(1), house.workspace.reference(MODEL, model.row.profile_id) / Profile.SAMPLE
    before, kept = reference_rows(model, version), file.read_bytes()
    assert reference_rows(model, version).equals(before)
    fewer = file.with_name("fewer.parquet")
    pl.read_parquet(file).head(10).write_parquet(fewer)
    fewer.replace(file)
    try:
        assert reference_rows(model, version).equals(before.head(10))
    finally:
        file.write_bytes(kept)
