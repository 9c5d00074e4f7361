"""Absurd labels and answers of a regression, and classes nobody knows: every family says the right state, and no page stumbles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.tasks import fitted, rents, times, triage

from pilothouse.app.house import House, Model
from pilothouse.data.history.results import State
from pilothouse.data.workspace import Workspace

ROWS, ALL = 240, "6w"
NAMES = {"home": "früh", "routine": "spät ☃", "urgent": "日本", "immediate": "<b>'; --"}
ABSURD = (float("nan"), float("inf"), -float("inf"), 1e300, -1.7e308)
NOT_MEASURED = "no labelled row has numbers as prediction and label"


def named(rows: int, seed: int) -> pl.DataFrame:
    return triage(rows, seed).with_columns(pl.col("urgency").replace_strict(NAMES))


def every_fifth(values: list[Any], odd: list[Any]) -> list[Any]:
    return [odd[n // 5 % len(odd)] if n % 5 == 0 else value for n, value in enumerate(values)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Models of which each had other labels or answers than it should have had."""
    workspace = Workspace.create(tmp_path_factory.mktemp("hostile") / "house")
    workspace.settings_file.write_text('onnx = "never"\ntime_zone = "UTC"\n')
    made = House.open(workspace.root)
    numbers, classes = rents(ROWS, seed=9), named(ROWS, seed=9)
    register(made, "absurd", numbers, said=list(every_fifth([1000.0] * ROWS, list(ABSURD))))
    register(made, "huge", numbers, came=[1e300] * ROWS, said=[-1.7e308] * ROWS)
    register(made, "equal", numbers, came=[-500.0] * ROWS)
    register(made, "single", numbers.head(1))
    register(made, "gone", classes, came=["früh"] * ROWS)
    register(made, "strange", classes, came=every_fifth(classes["urgency"].to_list(), ["Überfällig"]))
    register(made, "unheard", classes, said=["Überfällig"] * ROWS)
    made.catch_up()
    yield made
    made.close()


def register(house: House, name: str, rows: pl.DataFrame, *, said: list[Any] | None = None, came: Any = None) -> None:
    regression = "rent" in rows.columns
    target, context, made = ("rent", "agency", rents) if regression else ("urgency", "ward", named)
    house.register(
        name, fitted(made(600, seed=1), target, context), reference=made(600, seed=2), target=target, context=[context],
        task="regression" if regression else "multiclass", trusted=("numpy.dtype",),
    )  # fmt: skip
    at = times(rows.height)
    called = rows.with_columns(
        id=pl.format("r{}", pl.int_range(rows.height)), at=pl.Series(at), logged_at=pl.Series(at)
    )
    answered = house[name].predict(called.drop(target))
    house[name].log(answered if said is None else answered.with_columns(prediction=pl.Series(said)))
    told = called["at"] + timedelta(hours=1)
    label = called[target] if came is None else pl.Series(came)
    house[name].label(called.select("id", label=label, observed_at=told, recorded_at=told))


ASKED = {
    "metrics": lambda m: m.metrics(ALL),
    "metrics row by row": lambda m: m.metrics(ALL, exact=True),
    "trend": lambda m: m.metric_trend(ALL, "1w"),
    "performance": lambda m: m.performance(ALL).panels,
    "drift": lambda m: m.drift(ALL).panels,
    "drift of the prediction": lambda m: m.prediction_drift(m.window(ALL)),
    "drift together": lambda m: m.multivariate_drift(ALL),
    "impact": lambda m: m.impact(ALL),
    "estimate": lambda m: m.estimate(ALL),
    "scoreboard": lambda m: m.scoreboard(ALL),
    "segments": lambda m: m.segments(context(m), ALL),
    "segments beside the rest": lambda m: m.compared_segments(context(m), window=ALL),
    "weak segments": lambda m: m.weak_segments(ALL),
    "fairness": lambda m: m.fairness(context(m), ALL, min_rows=20),
    "quality": lambda m: m.quality(ALL),
    "plan": lambda m: m.plan(),
    "importance": lambda m: m.importance(ALL),
    "attribution": lambda m: m.attribution_drift(ALL),
    "health": lambda m: m.health(),
    "labels": lambda m: m.labels(ALL),
}


