"""Metrics of class probabilities: no order of rows matters, nothing crashes, and what cannot be said says why."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planted.classes import contributions_of, honest_classes, metrics_of

from pilothouse.data.errors import BadData, MissingColumn
from pilothouse.data.history.exact import exact_performance
from pilothouse.data.history.results import Metric
from pilothouse.data.log.class_scores import class_matrix, class_scores_in
from pilothouse.data.log.frames import typed_predictions
from pilothouse.data.rollups.chances import judged
from pilothouse.data.rollups.outcomes import count_outcomes, realized
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task

Floats = npt.NDArray[np.float64]
COLOURS = Signature(
    features=(Feature(name="score_blue", kind=Kind.NUMBER), Feature(name="wind", kind=Kind.NUMBER)),
    target=Target(name="colour", kind=Kind.CATEGORY, classes=("blau", "rot", "grün \N{ARTIST PALETTE}")),
    task=Task.MULTICLASS,
)
GIVEN = [0.25, 0.5, 0.25]


def values(metrics: dict[str, Metric]) -> dict[str, float | None]:
    return {name: metric.value for name, metric in metrics.items()}


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 25), st.integers(1, 60), st.integers(0, 10_000))
def test_order_does_not_matter_and_every_value_lies_in_its_band(classes: int, rows: int, seed: int) -> None:
    chances, true = _some(classes, rows, seed)
    order = np.random.default_rng(seed).permutation(len(true))
    found = metrics_of(chances, true)
    assert values(metrics_of(chances[order], true[order])) == pytest.approx(values(found), abs=1e-12)
    for metric in found.values():
        assert metric.reason or metric.value is not None
        assert not metric.reason or metric.value is None or rows == 1
        if metric.value is not None and metric.low is not None and metric.high is not None:
            assert metric.low - 1e-12 <= metric.value <= metric.high + 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 60), st.integers(0, 10_000))
def test_what_is_taken_back_leaves_no_trace(classes: int, rows: int, seed: int) -> None:
    chances, true = _some(classes, rows, seed)
    held, signature = contributions_of(chances, true)
    other, _ = contributions_of(chances, (true + 1) % classes)
    wrong_then_right = pl.concat([other, other.with_columns(-pl.col("sign")), held])
    for exact in (False, True):
        wanted, found = (_measured(rows, signature, exact=exact) for rows in (held, wrong_then_right))
        assert values(found) == pytest.approx(values(wanted), abs=1e-9)


def test_equal_probabilities_rank_as_the_model_says() -> None:
    """The class that the target names first is the one said, so top-1 and accuracy are one figure."""
    metrics = metrics_of(np.full((4, 4), 0.25), np.array([0, 1, 2, 3]))
    assert (metrics["accuracy"].value, metrics["top_2"].value, metrics["top_3"].value) == (0.25, 0.5, 0.75)
    assert metrics["macro_roc_auc"].value == 0.5
    assert metrics["ece"].value == pytest.approx(0.0)


def test_a_class_seen_alone_has_no_roc_auc_and_a_class_never_seen_is_left_out() -> None:
    chances, _ = honest_classes(np.ones(3), 40, seed=1)
    alone = metrics_of(chances, np.zeros(40, np.int64))
    assert alone["macro_roc_auc"].reason == "only one class among 40 labelled rows; ROC AUC compares two"
    two = metrics_of(chances, np.arange(40) % 2)
    assert two["macro_roc_auc"].value is not None


def test_sure_and_wrong_is_finite() -> None:
    metrics = metrics_of(np.array([[1.0, 0.0, 0.0]] * 3), np.array([1, 2, 0]))
    assert metrics["log_loss"].value == pytest.approx(-2 / 3 * np.log(np.finfo(float).eps), rel=1e-3)
    assert metrics["brier"].value == pytest.approx(4 / 3)


@pytest.mark.parametrize("scores", [[None] * 3, [[0.5, 0.5]] * 3, [[]] * 3])
def test_rows_without_a_probability_for_each_class_are_left_out(scores: list[list[float] | None]) -> None:
    rows, signature = contributions_of(np.full((3, 3), 1 / 3), np.array([0, 1, 2]))
    plain = rows.drop("given", "rank", "brier", "sure").with_columns(
        scores=pl.Series(scores, dtype=pl.List(pl.Float64))
    )
    metrics = _measured(judged(plain, signature), signature, exact=False)
    assert metrics["accuracy"].value == pytest.approx(1 / 3)
    assert metrics["log_loss"].reason == "no labelled row has a probability for each class"
    assert values(_measured(judged(plain.clear(), signature), signature, exact=True))["log_loss"] is None


def test_frames_bring_a_list_or_a_column_a_class() -> None:
    names = ("score_blau", "score_rot", "score_grün \N{ARTIST PALETTE}")
    frame = pl.DataFrame({"score_blue": [7.0] * 4, "wind": [1.0] * 4, "prediction": ["rot"] * 4})
    lists = frame.with_columns(scores=pl.Series([GIVEN, None, [0.5, np.nan, 0.5], [0.5, None, 0.5]]))
    columns = frame.with_columns(
        pl.Series(name, [share, None, share, np.nan]) for name, share in zip(names, GIVEN, strict=True)
    )
    assert _typed(lists) == [GIVEN, None, None, None]
    assert _typed(columns) == [GIVEN, None, GIVEN, None]
    assert _typed(frame) == [None] * 4
    assert _typed(frame.with_columns(scores=None)) == [None] * 4
    assert _typed(lists.with_columns(scores=pl.Series([GIVEN] * 4, dtype=pl.List(pl.Float32)))) == [GIVEN] * 4
    assert _typed(lists.with_columns(scores=pl.Series(np.array([GIVEN] * 4)))) == [GIVEN] * 4
    assert _typed(lists.clear()) == []
    binary = Signature(
        features=COLOURS.features, target=Target(name="y", kind=Kind.INTEGER, classes=(0, 1)), task=Task.BINARY
    )
    assert class_scores_in(lists, binary, "m") is None


def test_a_frame_of_wrong_scores_says_what_would_do() -> None:
    frame = pl.DataFrame({"score_blue": [7.0], "wind": [1.0], "prediction": ["rot"]})
    with pytest.raises(BadData, match="has lists of 2 numbers; the target has 3 classes"):
        _typed(frame.with_columns(scores=pl.Series([[0.5, 0.5]])))
    with pytest.raises(BadData, match="outside of 0 to 1"):
        _typed(frame.with_columns(scores=pl.Series([[0.0, 0.0, 1e300]])))
    with pytest.raises(BadData, match="outside of 0 to 1"):
        _typed(frame.with_columns(scores=pl.Series([[0.0, 0.0, np.inf]])))
    with pytest.raises(BadData, match="is of type Float64; it wants a list"):
        _typed(frame.with_columns(scores=0.5))
    with pytest.raises(MissingColumn, match="has no column 'score_rot'"):
        _typed(frame.with_columns(score_blau=0.5))
    with pytest.raises(BadData, match="'score_rot' is of type String"):
        _typed(frame.with_columns(pl.lit(0.1).alias(name) for name in ("score_blau", "score_grün \N{ARTIST PALETTE}"))
               .with_columns(score_rot=pl.lit("0.8")))  # fmt: skip


def test_a_matrix_has_the_whole_rows_alone() -> None:
    known, chances = class_matrix(pl.Series([GIVEN, None, [0.1], []], dtype=pl.List(pl.Float64)), 3)
    assert known.tolist() == [True, False, False, False]
    assert chances.tolist() == [GIVEN]


def _typed(frame: pl.DataFrame) -> list[list[float] | None]:
    table = typed_predictions(frame, "colours", COLOURS, version=1)
    found: list[list[float] | None] = table["scores"].to_pylist()
    return found


def _some(classes: int, rows: int, seed: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    chances, true = honest_classes(np.ones(classes), max(rows, classes), seed)
    return chances[-rows:], true[-rows:]


def _measured(rows: pl.DataFrame, signature: Signature, *, exact: bool) -> dict[str, Metric]:
    counts = count_outcomes(rows, signature, "UTC", None)
    return exact_performance(rows, signature) if exact else realized(counts, signature)
