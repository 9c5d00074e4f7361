"""Contributions by the library shap: by its trees or its lines where the model is one, else by its permutations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.errors import CannotExplain, Unavailable
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.shapley import Shares
from pilothouse.data.signature import Signature, Task, Value
from pilothouse.ops.measuring.explainer import Explainer, level, outcome_words
from pilothouse.ops.measuring.inside import Inside, take_apart
from pilothouse.ops.scoring import SklearnScorer, class_order

INSTALL = "pip install 'pilothouse[explain]'"
_ORDERS, _FEW_ORDERS = 10, 3
_FEW_ROWS = 60
"""Of many rows so many are explained by permutations, which ask the model about thousands of mixed rows for each."""
_TREES = frozenset({
    "HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "GradientBoostingClassifier",
    "GradientBoostingRegressor", "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier",
    "ExtraTreesRegressor", "DecisionTreeClassifier", "DecisionTreeRegressor", "LGBMClassifier", "LGBMRegressor",
    "Booster", "XGBClassifier", "XGBRegressor",
})  # fmt: skip
# CatBoost's are left out: shap 0.51 writes past its memory on those of several classes, which ends the process.
_LINES = frozenset({
    "LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearRegression", "Ridge", "RidgeCV", "Lasso",
    "LassoCV", "ElasticNet", "ElasticNetCV", "BayesianRidge", "HuberRegressor", "SGDRegressor",
})  # fmt: skip
_LIBRARIES = ("sklearn", "lightgbm", "xgboost")


class Scale(StrEnum):
    """What contributions add up to, next to what the model answers."""

    ANSWER = "answer"
    LOG_ODDS = "log-odds"
    RAW = "raw score"
    LOGARITHM = "logarithm"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attributed:
    """What each feature contributed to the answers to some rows.

    values : float64, shape (rows, features). errors : half widths of 95 % bands for the sampling of orders, 0 where
    nothing was sampled; same shape. base, total : float64, shape (rows,): `base` and a row of `values` add up to `total`.
    """

    values: Floats
    errors: Floats
    base: Floats
    total: Floats
    scale: Scale
    exact: bool
    method: str

    def shares(self, background: int) -> Shares:
        """Those of the first row."""
        return Shares(
            base=float(self.base[0]), total=float(self.total[0]), values=self.values[0], errors=self.errors[0],
            background=background, evaluations=0, exact=self.exact,
        )  # fmt: skip


def is_installed() -> bool:
    return find_spec("shap") is not None


def check_installed() -> None:
    """Raises Unavailable."""
    if not is_installed():
        raise Unavailable(f"Contributions by shap need the library, which is not installed here. Run: {INSTALL}")


def scale_words(scale: Scale, signature: Signature, said: Value) -> str:
    """What is explained: `log-odds that late is 1`."""
    target = signature.target
    match scale:
        case Scale.LOG_ODDS:
            return f"log-odds that {target.name} is {target.positive}"
        case Scale.RAW:
            return f"score, before softmax, that {target.name} is {said}"
        case Scale.LOGARITHM:
            return f"logarithm of the predicted {target.name}"
    return outcome_words(signature, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapExplainer:
    """Explains by shap what `original`, a version's artifact itself, says against the background of `explainer`."""

    explainer: Explainer
    original: SklearnScorer

    def attribute(self, rows: pl.DataFrame) -> Attributed:
        """Contributions to the answers to `rows`; of many rows perhaps to the first ones alone.

        Raises Unavailable without the library, CannotExplain where they do not add up to what the model says.
        """
        check_installed()
        with _quiet(), np.errstate(all="ignore"):
            try:
                return self._inside(rows)
            except CannotExplain as error:
                return self._permuted(rows, error.reason)

    def _inside(self, rows: pl.DataFrame) -> Attributed:
        """By the estimator at the pipeline's end. Raises CannotExplain where shap does not know its kind."""
        name = type(_last(self.original.model)).__name__
        behind = self.explainer.background
        asked = rows.select(behind.columns)
        try:
            inside = take_apart(self.original, self.explainer.signature, pl.concat([behind, asked]))
            values, base, how = _asked(inside, inside.make(behind), inside.make(asked))
        except CannotExplain:
            raise
        except Exception as error:
            # Each kind of model is refused by an error of its own; the way that suits every model says why it was taken.
            raise CannotExplain(f"shap refuses this {name} ({type(error).__name__})") from error
        found = inside.by_feature(values, self.explainer.features)
        return self._checked(rows, found, base, f"{how} on {name}")

    def _checked(self, rows: pl.DataFrame, values: Floats, base: Floats, how: str) -> Attributed:
        """Of all outputs the one that is explained, on the scale on which everything adds up to the answers."""
        signature = self.explainer.signature
        scored = self.original.score(rows)
        place, order = self.explainer.places(scored), np.array(class_order(self.original.model, signature))
        outputs, sign = _outputs(signature.task, values.shape[2], place, order)
        totals = values.sum(axis=1) + base
        at = np.arange(len(values))
        found, total = sign * values[at, :, outputs], sign * totals[at, outputs]
        scale = _scale(signature.task, total, totals, outputs, level(scored, place))
        return Attributed(
            values=found, errors=np.zeros_like(found), base=sign * base[outputs], total=total, scale=scale, exact=True,
            method=f"{self._words(how)}; columns made of one feature are summed up",
        )  # fmt: skip

    def _permuted(self, rows: pl.DataFrame, why: str) -> Attributed:
        """By random orders of the features, each with its reverse: the version is asked as it answers requests."""
        many = rows.height > 1
        asked = rows[:_FEW_ROWS] if many else rows
        parts = [self._one(asked[at : at + 1], _FEW_ORDERS if many else _ORDERS) for at in range(asked.height)]
        values, errors, base, total = (np.stack(each) for each in zip(*parts, strict=True))
        missed = float(np.abs(base + values.sum(axis=1) - total).max())
        if not missed <= 1e-5 * max(1.0, float(np.abs(total).max())):
            raise CannotExplain(f"what shap gives does not add up to the answer: it misses it by {missed:.3g}")
        return Attributed(
            values=values, errors=errors, base=base, total=total, scale=Scale.ANSWER, exact=False,
            method=f"{self._words('shap.PermutationExplainer on the whole pipeline')}, since {why}",
        )  # fmt: skip

    def _one(self, row: pl.DataFrame, orders: int) -> tuple[Floats, Floats, Floats, Floats]:
        import shap

        # Each value stands for the row that it comes from, so that texts and missing values need no numbers of their own.
        behind = self.explainer.background
        stack, own, players = pl.concat([behind, row.select(behind.columns)]), behind.height, self.explainer.features
        scored = self.explainer.scorer.score(row)
        place = self.explainer.places(scored)

        def say(sources: Floats) -> Floats:
            return self.explainer.mixed(stack, sources.astype(np.int64), np.repeat(place, len(sources)))

        codes = np.repeat(np.arange(own, dtype=np.float64)[:, None], players, axis=1)
        explainer = shap.PermutationExplainer(say, shap.maskers.Independent(codes, max_samples=own), seed=0)
        found = explainer(
            np.full((1, players), float(own)), max_evals=orders * (2 * players + 1), error_bounds=True, silent=True
        )
        base = np.asarray(found.base_values, dtype=np.float64).ravel()[0]
        return found.values[0], _half_widths(found.error_std[0], 2 * orders), base, level(scored, place)[0]

    def _words(self, how: str) -> str:
        return f"{how}, against {self.explainer.background.height} rows of the reference"


