"""Contributions by shap: whatever the model is, they add up to what it says, on a scale that is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pilothouse.data.errors import BadData, CannotExplain, Unavailable
from pilothouse.data.measures.contributions import measure_contributions, ranks_of
from pilothouse.data.measures.shapley import exact_shapley
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.ops.measuring import by_shap
from pilothouse.ops.measuring.by_shap import Attributed, Scale, ShapExplainer
from pilothouse.ops.measuring.explainer import Explainer, class_of, level
from pilothouse.ops.measuring.inside import take_apart
from pilothouse.ops.scoring import SklearnScorer, model_frame

FEATURES = (
    Feature(name="size", kind=Kind.NUMBER),
    Feature(name="age", kind=Kind.NUMBER),
    Feature(name="kind", kind=Kind.CATEGORY),
)
NUMBERS = ["size", "age"]
CLASSES = {Task.BINARY: (0, 1), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}


def world(rows: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    size, age, kind = rng.normal(size=rows), rng.normal(size=rows), rng.choice(["x", "y", "ö"], rows)
    return pl.DataFrame({"size": size, "age": age, "kind": kind})


def truth(rows: pl.DataFrame) -> np.ndarray[Any, Any]:
    size, age = rows["size"].to_numpy(), rows["age"].to_numpy()
    noise = np.random.default_rng(9).normal(size=rows.height)
    return np.asarray(size * age + 2 * size + (rows["kind"] == "ö").to_numpy() + noise)


def signature_of(task: Task, texts: bool, positive: int = 1) -> Signature:
    features = FEATURES if texts else FEATURES[:2]
    kind = Kind.NUMBER if task is Task.REGRESSION else Kind.CATEGORY if task is Task.MULTICLASS else Kind.INTEGER
    classes = CLASSES[task] if positive else (1, 0)
    return Signature(features=features, target=Target(name="late", kind=kind, classes=classes), task=task)


def explainer_of(
    model: Any, task: Task, *, texts: bool = False, positive: int = 1, of_class: Any = None
) -> ShapExplainer:
    """Of `model`, fitted here on a world whose truth is known."""
    signature, rows = signature_of(task, texts, positive), world(600)
    value = truth(rows)
    told = {
        Task.REGRESSION: value,
        Task.BINARY: (value > 0).astype(int),
        Task.MULTICLASS: np.array(CLASSES[Task.MULTICLASS])[np.digitize(value, [-1, 1])],
    }[task]
    frame = model_frame(signature, rows)
    scorer = SklearnScorer(model.fit(frame, told), signature, 0.5)
    background = world(30, seed=1).select(signature.names)
    explainer = Explainer(scorer=scorer, signature=signature, background=background, of_class=of_class)
    return ShapExplainer(explainer=explainer, original=scorer)


def mixed_columns() -> Any:
    return make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (StandardScaler(), NUMBERS))


def adds_up(found: Attributed, explainer: ShapExplainer, rows: pl.DataFrame) -> None:
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.total, atol=1e-9)
    scored = explainer.explainer.scorer.score(rows)
    said = level(scored, explainer.explainer.places(scored))
    reached = {
        Scale.ANSWER: found.total,
        Scale.LOG_ODDS: 1 / (1 + np.exp(-found.total)),
        Scale.LOGARITHM: np.exp(found.total),
    }
    if found.scale in reached:
        np.testing.assert_allclose(reached[found.scale], said, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "task", "texts", "scale", "by"),
    [
        (HistGradientBoostingClassifier(max_iter=15), Task.BINARY, False, Scale.LOG_ODDS, "TreeExplainer"),
        (GradientBoostingClassifier(n_estimators=15), Task.BINARY, False, Scale.LOG_ODDS, "TreeExplainer"),
        (RandomForestClassifier(n_estimators=10), Task.BINARY, False, Scale.ANSWER, "TreeExplainer"),
        (RandomForestClassifier(n_estimators=10), Task.MULTICLASS, False, Scale.ANSWER, "TreeExplainer"),
        (HistGradientBoostingClassifier(max_iter=5), Task.MULTICLASS, False, Scale.RAW, "TreeExplainer"),
        (HistGradientBoostingRegressor(max_iter=15), Task.REGRESSION, False, Scale.ANSWER, "TreeExplainer"),
        (make_pipeline(mixed_columns(), LogisticRegression()), Task.BINARY, True, Scale.LOG_ODDS, "LinearExplainer"),
        (make_pipeline(mixed_columns(), LogisticRegression()), Task.MULTICLASS, True, Scale.RAW, "LinearExplainer"),
        (make_pipeline(mixed_columns(), LinearRegression()), Task.REGRESSION, True, Scale.ANSWER, "LinearExplainer"),
        (make_pipeline(PCA(), LinearRegression()), Task.REGRESSION, False, Scale.ANSWER, "makes columns of several"),
        (KNeighborsClassifier(9), Task.MULTICLASS, False, Scale.ANSWER, "no way of its own for KNeighborsClassifier"),
        (GradientBoostingClassifier(n_estimators=3), Task.MULTICLASS, False, Scale.ANSWER, "shap refuses this"),
    ],
    ids=lambda each: each.value if isinstance(each, Task | Scale) else type(each).__name__,
)  # fmt: skip
def test_every_kind_of_model_adds_up(model: Any, task: Task, texts: bool, scale: Scale, by: str) -> None:
    explainer, rows = explainer_of(model, task, texts=texts), world(6, seed=2)
    found = explainer.attribute(rows)
    assert found.scale is scale
    assert by in found.method
    assert found.exact is ("Permutation" not in found.method)
    adds_up(found, explainer, rows)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_boosting_libraries(library: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = pytest.importorskip(library)
    quiet: dict[str, Any] = {"lightgbm": {"verbose": -1}, "xgboost": {}, "catboost": {"verbose": 0}}[library]
    kind = {"lightgbm": "LGBMClassifier", "xgboost": "XGBClassifier", "catboost": "CatBoostClassifier"}[library]
    explainer, rows = explainer_of(getattr(made, kind)(n_estimators=10, **quiet), Task.BINARY), world(6, seed=2)
    found = explainer.attribute(rows)
    assert found.scale is (Scale.ANSWER if library == "catboost" else Scale.LOG_ODDS)
    adds_up(found, explainer, rows)


def test_the_other_class_is_positive() -> None:
    """A model whose second class is the negative one: what speaks for the one speaks against the other."""
    usual = explainer_of(LogisticRegression(), Task.BINARY).attribute(world(4, seed=2))
    turned = explainer_of(LogisticRegression(), Task.BINARY, positive=0)
    found = turned.attribute(world(4, seed=2))
    np.testing.assert_allclose(found.values, -usual.values)
    adds_up(found, turned, world(4, seed=2))


def test_values_on_thresholds_go_their_way() -> None:
    """Histogram boosting splits at values of the rows themselves; shap keeps thresholds in 32 bits."""
    explainer, rows = explainer_of(HistGradientBoostingClassifier(max_iter=30), Task.BINARY), world(600)[:3]
    model, behind = explainer.original.model, explainer.explainer.background.to_numpy()
    found = explainer.attribute(rows)
    for row, values in zip(rows.select(NUMBERS).to_numpy(), found.values, strict=True):

        def game(masks: Any, places: Any, row: Any = row) -> Any:
            mixed = pl.DataFrame(np.where(masks, row, behind[places]), schema=NUMBERS).to_pandas()
            return model.decision_function(mixed)

        np.testing.assert_allclose(values, exact_shapley(game, 2, len(behind)).values, atol=1e-6)


def test_permutations_are_ours_where_pairs_are_all() -> None:
    """An order with its reverse says all of two features: shap's and our own values of the answer are the same."""
    explainer, row = explainer_of(KNeighborsClassifier(9), Task.MULTICLASS, of_class="b"), world(1, seed=5)
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    found, ours = explainer.attribute(row), explainer.explainer.shares(row.select(NUMBERS))
    np.testing.assert_allclose(found.values[0], ours.values, atol=1e-12)
    assert found.shares(30).base == pytest.approx(ours.base)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]


