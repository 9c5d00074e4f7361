"""Artifacts and scoring: what may be kept, what is refused, and that scores survive the way there and back."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from pilothouse.data.errors import BadArtifact, MissingColumn, UnportableModel, UntrustedArtifact
from pilothouse.data.signature import Task, infer_signature
from pilothouse.ops import artifacts
from pilothouse.ops.scoring import SklearnScorer, model_frame

N = 300
_rng = np.random.default_rng(3)
FRAME = pl.DataFrame(
    {
        "carrier": _rng.choice(["UA", "AA"], N),
        "temp": _rng.normal(60, 10, N),
        "wet": _rng.random(N) > 0.5,
        "late": _rng.choice(["no", "yes"], N),
    }
)
SIGNATURE = infer_signature(FRAME, "late", Task.BINARY)


class Opinion(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator that skops has never seen."""

    def fit(self, _x: Any, y: Any) -> Opinion:
        self.classes_ = np.unique(y)
        return self


def pipeline(model: Any) -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
    return make_pipeline(columns, model).fit(model_frame(SIGNATURE, FRAME), FRAME["late"].to_numpy())


def test_scores_survive_the_way_there_and_back() -> None:
    model = pipeline(LogisticRegression(max_iter=1000))
    back = SklearnScorer(artifacts.load(artifacts.dump(model)), SIGNATURE, 0.5).score(FRAME)
    assert back.score == model.predict_proba(model_frame(SIGNATURE, FRAME))[:, 1].tolist()
    assert back.prediction == model.predict(model_frame(SIGNATURE, FRAME)).tolist()


def test_the_threshold_decides_the_class() -> None:
    model = pipeline(LogisticRegression(max_iter=1000))
    assert set(SklearnScorer(model, SIGNATURE, 0.0).score(FRAME).prediction) == {"yes"}
    assert set(SklearnScorer(model, SIGNATURE, 1.0).score(FRAME).prediction) == {"no"}


def test_missing_values_reach_the_model_as_missing() -> None:
    model = pipeline(HistGradientBoostingClassifier(max_iter=5))
    row = {"carrier": ["UA"], "temp": [None], "wet": [True]}
    gap = SklearnScorer(model, SIGNATURE, 0.5).score(row).score
    assert gap == model.predict_proba(model_frame(SIGNATURE, row))[:, 1].tolist()
    assert model_frame(SIGNATURE, {"carrier": [None], "temp": [None], "wet": [None]}).isna().all(axis=None)


def test_a_regression_has_numbers_and_no_score() -> None:
    frame = FRAME.select("temp", delay=pl.col("temp") * 2.0)
    signature = infer_signature(frame, "delay", Task.REGRESSION)
    model = LinearRegression().fit(model_frame(signature, frame), frame["delay"].to_numpy())
    scored = SklearnScorer(model, signature, 0.5).score({"temp": [10.0]})
    assert scored.prediction == pytest.approx([20.0])
    assert scored.score is None


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MissingColumn, match="no column 'temp'"):
        model_frame(SIGNATURE, {"carrier": ["UA"], "wet": [True]})


def test_unknown_types_are_listed_and_pass_once_named() -> None:
    model = Opinion().fit(None, ["no", "yes"])
    with pytest.raises(UntrustedArtifact) as caught:
        artifacts.dump(model)
    (name,) = caught.value.types
    assert name.endswith("Opinion")
    content = artifacts.dump(model, [name])
    with pytest.raises(UntrustedArtifact):
        artifacts.load(content)


def test_a_lambda_is_refused_in_plain_words() -> None:
    with pytest.raises(UnportableModel, match="Move it into a module"):
        artifacts.dump(FunctionTransformer(lambda x: x))


@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04 torn"])
def test_what_is_not_skops_is_never_loaded(content: bytes) -> None:
    with pytest.raises(BadArtifact, match="not a skops file"):
        artifacts.load(content)


def test_a_zip_without_a_schema_is_not_skops() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(BadArtifact, match="not a skops file"):
        artifacts.load(buffer.getvalue())
