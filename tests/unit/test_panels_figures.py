"""Figures from planted results: what is drawn, what is said, and what is said when there is nothing to draw."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pilothouse.app.panels import drift as drifts
from pilothouse.app.panels import performance, traffic
from pilothouse.app.panels.charts import View, band, local
from pilothouse.app.theme import Colour
from pilothouse.data.history.results import (
    Bin,
    Distribution,
    DriftPoint,
    Event,
    EventKind,
    Metric,
    TrafficPoint,
    TrendPoint,
)
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window

START = datetime(2026, 9, 7, tzinfo=UTC)
WEEK = timedelta(weeks=1)
HOSTILE = "<b>x</b>"
VIEW = View(model="flights", within=Window(START, START + 4 * WEEK), zone=UTC)


def week(place):
    return Window(START + place * WEEK, START + (place + 1) * WEEK)


def point(place, auc, *, mature=True, version=None):
    metrics = {"roc_auc": Metric(value=auc, low=auc and auc - 0.01, high=auc and auc + 0.01)}
    metrics |= {"mean_score": Metric(value=0.2), "positive_rate": Metric(value=0.25 if auc else None)}
    return TrendPoint(
        window=week(place), version=version, rows=100, labelled=90, coverage=0.9, mature=mature, metrics=metrics
    )


def traces(panel):
    return {trace.get("name"): trace for trace in panel.spec["data"]}


def test_immature_weeks_are_grey_and_hang_on_the_last_mature_one():
    panel = performance.metric_trend([point(0, 0.7), point(1, 0.68), point(2, 0.6, mature=False)], "roc_auc", VIEW)
    drawn = traces(panel)
    assert drawn["ROC AUC"]["y"] == [0.7, 0.68, None]
    assert drawn["still arriving"]["y"] == [None, 0.68, 0.6]
    assert drawn["still arriving"]["line"]["color"] == Colour.REFERENCE
    assert panel.answer == "0.600 in the newest week, some labels still to come; 0.700 in the best week in view."
    assert [row[-1] for row in panel.rows.rows] == [0.7, 0.68, 0.6]


def test_versions_apart_have_the_accent_for_the_newest_only():
    panel = performance.metric_trend([point(0, 0.65, version=1), point(1, 0.7, version=2)], "roc_auc", VIEW)
    drawn = traces(panel)
    assert (drawn["version 1"]["line"]["color"], drawn["version 2"]["line"]["color"]) == (Colour.MUTED, Colour.CURRENT)


def test_without_labels_the_way_out_is_said():
    panel = performance.metric_trend([point(0, None)], "roc_auc", VIEW)
    assert panel.spec is None
    assert "/models/flights/feedback" in panel.empty


def test_calibration_says_both_shares():
    panel = performance.said_and_happened([point(0, 0.7)], VIEW)
    assert panel.answer == "In the newest week with all labels it said 20.0%; 25.0% came true."


def test_events_stand_on_the_chart_lead_to_their_audit_row_and_cannot_be_markup():
    event = Event(at=START + WEEK, kind=EventKind.PROMOTE, title=HOSTILE, actor="ada", detail=HOSTILE, audit_seq=7)
    outside = Event(at=START - WEEK, kind=EventKind.PROMOTE, title="old", actor="ada")
    view = View(model="flights", within=VIEW.within, zone=UTC, events=(event, outside))
    panel = performance.metric_trend([point(0, 0.7), point(1, 0.7)], "roc_auc", view)
    marks = traces(panel)["events"]
    assert marks["customdata"] == [["event", 7]]
    assert HOSTILE not in str(panel.spec)
    assert [a["text"] for a in panel.spec["layout"]["annotations"]] == ["▲ ‹b›x‹/b›"]


def test_times_are_drawn_in_the_zone_because_plotly_has_none():
    assert local(datetime(2026, 9, 7, 2, tzinfo=UTC), ZoneInfo("America/New_York")) == "2026-09-06T22:00:00"


def test_the_map_has_fixed_bands_gaps_where_rows_are_too_few_and_squares_that_answer_a_click():
    points = [
        DriftPoint(window=week(0), rows=900, psi={"temp": 0.05, HOSTILE: None}),
        DriftPoint(window=week(1), rows=900, psi={"temp": 0.41, HOSTILE: 0.15}),
    ]
    panel = drifts.heatmap(points, ["temp", HOSTILE], VIEW, ("temp", 1))
    cells, squares = panel.spec["data"]
    assert cells["z"] == [[0, 3], [None, 1]]
    assert squares["customdata"][1] == ["cell", "temp", 1]
    assert "too few rows to say" in squares["text"][2]
    assert HOSTILE not in str([squares["text"], panel.spec["layout"]])
    assert panel.spec["layout"]["shapes"][0]["x0"] == 0.5
    assert panel.answer == "Beyond 0.2 in the last bucket: temp; the first of them since 14 Sep."


def test_a_map_without_a_value_says_so():
    points = [DriftPoint(window=week(0), rows=3, psi={"temp": None})]
    assert "Too few rows" in drifts.heatmap(points, ["temp"], VIEW).empty


def test_numbers_are_steps_and_categories_are_bars_the_largest_only():
    steps = tuple(
        Bin(label=str(edge), left=edge, right=edge + 1, reference=0.5, current=share)
        for edge, share in ((0, 0.4), (1, 0.6))
    )
    made = Distribution(feature="temp", kind=Kind.NUMBER, window=week(0), rows=10, bins=steps)
    reference, current = drifts.overlay(made, VIEW).spec["data"]
    assert (current["x"], current["y"]) == ([0, 1, 2], [0.4, 0.6, 0.6])
    assert reference["fillcolor"] == Colour.REFERENCE
    values = tuple(Bin(label=f"v{i}", left=None, right=None, reference=i / 435, current=i / 435) for i in range(30))
    panel = drifts.overlay(Distribution(feature="dest", kind=Kind.CATEGORY, window=week(0), rows=10, bins=values), VIEW)
    assert panel.spec["data"][0]["customdata"][0] == "v6"
    assert "24 largest of 30" in panel.note


def test_traffic_is_stacked_by_version_and_latency_is_that_of_the_newest():
    def bucket(version, p95):
        return TrafficPoint(
            window=week(0),
            version=version,
            rows=50,
            errors=0,
            p50_latency_ms=p95,
            p95_latency_ms=p95,
            p99_latency_ms=p95,
        )

    points = [bucket(1, 20.0), bucket(2, 8.0)]
    assert [t["name"] for t in traffic.volume(points, VIEW).spec["data"]] == ["version 1", "version 2"]
    assert traces(traffic.latency(points, VIEW))["p95"]["y"] == [8.0]
    assert "No row of this range says how long" in traffic.latency([bucket(1, None)], VIEW).empty


def test_a_band_is_open_where_a_bucket_has_none():
    drawn = band(["a", "b", "c", "d"], [1, None, 3, 4], [2, None, 5, 6], Colour.CURRENT, "band")
    assert drawn["x"] == ["a", "a", None, "c", "d", "d", "c"]
    assert drawn["y"] == [2, 1, None, 5, 6, 4, 3]


def test_values_beyond_the_reference_are_steps_of_their_own_and_said():
    bins = (
        Bin(label="below 0", left=None, right=0.0, reference=0.0, current=0.25),
        Bin(label="0", left=0.0, right=0.0, reference=0.5, current=0.25),
        Bin(label="2", left=2.0, right=2.0, reference=0.5, current=0.25),
        Bin(label="above 2", left=2.0, right=None, reference=0.0, current=0.25),
    )
    made = Distribution(feature="temp", kind=Kind.NUMBER, window=week(0), rows=8, bins=bins)
    panel = drifts.overlay(made, VIEW)
    _, current = panel.spec["data"]
    assert current["x"] == [-1.0, 0.0, 2.0, 3.0, 4.0]
    assert "25.0% below 0 and 25.0% above 2" in panel.note


def test_the_long_line_ends_where_its_buckets_do_and_says_how_far_it_fell():
    points = [point(place, auc) for place, auc in enumerate((0.72, 0.7, 0.68, 0.66))]
    stretches = [
        replace(point(0, auc), window=Window(START + first * WEEK, START + (first + 2) * WEEK))
        for first, auc in enumerate((0.71, 0.69, 0.67))
    ]
    panel = performance.metric_trend(points, "roc_auc", VIEW, stretches)
    drawn = traces(panel)["14 days up to then"]
    assert drawn["x"] == traces(panel)["ROC AUC"]["x"][1:]
    assert panel.answer == "0.670 over the newest 14 days in view; 0.710 over the best 14, 7 Sep to 20 Sep."
