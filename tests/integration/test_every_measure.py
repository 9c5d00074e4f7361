"""What holds for every family of measures, asked of a real log: neither the order of rows and hours, nor the unit of a
feature, nor where a span is cut changes an answer; and no column, however hostile, ends one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.support.hard import MODEL, WINDOW, WORDS, hard_rows, make_hard, many_features

from pilothouse.data.errors import PilothouseError
from pilothouse.data.measures.health import State
from pilothouse.data.windows import Window
from pilothouse.ops.model import ModelHandle

SERVED, REFERENCE = hard_rows(28 * 144, seed=2, later=True), hard_rows(2000, seed=1)
SCALE = 1024.0
"""A power of two: scaling by it rounds nothing."""
Ask = Callable[[ModelHandle, Window], Any]

FAMILIES: dict[str, Ask] = {
    "drift": lambda model, window: model.history.drift(window),
    "drift of every row": lambda model, window: model.history.drift(window, exact=True),
    "drift of the prediction": lambda model, window: model.prediction_drift(window),
    "multivariate drift": lambda model, window: model.multivariate_drift(window),
    "impact": lambda model, window: model.impact(window),
    "metrics": lambda model, window: model.metrics(window),
    "metrics of every row": lambda model, window: model.metrics(window, exact=True),
    "thresholds": lambda model, window: model.thresholds(window),
    "lending": lambda model, window: model.lending(window),
    "estimate": lambda model, window: model.estimate(window),
    "scoreboard": lambda model, window: model.scoreboard(window),
    "quality": lambda model, window: model.quality(window),
    "segments": lambda model, window: model.compared_segments("group", window=window),
    "pairs of segments": lambda model, window: model.compared_segments("word", "flag", window=window),
    "weak segments": lambda model, window: model.weak_segments(window),
    "fairness": lambda model, window: model.fairness("group", window),
    "importance": lambda model, window: model.importance(window),
    "attribution drift": lambda model, window: model.attribution_drift(window),
    "plan": lambda model, window: model.plan(),
    "health": lambda model, window: model.health(),
}
SAMPLED = {"importance", "attribution drift", "multivariate drift"}
"""They draw rows, folds or orders by their place: another order of the rows is another draw."""
BY_HOUR = {"quality", "plan", "health", "weak segments"}
"""They look at single hours, or part the rows by time."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHandle]:
    house = make_hard(tmp_path_factory.mktemp("hard") / "house", SERVED, REFERENCE)
    yield house[MODEL]
    house.close()


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHandle]:
    order = np.random.default_rng(7)
    house = make_hard(tmp_path_factory.mktemp("shuffled") / "house", SERVED, REFERENCE, order=order)
    yield house[MODEL]
    house.close()


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHandle]:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("known", "size", "endless") * SCALE)

    house = make_hard(tmp_path_factory.mktemp("scaled") / "house", SERVED, REFERENCE, change=change)
    yield house[MODEL]
    house.close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHandle]:
    house = make_hard(
        tmp_path_factory.mktemp("wide") / "house",
        many_features(28 * 12, seed=2, later=True),
        many_features(700, seed=1),
    )
    yield house[MODEL]
    house.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_value_is_a_number_or_has_a_reason(model: ModelHandle, family: str) -> None:
    found = dict(numbers(FAMILIES[family](model, WINDOW)))
    assert found
    assert [name for name, value in found.items() if math.isnan(value)] == []


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - SAMPLED - BY_HOUR))
def test_neither_the_order_of_rows_nor_that_of_hours_says_anything(
    model: ModelHandle, shuffled: ModelHandle, family: str
) -> None:
    assert_same(FAMILIES[family](shuffled, WINDOW), FAMILIES[family](model, WINDOW))


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"quality"}))
def test_the_unit_of_a_feature_says_nothing(model: ModelHandle, scaled: ModelHandle, family: str) -> None:
    assert_same(FAMILIES[family](scaled, WINDOW), FAMILIES[family](model, WINDOW), rel=1e-6)