def test_missing_and_never_seen_values() -> None:
    odd = pl.DataFrame({"size": [None, 1e300], "age": [0.0, -1e300], "kind": [None, "never"]})
    trees = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]),
                                remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=10),
    )  # fmt: skip
    explainer = explainer_of(trees, Task.BINARY, texts=True)
    found = explainer.attribute(odd)
    assert "TreeExplainer" in found.method
    adds_up(found, explainer, odd)


def test_columns_find_their_features() -> None:
    explainer = explainer_of(make_pipeline(mixed_columns(), LogisticRegression()), Task.BINARY, texts=True)
    inside = take_apart(explainer.original, explainer.explainer.signature, world(80, seed=3))
    assert inside.owners.tolist() == [2, 2, 2, 0, 1]
    values = np.arange(10.0).reshape(2, 5, 1)
    assert inside.by_feature(values, 3)[:, :, 0].tolist() == [[3, 4, 3], [8, 9, 18]]


def test_a_model_that_answers_no_number() -> None:
    explainer = explainer_of(KNeighborsClassifier(9), Task.BINARY)
    asked = explainer.explainer

    class Silent:
        def score(self, columns: Any) -> Any:
            scored = asked.scorer.score(columns)
            return type(scored)(prediction=scored.prediction, score=[float("nan")] * len(scored.prediction))

    silent = Explainer(scorer=Silent(), signature=asked.signature, background=asked.background)
    with pytest.raises(CannotExplain, match="no number"):
        ShapExplainer(explainer=silent, original=explainer.original).attribute(world(1))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_shap, "find_spec", lambda _name: None)
    with pytest.raises(Unavailable, match=r"pip install 'pilothouse\[explain\]'"):
        explainer_of(LogisticRegression(), Task.BINARY).attribute(world(2))


