"""The course of a metric: estimates ahead of the labels, and an axis that one thin bucket does not set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pilothouse.app.panel import Panel
from pilothouse.app.panels import drift as drifts
from pilothouse.app.panels import performance
from pilothouse.app.panels.ahead import NAME, with_estimates
from pilothouse.app.panels.charts import View
from pilothouse.data.history.results import DriftPoint, Metric, TrendPoint
from pilothouse.data.measures.scoreboard import Ahead, ScoreLine
from pilothouse.data.windows import Window

START, WEEK = datetime(2026, 9, 7, tzinfo=UTC), timedelta(weeks=1)
VIEW = View(model="flights", within=Window(START, START + 5 * WEEK), zone=UTC)


def week(place: int) -> Window:
    return Window(START + place * WEEK, START + (place + 1) * WEEK)


def point(place: int, auc: float | None, half: float = 0.01, labelled: int = 900, mature: bool = True) -> TrendPoint:
    found = Metric(value=auc) if auc is None else Metric(value=auc, low=auc - half, high=min(1.0, auc + half))
    return TrendPoint(
        window=week(place), version=None, rows=1000, labelled=labelled, coverage=labelled / 1000, mature=mature,
        metrics={"roc_auc": found},
    )  # fmt: skip


def line(place: int, value: float | None, half: float = 0.03) -> ScoreLine:
    told = (
        {} if value is None else {"roc_auc": Metric(value=value, low=value - half, high=value + half, kind="estimated")}
    )
    return ScoreLine(window=week(place), rows=1000, labelled=10, mature=False, estimated=told, realized={})


def course(*points: TrendPoint) -> Panel:
    return performance.metric_trend(points, "roc_auc", VIEW)


def trace(panel: Panel, name: str) -> dict[str, Any]:
    assert panel.spec is not None
    return next(each for each in panel.spec["data"] if each.get("name") == name and each.get("fill") is None)


PLAIN = (point(0, 0.7), point(1, 0.68), point(2, 0.6, mature=False), point(3, None, labelled=0, mature=False))


def test_estimates_are_dashed_and_never_joined_with_what_came_true() -> None:
    found = with_estimates(course(*PLAIN), Ahead(lines=(line(2, 0.66), line(3, 0.65)), trusted=True), "roc_auc", VIEW)
    dashed = trace(found, NAME)
    assert dashed["line"]["dash"] == "dash"
    assert dashed["x"] == [VIEW.middle(week(2)), VIEW.middle(week(3))]
    assert dashed["y"] == [0.66, 0.65]
    assert NAME in dashed["hovertemplate"]
    assert dashed["text"][0] == "0.660 (0.630 to 0.690), 1,000 rows"
    assert trace(found, "ROC AUC")["y"] == [0.7, 0.68, None, None]
    assert found.note == course(*PLAIN).note
    assert found.rows.columns[-3:] == ("estimated_roc_auc_value", "estimated_roc_auc_low", "estimated_roc_auc_high")
    assert [row[-3] for row in found.rows.rows] == [None, None, 0.66, 0.65]
    assert 'estimate_ahead("' in found.code


def test_estimates_that_did_not_hold_are_not_drawn_and_it_says_why() -> None:
    plain = course(*PLAIN)
    found = with_estimates(plain, Ahead(lines=(line(3, 0.65),), trusted=False, reason="1 of 9"), "roc_auc", VIEW)
    assert found.spec == plain.spec
    assert found.note.endswith("since it could not be relied on: 1 of 9.")


def test_estimates_of_which_nothing_is_known_yet_stand_with_a_note() -> None:
    found = with_estimates(
        course(*PLAIN), Ahead(lines=(line(3, 0.65),), trusted=None, reason="too new"), "roc_auc", VIEW
    )
    assert trace(found, NAME)["error_y"]["array"] == [pytest.approx(0.03)]
    assert found.note == f"{course(*PLAIN).note} Whether estimates without labels hold is not known yet: too new."


def test_a_model_without_any_label_shows_its_estimates_alone() -> None:
    bare = course(point(0, None, labelled=0, mature=False))
    assert bare.spec is None
    found = with_estimates(bare, Ahead(lines=(line(0, 0.66),), trusted=None, reason="too new"), "roc_auc", VIEW)
    assert found.empty == ""
    assert trace(found, NAME)["y"] == [0.66]
    assert found.answer == "No labels yet; the newest week is estimated at 0.660."


@pytest.mark.parametrize("lines", [(), (line(3, None),)])
def test_nothing_to_estimate_changes_nothing(lines: tuple[ScoreLine, ...]) -> None:
    plain = course(*PLAIN)
    assert with_estimates(plain, Ahead(lines=lines, trusted=True), "roc_auc", VIEW) == plain


def test_buckets_that_cannot_be_estimated_say_why() -> None:
    found = with_estimates(
        course(*PLAIN), Ahead(lines=(), trusted=None, reason="43 rows; 100 would do"), "roc_auc", VIEW
    )
    assert (
        found.note
        == f"{course(*PLAIN).note} No estimate is drawn where labels are still arriving: 43 rows; 100 would do."
    )


def test_a_thin_bucket_does_not_stretch_the_axis() -> None:
    wide = course(point(0, 0.7), point(1, 0.68), point(2, 0.9, 0.6, labelled=9, mature=False))
    assert wide.spec is not None
    assert wide.spec["layout"]["yaxis"]["range"] == pytest.approx([0.667, 0.713], abs=1e-3)
    even = course(point(0, 0.7), point(1, 0.68), point(2, 0.69, 0.1, labelled=300))
    assert even.spec is not None
    assert "range" not in even.spec["layout"]["yaxis"]
    told = with_estimates(wide, Ahead(lines=(line(2, 0.6),), trusted=True), "roc_auc", VIEW)
    assert told.spec is not None
    assert told.spec["layout"]["yaxis"]["range"][0] < 0.57


def test_the_map_speaks_of_the_newest_bucket_that_can_be_said() -> None:
    points = [DriftPoint(window=week(n), rows=900, psi={"temp": 0.3}) for n in range(2)]
    said = drifts.heatmap(points, ["temp"], VIEW).answer
    assert said.startswith("Beyond 0.2 in the last bucket: temp")
    thin = [*points, replace(points[0], window=week(2), rows=3, psi={"temp": None})]
    said = drifts.heatmap(thin, ["temp"], VIEW).answer
    assert said.startswith("Beyond 0.2 in the newest bucket with enough rows, ")
    assert "temp; the first of them since 7 Sep" in said
