"""Explanations keep the laws that define them, and no odd input makes them fall."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.association import strengths
from pilothouse.data.measures.attribution import measure_attribution
from pilothouse.data.measures.explanation import FeatureLine, Place, Standing, hide_lines, place_of
from pilothouse.data.measures.importance import (
    auc_importance,
    auc_parts,
    correlated_groups,
    measure_importance,
    shuffles,
)
from pilothouse.data.measures.shapley import (
    Floats,
    Game,
    exact_shapley,
    marginal_contributions,
    sampled_shapley,
)


def _game(seed: int, players: int, background: int) -> Game:
    """Any game: what a coalition is worth with each background row is drawn."""
    worth = np.random.default_rng(seed).normal(size=(background, 1 << players))
    worth[:, -1] = worth[0, -1]

    def game(masks: np.ndarray, places: np.ndarray) -> Floats:
        drawn: Floats = worth[places, masks @ (1 << np.arange(players))]
        return drawn

    return game


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 5))
def test_contributions_add_up_whatever_the_game(seed: int, players: int, background: int) -> None:
    game = _game(seed, players, background)
    for found in (
        exact_shapley(game, players, background),
        sampled_shapley(game, players, background, rounds=2, seed=seed),
    ):
        assert abs(found.gap) < 1e-12


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_every_order_gives_what_every_coalition_gives(players: int) -> None:
    game, background = _game(players, players, 3), 3
    orders = np.argsort(np.array([*permutations(range(players))]), axis=1)
    ranks, places = np.tile(orders, (background, 1)), np.repeat(np.arange(background), len(orders))
    base = game(np.zeros((background, players), bool), np.arange(background))[places]
    total = float(game(np.ones((1, players), bool), np.zeros(1, np.int64))[0])
    walked = marginal_contributions(game, ranks, places, base, total).mean(axis=0)
    assert np.allclose(walked, exact_shapley(game, players, background).values, atol=1e-12)


def _linear(weights: Floats, row: Floats, background: Floats) -> Game:
    return lambda masks, places: np.where(masks, row, background[places]) @ weights


def test_a_dummy_gets_nothing_and_equals_get_the_same() -> None:
    rng = np.random.default_rng(1)
    background = rng.normal(size=(6, 4))
    background[:, 1] = background[:, 0]
    row, weights = np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.7, 0.7, -1.0, 0.0])
    for found in (
        exact_shapley(_linear(weights, row, background), 4, 6),
        sampled_shapley(_linear(weights, row, background), 4, 6, rounds=2, seed=0),
    ):
        assert found.values[3] == pytest.approx(0, abs=1e-12)
        assert found.values[0] == pytest.approx(found.values[1])
        assert np.allclose(found.values, weights * (row - background.mean(axis=0)))


def test_contributions_to_a_sum_of_games_are_the_sum() -> None:
    one, other = _game(3, 4, 2), _game(4, 4, 2)
    both = exact_shapley(lambda masks, places: one(masks, places) + other(masks, places), 4, 2).values
    assert np.allclose(both, exact_shapley(one, 4, 2).values + exact_shapley(other, 4, 2).values)


def test_too_many_coalitions_are_refused() -> None:
    with pytest.raises(ValueError, match="too many coalitions"):
        exact_shapley(_game(0, 2, 1), 21, 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 60))
def test_auc_by_parts_is_the_auc(seed: int, rows: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    positive = np.array([True, False, *(rng.random(rows - 2) < 0.5)])
    score = np.round(rng.random(rows), 1)
    auc, parts = auc_parts(positive, score)
    assert auc == pytest.approx(roc_auc_score(positive, score))
    assert parts.mean() == pytest.approx(auc)


def test_a_feature_that_nothing_hangs_on_costs_nothing() -> None:
    quality, orders = np.array([1.0, 0.0, 1.0, 1.0]), shuffles(4, 3, 0)
    found = measure_importance(quality, np.tile(quality, (3, 1)), orders)
    assert found.value == pytest.approx(0)
    score, positive = np.array([0.1, 0.2, 0.3, 0.9]), np.array([False, False, True, True])
    assert auc_importance(positive, score, np.tile(score, (3, 1)), orders).value == pytest.approx(0)


def test_the_order_of_rows_changes_no_importance() -> None:
    rng = np.random.default_rng(2)
    quality, dealt, orders = rng.random(50), rng.random((2, 50)), shuffles(50, 2, 1)
    place = rng.permutation(50)
    moved = np.argsort(place)[orders[:, place]]
    first, second = (
        measure_importance(quality, dealt, orders),
        measure_importance(quality[place], dealt[:, place], moved),
    )
    assert (first.value, first.low) == (pytest.approx(second.value), pytest.approx(second.low))


def test_shuffles_deal_every_row_once() -> None:
    orders = shuffles(20, 3, 7)
    assert (np.sort(orders, axis=1) == np.arange(20)).all()
    assert (orders == shuffles(20, 3, 7)).all()


def test_columns_that_hang_together_are_found_whatever_their_kinds() -> None:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 4, 500)
    frame = pl.DataFrame(
        {
            "miles": town * 100.0 + rng.normal(size=500),
            "metres": (town * 100.0) ** 3,
            "town": [f"tøwn {t}" for t in town],
            "state": [f"s{t}" for t in town],
            "alone": rng.normal(size=500),
            "flat": np.ones(500),
            "empty": pl.Series([None] * 500, dtype=pl.Float64),
            "other": rng.choice(["a", "b", "ü"], 500),
        }
    )
    found = strengths(frame)
    assert correlated_groups(found, 0.8) == [[0, 1, 2, 3]]
    assert (found == found.T).all()
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    scaled = strengths(frame.with_columns(pl.col("miles") * -1e12))
    assert np.allclose(scaled, found)


@pytest.mark.parametrize(
    ("value", "reference", "standing"),
    [
        (None, [1.0, 2.0], Standing.MISSING),
        (float("nan"), [1.0, 2.0], Standing.MISSING),
        (0.0, [1.0, 2.0], Standing.BELOW),
        (float("inf"), [1.0, 2.0], Standing.ABOVE),
        (1e300, [1.0, 2.0], Standing.ABOVE),
        (1.0, [1.0, None], Standing.WITHIN),
        (1.0, [None, float("nan")], Standing.NO_REFERENCE),
        ("ü", ["ü", "b"], Standing.WITHIN),
        ("", ["ü", "b"], Standing.NEVER_SEEN),
        (True, [False, None], Standing.NEVER_SEEN),
    ],
)
def test_where_a_value_stands(value: object, reference: list[object], standing: Standing) -> None:
    kind = pl.String if isinstance(value, str) else pl.Boolean if isinstance(value, bool) else pl.Float64
    assert place_of(value, pl.Series(reference, dtype=kind)).standing is standing  # type: ignore[arg-type]


def test_an_empty_reference_places_nothing() -> None:
    assert place_of(1.0, pl.Series([], dtype=pl.Float64)).standing is Standing.NO_REFERENCE


def test_hidden_columns_are_one_line_and_the_sum_stays() -> None:
    lines = [
        FeatureLine(
            name=name,
            value=1.0,
            place=Place(standing=Standing.WITHIN),
            contribution=Metric(value=v, low=v - 1, high=v + 1),
        )
        for name, v in (("a", 1.0), ("b", 2.0), ("c", -4.0))
    ]
    shown = hide_lines(lines, frozenset({"b", "c"}))
    assert [(line.name, line.value) for line in shown] == [("a", 1.0), ("2 hidden columns", None)]
    assert sum(line.contribution.value or 0 for line in shown) == pytest.approx(-1)
    assert hide_lines(lines, frozenset()) == lines


def test_attribution_that_did_not_move_is_not_said_to() -> None:
    same = np.random.default_rng(0).normal(size=(80, 3))
    same[:, 2] = 0.5
    assert not any(each.changed for each in measure_attribution(["a", "b", "c"], same, -same))
    jumped = np.column_stack([same[:, :2], np.full(80, 0.75)])
    found = measure_attribution(["a", "b", "c"], same, jumped)
    assert (found[0].name, found[0].changed) == ("c", True)
    assert found[0].change.value == pytest.approx(0.25)
