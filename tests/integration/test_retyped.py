"""A feature changes its type from one version to the next: both stand in one log, and nothing mixes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadData, MissingColumn
from pilothouse.data.history.results import Change, State
from pilothouse.data.rollups.recount import counted_days, recount
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import HIDDEN, without_names
from pilothouse.ops.house import House

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE, AFTER = Window(START, START + 6 * DAY), Window(START + 6 * DAY, START + 12 * DAY)
BOTH = Window(BEFORE.start, AFTER.end)
ROWS = 600


def worded(frame: pl.DataFrame) -> pl.DataFrame:
    """Months as words, as version 2 takes them."""
    words = pl.when(pl.col("months") < 24).then(pl.lit("short")).otherwise(pl.lit("long"))
    return frame.with_columns(words.alias("months"))


def fitted_on_words() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train = worded(planted(2000, seed=1))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["purpose", "months"]), (StandardScaler(), ["amount"])
    )
    frame = train.drop("failed").to_pandas().astype({"purpose": object, "months": object})
    return make_pipeline(columns, LogisticRegression()).fit(frame, train["failed"].to_numpy())


def asked(house: House, frame: pl.DataFrame, window: Window, prefix: str, version: int) -> None:
    at = [window.start + (window.end - window.start) * (n / frame.height) for n in range(frame.height)]
    answered = frame.with_columns(
        pl.Series("prediction", [n % 2 for n in range(frame.height)]), pl.Series("at", at),
        pl.Series("score", np.linspace(0.01, 0.99, frame.height)),
        pl.Series("id", [f"{prefix}{n}" for n in range(frame.height)]),
    )  # fmt: skip
    house[MODEL].log(answered.drop("failed"), version=version)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Six days of version 1; six of version 2, to which a tenth of months are missing, with a shadow of version 1."""
    made = make_small(tmp_path_factory.mktemp("retyped") / "house")
    made.clock = lambda: BOTH.end
    asked(made, planted(ROWS, seed=3), BEFORE, "a", 1)
    made.catch_up()
    made.add_version(MODEL, fitted_on_words(), reference=worded(planted(1000, seed=2)))
    rows = worded(planted(ROWS, seed=4)).with_columns(
        months=pl.when(pl.int_range(ROWS) % 10 == 0).then(None).otherwise("months")
    )
    asked(made, rows, AFTER, "b", 2)
    asked(made, planted(60, seed=5), AFTER, "c", 1)
    made.catch_up()
    return made


