"""Explanations beside others: permutation importance as scikit-learn has it, Shapley values as shap has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.demo.flights import FEATURES, load_flights
from pilothouse.data.measures.importance import auc_importance, measure_importance
from pilothouse.data.measures.shapley import Game, exact_shapley, sampled_shapley
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.ops.measuring.by_shap import ShapExplainer
from pilothouse.ops.measuring.explainer import Explainer
from pilothouse.ops.scoring import SklearnScorer, model_frame
from tests.golden.agreement import Agreement

Floats = npt.NDArray[np.float64]
Say = Callable[[Floats], Floats]
ROUNDING = 1e-9
NUMBERS = [name for name in FEATURES if name not in ("carrier", "origin", "dest")]
SEVEN = ["weekday", "departure_minute", "arrival_minute", "distance", "temp", "wind_gust", "visib"]
_BACKGROUND = 20


def run() -> list[Agreement]:
    """Every measure of the family on real flights and on a planted law."""
    from threadpoolctl import threadpool_limits

    rows, true = _flights()
    planted_rows, planted_true = _planted()
    few = [NUMBERS.index(name) for name in SEVEN]
    # Many small calls: threads would wait for each other longer than they work.
    with threadpool_limits(1):
        return [
            *_importances("flights", rows[:, few], true),
            *_importances("planted", planted_rows, planted_true),
            *_shapleys("flights", rows[:, few], true),
            *_shapleys("planted", planted_rows, planted_true),
            _sampled(rows, true),
            *_through_pipelines(),
        ]


def _flights() -> tuple[Floats, npt.NDArray[np.bool_]]:
    known = load_flights().drop_nulls("late").sample(6_000, seed=5)
    return known.select(NUMBERS).cast(pl.Float32).cast(pl.Float64).to_numpy(), (known["late"] == 1).to_numpy()


def _planted() -> tuple[Floats, npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(5)
    # shap rounds values to 32 bits, which would put some on the other side of a threshold.
    rows = rng.normal(size=(3_000, 6)).astype(np.float32).astype(np.float64)
    chance = 1 / (1 + np.exp(-(rows[:, 0] * rows[:, 1] + rows[:, 2])))
    return rows, rng.random(3_000) < chance


def _fitted(rows: Floats, true: npt.NDArray[np.bool_]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(rows, true)


def _importances(data: str, rows: Floats, true: npt.NDArray[np.bool_]) -> list[Agreement]:
    """With the orders that scikit-learn draws, so that nothing but rounding may differ."""
    from sklearn.inspection import permutation_importance

    model, judged, label = _fitted(rows[:2000], true[:2000]), rows[2000:3000], true[2000:3000]
    orders = _their_orders(len(judged), 3, seed=4)
    said = model.predict_proba(judged)[:, 1]
    ours_auc, ours_right = [], []
    for column in range(rows.shape[1]):
        dealt = np.stack([model.predict_proba(_dealt(judged, column, order))[:, 1] for order in orders])
        ours_auc.append(auc_importance(label, said, dealt, orders).value)
        right, dealt_right = ((each >= 0.5) == label for each in (said, dealt))
        ours_right.append(measure_importance(right.astype(float), dealt_right.astype(float), orders).value)
    found = []
    for name, ours in (("roc_auc", ours_auc), ("accuracy", ours_right)):
        theirs = permutation_importance(model, judged, label, scoring=name, n_repeats=3, random_state=4)
        largest = float(np.abs(np.array(ours, dtype=float) - theirs.importances_mean).max())
        found.append(
            Agreement(measure=f"permutation importance, {name}", rival="sklearn permutation_importance", data=data,
                      compared=len(ours), largest=largest, allowed=ROUNDING)
        )  # fmt: skip
    return found


def _their_orders(rows: int, repeats: int, seed: int) -> npt.NDArray[np.int64]:
    """The orders that scikit-learn deals every column out by: each repeat shuffles the one before once more."""
    first = np.random.RandomState(seed)
    draw = np.random.RandomState(first.randint(np.iinfo(np.int32).max + 1))
    index, dealt, found = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):
        draw.shuffle(index)
        dealt = dealt[index]
        found.append(dealt)
    return np.stack(found)


def _dealt(rows: Floats, column: int, order: npt.NDArray[np.int64]) -> Floats:
    changed = rows.copy()
    changed[:, column] = rows[order, column]
    return changed


def _shapleys(data: str, rows: Floats, true: npt.NDArray[np.bool_]) -> list[Agreement]:
    """Every coalition: on a chance as the mean over all orders, written out; on log-odds as shap's trees.

    Not as its trees on chances: those are the contributions to the log-odds made to fit, and were up to 0.009 from the
    Shapley values of the chance.
    """
    model, background, asked = _fitted(rows[:2000], true[:2000]), rows[:_BACKGROUND], rows[2000:2002]
    players = rows.shape[1]
    odds = np.stack(
        [exact_shapley(_game(model.decision_function, r, background), players, _BACKGROUND).values for r in asked]
    )
    some, game = 4, _game(_chance(model), asked[0], background[:2])
    few = exact_shapley(_of_first(game, some, players), some, 2).values
    return [
        Agreement(measure="Shapley values of a chance", rival="all orders, one by one", data=data, compared=some,
                  largest=float(np.abs(few - _by_orders(_of_first(game, some, players), some, 2)).max()),
                  allowed=ROUNDING),
        Agreement(measure="Shapley values of log-odds", rival="shap.TreeExplainer", data=data, compared=odds.size,
                  largest=float(np.abs(odds - _trees(model, background, asked)).max()), allowed=1e-6,
                  note="shap keeps the leaves of trees in 32 bits"),
    ]  # fmt: skip


def _of_first(game: Game, some: int, players: int) -> Game:
    """The game of the first players alone; the others stay with the background."""
    return lambda masks, places: game(np.pad(masks, ((0, 0), (0, players - some))), places)


def _by_orders(game: Game, players: int, background: int) -> Floats:
    gains = np.zeros(players)
    orders = [*permutations(range(players))]
    for order in orders:
        for place in range(background):
            mask = np.zeros((1, players), bool)
            before = float(game(mask, np.array([place]))[0])
            for player in order:
                mask[0, player] = True
                now = float(game(mask, np.array([place]))[0])
                gains[player] += now - before
                before = now
    return gains / (len(orders) * background)


def _sampled(rows: Floats, true: npt.NDArray[np.bool_]) -> Agreement:
    """Sampled orders: how many bands miss what the trees give exactly, beyond the 5 % that may."""
    model, background, asked = _fitted(rows[:2000], true[:2000]), rows[:_BACKGROUND], rows[2000:2006]
    exact, missed = _trees(model, background, asked), 0
    for row, wanted in zip(asked, exact, strict=True):
        game = _game(model.decision_function, row, background)
        found = sampled_shapley(game, rows.shape[1], _BACKGROUND, rounds=8, seed=1)
        missed += int((np.abs(found.values - wanted) > found.errors + ROUNDING).sum())
    return Agreement(measure="Shapley values, sampled: bands that miss", rival="shap.TreeExplainer", data="flights",
                     compared=exact.size, largest=missed / exact.size, allowed=0.1,
                     note="a share: 95 % bands from eight rounds may miss 5 %")  # fmt: skip


def _through_pipelines() -> list[Agreement]:
    """shap as Pilothouse asks it, inside of a pipeline with categories, beside every coalition of the features.

    Numbers as they are in the log, in 64 bits: many stand on a threshold of the trees.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    numbers = SEVEN[:6]
    ordinal = make_column_transformer((OrdinalEncoder(), ["carrier"]), remainder="passthrough")
    hot = make_column_transformer((OneHotEncoder(), ["carrier"]), (StandardScaler(), numbers))
    return [
        _inside("trees on ordinal categories", ordinal, HistGradientBoostingClassifier(max_iter=20, random_state=0)),
        _inside("lines on one-hot categories", hot, LogisticRegression(max_iter=500)),
    ]