def _last(model: Any) -> Any:
    return model[-1] if hasattr(model, "steps") else model


def _asked(inside: Inside, behind: Floats, asked: Floats) -> tuple[Floats, Floats, str]:
    """Contributions of columns, shape (rows, columns, outputs), the base of each output, and what gave them."""
    import shap

    model = inside.estimator
    name, ours = type(model).__name__, type(model).__module__.split(".")[0] in _LIBRARIES
    if ours and name in _TREES:
        how, explainer, asked = "shap.TreeExplainer", *_trees(model, behind, asked)
        values = explainer.shap_values(asked, check_additivity=False)
    elif ours and name in _LINES:
        how = "shap.LinearExplainer"
        explainer = shap.LinearExplainer(model, shap.maskers.Independent(behind, max_samples=len(behind)))
        values = explainer.shap_values(asked)
    else:
        raise CannotExplain(f"shap has no way of its own for {name}")
    found = np.stack(values, axis=-1) if isinstance(values, list) else np.asarray(values, dtype=np.float64)
    found = found[:, :, None] if found.ndim == 2 else found
    return found, np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64)), how


def _trees(model: Any, behind: Floats, asked: Floats) -> tuple[Any, Floats]:
    import shap

    trees = shap.TreeExplainer(model).model
    if trees.input_dtype is np.float64:
        behind, asked = (_beside_thresholds(trees, rows) for rows in (behind, asked))
    explainer = shap.TreeExplainer(model, behind, feature_perturbation="interventional", model_output="raw")
    return explainer, asked