def test_old_and_new_rows_stand_side_by_side(house: House) -> None:
    log = house[MODEL].prediction_log
    rows = log.predictions(columns=["prediction_id", "version", "x_months", "x_months__2"])
    one, two = rows.filter(version=1), rows.filter(version=2)
    assert (one.height, two.height) == (ROWS + 60, ROWS)
    assert (one["x_months"].null_count(), one["x_months__2"].null_count()) == (0, one.height)
    assert (two["x_months"].null_count(), two["x_months__2"].null_count()) == (ROWS, ROWS // 10)
    assert set(two["x_months__2"].drop_nulls()) == {"short", "long"}


@pytest.mark.parametrize("exact", [False, True])
def test_drift_is_told_of_each_type_by_its_own_rows(house: House, exact: bool) -> None:
    found = {f.name: f for f in house[MODEL].history.drift(BOTH, exact=exact).features}
    assert set(found) == {"amount", "purpose", "months", "months (integer)"}
    new, old = found["months"], found["months (integer)"]
    assert (new.rows, new.missing, new.kind, new.feature) == (ROWS, pytest.approx(0.1), Kind.CATEGORY, "months")
    assert (old.rows, old.missing, old.kind, old.feature) == (ROWS + 60, 0, Kind.INTEGER, "months")
    assert (old.state, new.state) == (State.HEALTHY, State.WATCH)
    assert found["amount"].rows == 2 * ROWS + 60
    before = {f.name: f for f in house[MODEL].history.drift(BEFORE, exact=exact).features}
    assert (before["months"].rows, before["months"].state) == (0, State.NO_DATA)
    of_two = {f.name: f for f in house[MODEL].history.drift(BOTH, 2, exact=exact).features}
    assert (of_two["months"].rows, of_two["months (integer)"].rows) == (ROWS, 0)


def test_charts_and_notes_say_when_it_changed(house: House) -> None:
    history = house[MODEL].history
    first, *_, last = history.drift_trend(BOTH, 3 * DAY)
    assert (first.psi["months"], last.psi["months (integer)"]) == (None, None)
    assert None not in (first.psi["months (integer)"], last.psi["months"])
    assert history.distribution("months", BOTH).rows == ROWS
    assert history.distribution("months (integer)", BOTH).rows == ROWS + 60
    (change,) = history.schema_changes(BOTH)
    assert (change.column, change.kind, change.at) == ("months", Change.RETYPED, AFTER.start)
    assert change.detail == "values of another type since this day; other versions go on as before"


def test_roll_ups_equal_a_recount_on_every_day(house: House) -> None:
    handle = house[MODEL]
    days = counted_days(house.workspace, MODEL, house.settings)
    assert len(days) == 12
    for day in days:
        report = recount(
            house.workspace, MODEL, handle.signature, handle.profile, handle.label_policy, house.settings, day
        )
        assert (report.differing, report.cells > 0) == (0, True)


def test_rows_are_found_by_either_type(house: House) -> None:
    handle = house[MODEL]
    new = handle.rows(BOTH, 1000, filters=["months=short"]).frame
    assert set(new["version"]) == {2}
    old = handle.rows(BOTH, 1000, filters=["months (integer)>=24"]).frame
    assert (set(old["version"]), old["x_months"].min()) == ({1}, 24)
    assert handle.rows(BOTH, 1000, filters=["x_months<24"]).frame.height + old.height == ROWS + 60


def test_a_sensitive_feature_stays_hidden_under_both(house: House) -> None:
    handle = house[MODEL]
    handle.set_class("months", "sensitive")
    try:
        shown, said = handle.shown_drift(BOTH)
        assert {f.name for f in shown.features} == {"amount", "purpose"}
        assert said == "2 sensitive columns are not shown."
        page = handle.rows(BOTH, 2000).frame
        assert set(page["x_months"].drop_nulls()) | set(page["x_months__2"].drop_nulls()) == {HIDDEN}
    finally:
        handle.set_class("months", "plain")


def test_categories_of_a_masked_feature_have_no_name_after_it_became_a_number(tmp_path: Path) -> None:
    house = make_small(tmp_path / "house")
    rows = planted(300, seed=2).with_columns(pl.lit(0.5).alias("score"))
    house.monitor("watched", reference=worded(rows), target="failed", classes={"months": "masked"})
    house.add_watched_version("watched", 2, reference=rows)
    handle = house["watched"]
    shape = handle.history.distribution("months (category)", BOTH)
    assert {bar.label for bar in shape.bins} >= {"short", "long"}
    hidden = {bar.label for bar in without_names(shape, handle.signature, handle.row.classes).bins}
    assert hidden & {"short", "long"} == set()
    house.close()


def test_rows_of_the_wrong_type_are_refused(house: House) -> None:
    frame = planted(3, seed=9).drop("failed").with_columns(prediction=pl.lit(1))
    with pytest.raises(BadData, match="Column 'x_months__2' is of type Int64; the log wants string"):
        house[MODEL].log(frame, version=2)
    with pytest.raises(BadData, match="Versions 1 and 2 of loans take their features in different ways"):
        house[MODEL].compare(1, 2, BOTH)
    mixed = frame.with_columns(version=pl.Series([1, 2, 1]))
    with pytest.raises(BadData, match="The versions 1, 2 take their features in different ways"):
        house[MODEL].log(mixed)


def test_a_feature_may_return_to_its_type_and_others_come_and_go(tmp_path: Path) -> None:
    house = make_small(tmp_path / "house")
    moments = count()
    house.clock = lambda: START + next(moments) * timedelta(hours=1)
    rows = planted(300, seed=2).with_columns(pl.lit(0.5).alias("score"))
    house.monitor("watched", reference=rows, target="failed")
    house.add_watched_version("watched", 2, reference=worded(rows))
    house.add_watched_version("watched", 3, reference=rows.drop("months").with_columns(rate=pl.lit(1.5)))
    house.add_watched_version("watched", 4, reference=rows)
    house.add_watched_version("watched", 5)
    signature = house["watched"].signature
    columns = {v: [f.column for f in signature.of_version(v).features] for v in (1, 2, 3, 4, 5)}
    assert columns[1] == columns[4] == columns[5] == ["x_amount", "x_months", "x_purpose"]
    assert columns[2] == ["x_amount", "x_months__2", "x_purpose"]
    assert columns[3] == ["x_amount", "x_purpose", "x_rate"]
    with pytest.raises(MissingColumn, match="has no column 'rate'"):
        house["watched"].log(rows.drop("failed").with_columns(prediction=pl.lit(1)), version=3)
    house["watched"].log(rows.drop("failed").with_columns(prediction=pl.lit(1)), version=5)
    house.catch_up()
    found = {f.name: f.rows for f in house["watched"].history.drift(Window(START, START + 99 * DAY)).features}
    assert found == {"amount": 300, "purpose": 300, "months (integer)": 300, "months (category)": 0, "rate": 0}
    house.close()


def test_the_command_line_says_what_is_different(tmp_path: Path) -> None:
    from skops.io import dump

    house = make_small(tmp_path / "house")
    dump(fitted_on_words(), tmp_path / "words.skops")
    worded(planted(500, seed=2)).write_parquet(tmp_path / "held.parquet")
    arguments = ["--model", str(tmp_path / "words.skops"), "--reference", str(tmp_path / "held.parquet")]
    done = CliRunner().invoke(app, ["add-version", MODEL, *arguments, "--workspace", str(house.workspace.root)])
    assert done.exit_code == 0, done.output
    assert done.output == "loans version 2 is registered.\n  months: category, integer in others\n"
    without = CliRunner().invoke(app, ["add-version", MODEL, "--workspace", str(house.workspace.root)])
    assert without.exit_code != 0
    house.close()