def test_a_class_is_chosen_by_its_name() -> None:
    several = signature_of(Task.MULTICLASS, texts=False)
    assert class_of(several, "b") == "b"
    assert class_of(several, None) is None
    with pytest.raises(BadData, match=r"late has no class 'd'. It has: a, b, c."):
        class_of(several, "d")
    with pytest.raises(BadData, match="several classes alone"):
        class_of(signature_of(Task.BINARY, texts=False), 1)


def test_mean_sizes_and_ranks() -> None:
    values = np.array([[1.0, 0.0], [-3.0, 0.0], [2.0, 0.0]])
    found = measure_contributions(["a", "b"], values, [[None] * 3, [0.5, None, 0.1]])
    assert [each.name for each in found] == ["a", "b"]
    assert found[0].size.value == 2.0
    assert (found[1].size.value, found[1].size.low, found[1].size.high) == (0.0, 0.0, 0.0)
    assert found[0].parts == (1.0, -3.0, 2.0)
    assert ranks_of(pl.Series([2.0, 2.0, float("nan"), 9.0])) == [
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
        None,
        pytest.approx(5 / 6),
    ]
    assert ranks_of(pl.Series(["x", "y"])) == [None, None]
    assert ranks_of(pl.Series([None, None], dtype=pl.Float64)) == [None, None]


def test_a_step_that_fails_on_mixed_rows() -> None:
    """Own steps fail in ways of their own: the whole pipeline is asked instead, and the answer says why."""
    from sklearn.preprocessing import FunctionTransformer

    def checked(frame: Any) -> Any:
        if len(frame) == 31:
            raise RuntimeError("31 rows are one too many")
        return frame

    pipeline = make_pipeline(FunctionTransformer(checked), LinearRegression())
    explainer, row = explainer_of(pipeline, Task.REGRESSION), world(1, seed=2)
    found = explainer.attribute(row)
    assert "since shap refuses this LinearRegression (RuntimeError)" in found.method
    adds_up(found, explainer, row)


def test_one_value_and_one_row_to_compare_with() -> None:
    explainer = explainer_of(HistGradientBoostingRegressor(max_iter=10), Task.REGRESSION)
    alone = ShapExplainer(
        explainer=Explainer(
            scorer=explainer.original,
            signature=explainer.explainer.signature,
            background=explainer.explainer.background[:1],
        ),
        original=explainer.original,
    )
    found = alone.attribute(alone.explainer.background)
    np.testing.assert_allclose(found.values, 0.0, atol=1e-9)
    adds_up(found, alone, alone.explainer.background)


def test_the_order_of_rows_does_not_matter() -> None:
    explainer, rows = explainer_of(RandomForestClassifier(n_estimators=10), Task.BINARY), world(20, seed=4)
    order = np.random.default_rng(0).permutation(20)
    turned = explainer.attribute(rows[order])
    np.testing.assert_allclose(turned.values, explainer.attribute(rows).values[order], atol=1e-9)