def _beside_thresholds(trees: Any, rows: Floats) -> Floats:
    """`rows` with each value on the same side of every threshold once shap has rounded the thresholds to 32 bits.

    Values that are thresholds themselves, as in histogram boosting, would else take the other way in every second tree.
    """
    moved = rows.copy()
    inner = trees.features >= 0
    for column in range(rows.shape[1]):
        marks = np.unique(trees.thresholds[inner & (trees.features == column)])
        rounded = marks.astype(np.float32).astype(np.float64)
        above = np.searchsorted(marks, rows[:, column])
        highest = np.append(rounded, np.inf)[above]
        lowest = np.nextafter(np.append(-np.inf, rounded)[above], np.inf)
        kept = np.clip(rows[:, column], lowest, highest)
        moved[:, column] = np.where(np.isfinite(rows[:, column]), kept, rows[:, column])
    return moved


def _outputs(task: Task, outputs: int, place: Ints, order: Ints) -> tuple[Ints, float]:
    """Which output of the estimator is explained in each row, and whether it is turned around."""
    if task is Task.MULTICLASS:
        return order[place], 1.0
    if task is Task.REGRESSION or outputs == 1:
        # The one output of a binary model is of the class that the model has second.
        turned = task is Task.BINARY and order[1] == 0
        return np.zeros(len(place), dtype=np.int64), -1.0 if turned else 1.0
    return np.full(len(place), order[1]), 1.0


def _scale(task: Task, total: Floats, totals: Floats, outputs: Ints, said: Floats) -> Scale:
    """The scale on which contributions and base add up to what the model says. Raises CannotExplain for none."""
    from scipy.special import expit, softmax

    tried = {Scale.ANSWER: total}
    if task is Task.BINARY:
        tried[Scale.LOG_ODDS] = expit(total)
    elif task is Task.MULTICLASS:
        tried[Scale.RAW] = softmax(totals, axis=1)[np.arange(len(totals)), outputs]
    else:
        tried[Scale.LOGARITHM] = np.exp(total)
    allowed = _allowed(task, said)
    for scale, reached in tried.items():
        if (np.abs(reached - said) <= allowed).all():
            return scale
    missed = min(float(np.abs(reached - said).max()) for reached in tried.values())
    raise CannotExplain(f"what shap gives for its last estimator misses the answers by up to {missed:.3g}")


def _allowed(task: Task, said: Floats) -> Floats:
    """How far a sum may miss the answer: the libraries keep leaves and scores in 32 bits."""
    if task is Task.REGRESSION:
        return np.full(len(said), 1e-5 * float(np.abs(said).max(initial=0.0)))
    found: Floats = 1e-6 + 1e-3 * np.minimum(said, 1 - said)
    return found


def _half_widths(spread: Floats, orders: int) -> Floats:
    from scipy.stats import t

    found: Floats = float(t.ppf(0.975, orders - 1)) * spread / np.sqrt(orders - 1)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what shap and its colour maps warn about, and with NumPy's common random state as it was."""
    state = np.random.get_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)