def context(model: Model) -> str:
    return model.signature.context[0].name


@pytest.mark.parametrize("name", ["absurd", "huge", "single", "strange", "unheard"])
def test_every_family_says_something(house: House, name: str) -> None:
    for asked, ask in ASKED.items():
        assert ask(house[name]) is not None, asked


def test_answers_that_are_no_numbers_are_left_out_and_seen_as_drift(house: House) -> None:
    for exact in (False, True):
        found = house["absurd"].metrics(ALL, exact=exact)
        expected = rents(ROWS, seed=9).with_row_index().filter(pl.col("index") % 5 != 0)
        assert found.metrics["mae"].value == pytest.approx((expected["rent"] - 1000).abs().mean(), rel=1e-9)
        assert found.labelled == ROWS
    moved = house["absurd"].prediction_drift(house["absurd"].window(ALL))
    assert moved is not None
    assert moved.state is State.CRITICAL


def test_where_no_number_can_be_measured_the_reason_is_said(house: House) -> None:
    model = house["huge"]
    for found in (model.metrics(ALL), model.metrics(ALL, exact=True)):
        assert {m.value for m in found.metrics.values()} == {None}
        assert found.metrics["mae"].reason.startswith(NOT_MEASURED)
    assert model.impact(ALL).realized.reason.startswith(NOT_MEASURED)
    assert model.compared_segments("agency", window=ALL).segments[0].metric.reason.endswith("100 would do")
    assert "would do" in model.weak_segments(ALL).reason
    assert "would do" in model.importance(ALL).reason


def test_labels_that_are_equal_and_a_single_row(house: House) -> None:
    equal = house["equal"].metrics(ALL, exact=True).metrics
    assert equal["r2"].reason == "all labels are equal; R2 compares with their spread"
    assert equal["mape"].value == pytest.approx((equal["mae"].value or 0) / 500, rel=1e-9)
    single = house["single"].metrics(ALL)
    assert (single.labelled, single.metrics["mae"].low) == (1, None)
    assert "would do" in house["single"].estimate(ALL).reason
    assert house["single"].health().state is State.NO_DATA


def test_classes_that_do_not_come_and_classes_nobody_knows(house: House) -> None:
    gone = house["gone"].metrics(ALL)
    assert gone.crossing is not None
    assert gone.metrics["macro_roc_auc"].value is None
    assert gone.metrics["macro_roc_auc"].reason
    assert "one class" in house["gone"].importance(ALL).reason
    strange = house["strange"].metrics(ALL)
    assert strange.labelled == ROWS
    accurate = (
        named(ROWS, seed=9)["urgency"] == house["strange"].predict(named(ROWS, seed=9).drop("urgency"))["prediction"]
    )
    hits = accurate.to_frame("hit").with_row_index().filter(pl.col("index") % 5 != 0)["hit"].sum()
    assert strange.metrics["accuracy"].value == pytest.approx(hits / ROWS)
    assert house["unheard"].metrics(ALL).metrics["accuracy"].value == 0
    moved = house["unheard"].prediction_drift(house["unheard"].window(ALL))
    assert moved is not None
    assert (moved.state, moved.new_share) == (State.CRITICAL, 1.0)


@pytest.mark.parametrize(
    ("name", "page", "said"),
    [
        ("absurd", "model", "Mean absolute error by"),
        ("huge", "model", "It cannot be said in any bucket: " + NOT_MEASURED),
        ("huge", "performance", "Mean absolute error cannot be said: " + NOT_MEASURED),
        ("single", "performance", "So few rows say little"),
        ("gone", "performance", "came out früh"),
        ("strange", "model", "Accuracy by"),
        ("strange", "performance", "spät ☃"),
    ],
)
def test_no_page_stumbles(house: House, name: str, page: str, said: str) -> None:
    with dashboard_of(house.workspace.root):
        app = open_page(page, model=name, range=ALL)
    assert not app.exception
    assert said in words(app)
    assert "<b>'; --" not in words(app)