def test_the_unit_of_a_feature_moves_the_bounds_of_its_rules_alone(model: ModelHandle, scaled: ModelHandle) -> None:
    def broken(asked: ModelHandle) -> list[tuple[str, str, int]]:
        return [(line.rule.column, line.rule.demand, line.violations) for line in asked.quality(WINDOW).rules]

    assert broken(scaled) == broken(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_span_without_rows_says_so(model: ModelHandle, family: str) -> None:
    empty = Window(WINDOW.start - timedelta(days=60), WINDOW.start - timedelta(days=30))
    assert said_or_refused(lambda: FAMILIES[family](model, empty))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_hour_is_too_little_but_no_fault(model: ModelHandle, family: str) -> None:
    hour = Window(WINDOW.start + timedelta(days=3), WINDOW.start + timedelta(days=3, hours=1))
    assert said_or_refused(lambda: FAMILIES[family](model, hour))


@pytest.mark.parametrize("family", FAMILIES)
def test_three_hundred_features(wide: ModelHandle, family: str) -> None:
    asked = FAMILIES | {
        "pairs of segments": lambda model, window: model.compared_segments("group", "f001", window=window)
    }
    answer = asked[family](wide, WINDOW)
    assert [name for name, value in numbers(answer) if math.isnan(value)] == []
    if family.startswith("drift") and family != "drift of the prediction":
        moved = {feature.name for feature in answer.features if feature.state is State.CRITICAL}
        assert moved == {"known", "f001", "f002"}
    if family == "impact":
        assert answer.features[0].name == "known"


@pytest.mark.parametrize("exact", [False, True])
def test_the_state_of_each_hostile_column(model: ModelHandle, exact: bool) -> None:
    of = {feature.name: feature for feature in model.history.drift(WINDOW, exact=exact).features}
    assert (of["gone"].state, of["gone"].psi) == (State.CRITICAL, None)
    assert of["gone"].reason.startswith("100% missing, 0% in the reference")
    assert (of["constant"].state, of["constant"].psi) == (State.HEALTHY, 0)
    assert (of["stuck"].state, of["stuck"].missing) == (State.CRITICAL, 0)
    assert [of[name].state for name in ("endless", "huge", "word", "flag")] == [State.HEALTHY] * 4
    assert of["word"].new_share == 0


def test_words_are_told_apart_and_come_back_as_they_were_sent(model: ModelHandle) -> None:
    found = {found.values[0]: found.rows for found in model.compared_segments("word", window=WINDOW).segments}
    assert found == dict(SERVED["word"].value_counts().rows())
    assert set(WORDS) == set(found)


def test_a_span_is_the_sum_of_the_spans_it_is_cut_into(model: ModelHandle) -> None:
    """Rows, confusion and mergeable means; ROC AUC is not a mean, and is that of all rows either way."""
    cut = WINDOW.start + timedelta(days=11, hours=7)
    parts = [model.metrics(window) for window in (Window(WINDOW.start, cut), Window(cut, WINDOW.end))]
    whole = model.metrics(WINDOW)
    weights = np.array([part.labelled for part in parts])
    assert (weights.sum(), sum(part.rows for part in parts)) == (whole.labelled, whole.rows)
    for name in ("log_loss", "brier", "accuracy", "mean_score", "positive_rate"):
        values = [part.metrics[name].value for part in parts]
        assert whole.metrics[name].value == pytest.approx(np.average(values, weights=weights), rel=1e-12), name


def test_counts_of_drift_add_up_over_spans(model: ModelHandle) -> None:
    cut = WINDOW.start + timedelta(days=11, hours=7)
    for name in ("size", "word", "endless"):
        parts = [
            model.history.distribution(name, window) for window in (Window(WINDOW.start, cut), Window(cut, WINDOW.end))
        ]
        whole = model.history.distribution(name, WINDOW)
        assert sum(part.rows for part in parts) == whole.rows


def assert_same(found: Any, expected: Any, rel: float = 1e-9) -> None:
    """Roll-ups round Wasserstein's sums (of whole numbers near 2**53 above all); bounds of a segment have a unit."""
    values, others = dict(numbers(found)), dict(numbers(expected))
    rough = {name for name in others if name.endswith("wasserstein")}
    bounds = {name for name in others if re.search(r"conditions\[\d\]\.(low|high)$", name)}
    assert {name: values[name] for name in rough} == pytest.approx({name: others[name] for name in rough}, abs=1e-3)
    exact = others.keys() - rough - bounds
    assert values.keys() == others.keys()
    assert {name: values[name] for name in exact} == pytest.approx({name: others[name] for name in exact}, rel=rel)


def said_or_refused(ask: Callable[[], Any]) -> bool:
    """Whether the answer has no number that is none, or there is a refusal with its reason."""
    try:
        answer = ask()
    except PilothouseError as error:
        return bool(str(error))
    return not any(math.isnan(value) for _, value in numbers(answer))


def numbers(answer: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number in an answer, with where it stands; moments and what names a row left out."""
    if is_dataclass(answer) and not isinstance(answer, type):
        for field in fields(answer):
            yield from numbers(getattr(answer, field.name), f"{path}.{field.name}")
    elif isinstance(answer, dict):
        for key, value in answer.items():
            yield from numbers(value, f"{path}[{key}]")
    elif isinstance(answer, (list, tuple, np.ndarray)):
        for place, value in enumerate(answer):
            yield from numbers(value, f"{path}[{place}]")
    elif isinstance(answer, (int, float, np.number)) and not isinstance(answer, bool):
        yield path, float(answer)