def _inside(kind: str, columns: Any, last: Any) -> Agreement:
    from sklearn.pipeline import make_pipeline

    names = ["carrier", *SEVEN[:6]]
    known = load_flights().drop_nulls(["late", *names]).sample(6_000, seed=5)
    features = tuple(Feature(name=n, kind=Kind.CATEGORY if n == "carrier" else Kind.NUMBER) for n in names)
    target = Target(name="late", kind=Kind.INTEGER, classes=(0, 1))
    signature = Signature(features=features, target=target, task=Task.BINARY)
    rows = known.select(pl.col("carrier"), pl.col(names[1:]).cast(pl.Float64))
    model = make_pipeline(columns, last).fit(model_frame(signature, rows), known["late"].to_numpy())
    scorer = SklearnScorer(model, signature, 0.5)
    explainer = Explainer(scorer=scorer, signature=signature, background=rows[:_BACKGROUND])
    asked = rows[2000:2003]
    found = ShapExplainer(explainer=explainer, original=scorer).attribute(asked)

    def values(at: int) -> Floats:
        stack = pl.concat([explainer.background, asked[at : at + 1]])

        def game(masks: Any, places: Any) -> Floats:
            sources = np.where(masks, _BACKGROUND, places[:, None])
            mixed = pl.DataFrame([stack[name].gather(sources[:, j]) for j, name in enumerate(names)])
            said: Floats = model.decision_function(model_frame(signature, mixed))
            return said

        return exact_shapley(game, len(names), _BACKGROUND).values

    wanted = np.stack([values(at) for at in range(asked.height)])
    return Agreement(measure=f"shap in a pipeline, {kind}: log-odds", rival="every coalition of features",
                     data="flights", compared=wanted.size, largest=float(np.abs(found.values - wanted).max()),
                     allowed=1e-6)  # fmt: skip


def _trees(model: Any, background: Floats, asked: Floats) -> Floats:
    trees = _shap().TreeExplainer(model, background, feature_perturbation="interventional", model_output="raw")
    found: Floats = trees.shap_values(asked, check_additivity=False)
    return found


def _chance(model: Any) -> Say:
    def say(rows: Floats) -> Floats:
        said: Floats = model.predict_proba(rows)[:, 1]
        return said

    return say


def _game(say: Say, row: Floats, background: Floats) -> Game:
    return lambda masks, places: say(np.where(masks, row, background[places]))


def _shap() -> Any:
    with warnings.catch_warnings():
        # Its colour maps are made in a way that Matplotlib is about to give up.
        warnings.simplefilter("ignore")
        import shap
    return shap
