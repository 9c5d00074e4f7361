"""What the pages say where little can be said: too few rows are no good news, and the worst of many may be chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from pilothouse.app import markup
from pilothouse.app.panels import drift as drifts
from pilothouse.app.panels import segments, tables
from pilothouse.data.history.results import Drift, FeatureDrift, Metric, State
from pilothouse.data.measures.changes import Found
from pilothouse.data.measures.segment_comparison import ComparedSegment, SegmentComparison
from pilothouse.data.signature import Kind
from pilothouse.data.windows import Window

NOW = datetime(2026, 9, 20, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=14), NOW)
FEW = "too few rows: 30; 200 would do"


def feature(name: str, state: State, reason: str = "") -> FeatureDrift:
    return FeatureDrift(
        name=name, feature=name, kind=Kind.NUMBER, rows=30, psi=None, ks=None, ks_p=None, wasserstein=None,
        jensen_shannon=None, missing=None, reference_missing=0.0, new_share=None, impact=None, state=state, reason=reason,
    )  # fmt: skip


def drift(*features: FeatureDrift) -> Drift:
    nothing = cast("Any", SimpleNamespace())
    return Drift(
        model="loans", version=None, window=WINDOW, reference=nothing, watermark=nothing, rows=30, features=features,
        score=None,
    )  # fmt: skip


def test_too_few_rows_are_not_called_free_of_drift() -> None:
    silent = drift(feature("a", State.NO_DATA, FEW), feature("b", State.NO_DATA, FEW))
    assert drifts.drift_answer(silent) == f"Whether any of 2 features has drifted cannot be said: {FEW}."
    some = drift(feature("a", State.HEALTHY), feature("b", State.NO_DATA, FEW))
    assert drifts.drift_answer(some) == (
        "None of 2 features has moved away from the reference. Of 1 it cannot be said."
    )
    labelled = cast("Any", SimpleNamespace(metrics={}, labelled=0, rows=30, coverage=0.0))
    tiles = {label: (value, note) for label, value, note in tables.model_tiles(labelled, labelled, silent)}
    assert tiles["Features drifting"] == ("–", FEW)


def test_one_feature_that_drifts_is_said_in_the_singular() -> None:
    found = drift(feature("a", State.CRITICAL), feature("b", State.HEALTHY))
    assert drifts.drift_answer(found) == "1 of 2 features drifts; most of all a."
    assert "almost every feature" not in Found(tested=16, differ=1).sentence
    assert "almost every feature" in Found(tested=16, differ=16).sentence


def compared(*segments_: ComparedSegment) -> SegmentComparison:
    return SegmentComparison(
        model="loans", columns=("purpose",), version=None, window=WINDOW, metric="roc_auc", rows=900, labelled=900,
        segments=segments_, unlisted=0, unlisted_rows=0,
    )  # fmt: skip


def segment(name: str, value: float, gap: Metric) -> ComparedSegment:
    nothing = Metric(value=None)
    return ComparedSegment(
        values=(name,), rows=300, labelled=300, coverage=1.0, metric=Metric(value=value), rest=nothing, difference=gap,
        score_psi=nothing,
    )  # fmt: skip


def test_the_worst_segment_stands_with_its_band() -> None:
    far, near = Metric(value=-0.1, low=-0.14, high=-0.06), Metric(value=-0.1, low=-0.24, high=0.04)
    best = segment("car", 0.72, Metric(value=0.1))
    sure = segments.answer(compared(segment("study", 0.62, far), best))
    assert sure == (
        "By purpose, ROC AUC is worst for study (0.620) and best for car (0.720). "
        "The worst lies −0.100 from all other rows, 95 % band −0.140 to −0.060."
    )
    unsure = segments.answer(compared(segment("study", 0.62, near), best))
    assert unsure.endswith("95 % band −0.240 to +0.040: that may be chance.")
    assert segments.answer(compared()) == "There are no predictions in this range."


def test_a_name_of_any_length_takes_little_room_and_shows_whole_under_the_pointer() -> None:
    long = "<b>" + "x" * 200
    drawn = markup.name(long)
    assert len(drawn.split(">", 1)[1]) < 80
    assert "&lt;b&gt;" + "x" * 200 in drawn
    assert "(empty text)" in markup.name("")
