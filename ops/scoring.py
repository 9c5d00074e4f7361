"""From feature columns to predictions: the same code for the service, the pipeline and the notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.errors import MissingColumn
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.signature import Feature, Kind, Signature, Task, Value
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.store import Store
from pilothouse.ops.runtimes.originals import Artifact

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Sequence[Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a model said, row by row.

    prediction : classes as the target column has them, or numbers for a regression.
    score : probability of the positive class; None unless the task is binary.
    scores : probability of each class in the target's order; None unless the task is multiclass.
    """

    prediction: list[Value]
    score: list[float] | None = None
    scores: list[list[float]] | None = None

    def columns(self) -> list[pl.Series]:
        """The same as columns called as the log calls them."""
        found = [pl.Series("prediction", self.prediction)]
        if self.score is not None:
            found.append(pl.Series("score", self.score, pl.Float64))
        if self.scores is not None:
            found.append(pl.Series(CLASS_SCORES, self.scores, pl.List(pl.Float64)))
        return found

    def __getitem__(self, rows: slice) -> Scored:
        return Scored(
            prediction=self.prediction[rows],
            score=None if self.score is None else self.score[rows],
            scores=None if self.scores is None else self.scores[rows],
        )


class Scorer(Protocol):
    """Something that scores rows given as columns."""

    def score(self, columns: Columns | pl.DataFrame) -> Scored: ...


def model_frame(signature: Signature, columns: Columns | pl.DataFrame) -> pd.DataFrame:
    """The frame that a model is fitted on and scored with: the features in the signature's order.

    Numbers are float64 and missing ones NaN; categories are objects and missing ones NaN; booleans are bool, or
    float64 when some are missing. Columns that are not features are left out. Raises MissingColumn.
    """
    import pandas as pd

    if isinstance(columns, pl.DataFrame):
        columns = {f.name: _values(f, columns[f.name]) for f in signature.features if f.name in columns.columns}
    for name in signature.names:
        if name not in columns:
            raise MissingColumn("the frame", name, columns)
    if all(f.numeric for f in signature.features):
        # One block instead of one a feature: half the time for a single row.
        numbers = np.array([columns[name] for name in signature.names], dtype=np.float64)
        return pd.DataFrame(numbers.T, columns=list(signature.names), copy=False)
    return pd.DataFrame({f.name: _series(f, columns[f.name]) for f in signature.features}, copy=False)


def _values(feature: Feature, column: pl.Series) -> Sequence[Value]:
    if feature.numeric and column.dtype.is_numeric():
        # A number at a time through Python costs a hundred times as much.
        return cast("Sequence[Value]", column.cast(pl.Float64).to_numpy())
    return column.to_list()


def _series(feature: Feature, values: Sequence[Value]) -> Any:
    import pandas as pd

    if feature.kind is Kind.CATEGORY:
        # Pandas would make its own string type of these, which is not what models were fitted on.
        return pd.Series([np.nan if v is None else v for v in values], dtype=object)
    if feature.kind is Kind.BOOLEAN and None not in values:
        return np.asarray(values, dtype=bool)
    return np.asarray(values, dtype=np.float64)


def fitted_names(model: Any) -> list[str] | None:
    """Names of the features that `model` was fitted with, in their order; None where it does not remember any."""
    names = getattr(model, "feature_names_in_", None)
    if names is None and type(model).__module__.startswith("catboost."):
        names = model.feature_names_
        # What it calls columns that had no names.
        names = None if names == [str(place) for place in range(len(names))] else names
    return None if names is None else [str(name) for name in names]


class SklearnScorer:
    """Scores with a fitted scikit-learn estimator or pipeline, or with what has its `predict` and `predict_proba`."""

    def __init__(self, model: Any, signature: Signature, threshold: float) -> None:
        self.model, self._signature, self._threshold = model, signature, threshold
        self._named = fitted_names(model) is not None or getattr(model, "takes_frames", False)
        self._order = class_order(model, signature)

    def score(self, columns: Columns | pl.DataFrame) -> Scored:
        """Predictions for the rows in `columns`, in their order. Raises MissingColumn."""
        frame = model_frame(self._signature, columns)
        given = frame if self._named else frame.to_numpy()
        if self._signature.task is Task.REGRESSION:
            return Scored(prediction=np.asarray(self.model.predict(given), dtype=np.float64).tolist())
        chances = _table(self.model.predict_proba(given), len(frame))[:, self._order]
        classes = self._signature.target.classes
        if self._signature.task is Task.BINARY:
            score = chances[:, 1]
            return Scored(prediction=[classes[int(s >= self._threshold)] for s in score], score=score.tolist())
        best = chances.argmax(axis=1).tolist()
        return Scored(prediction=[classes[i] for i in best], scores=chances.tolist())


def _table(chances: Any, rows: int) -> NDArray[np.float64]:
    """Chances of shape (rows, classes), also where the model gives that of the positive class alone."""
    found = np.asarray(chances, dtype=np.float64).reshape(rows, -1)
    return np.hstack([1 - found, found]) if found.shape[1] == 1 else found


def class_order(model: Any, signature: Signature) -> list[int]:
    """Where each of the target's classes stands in the model's own order; nothing for a regression.

    A model that names no classes, or only numbers them, has them in the target's order.
    """
    classes = signature.target.classes
    own = np.asarray(getattr(model, "classes_", ())).tolist()
    if signature.task is Task.REGRESSION or not own or numbered(own, classes):
        return [*range(len(classes))]
    return [own.index(value) for value in classes]


def numbered(own: Sequence[Value], classes: Sequence[Value]) -> bool:
    """Whether a model only numbers the classes, and does not know what they are called."""
    return [*own] == [*range(len(classes))] and not {*own} & {*classes}


def load_scorer(store: Store, version: VersionRow) -> Scorer:
    """What answers for `version`: its ONNX form where that agreed with the original, else the original.

    The file is read once, hashed, and loaded from the very bytes that were hashed.
    Raises BadArtifact, UntrustedArtifact, or NotServedHere for a version without an artifact.
    """
    if version.onnx_sha256 is None:
        return load_original(store, version)
    from pilothouse.ops.runtimes.onnx import OnnxScorer

    content = store.read(version.onnx_sha256)
    return OnnxScorer(content, version.signature, version.threshold, version.onnx_sha256)


def load_original(store: Store, version: VersionRow) -> SklearnScorer:
    """The scorer of the artifact itself, whatever answers requests. Raises what `load_scorer` raises."""
    return SklearnScorer(Artifact.of(version).load(store), version.signature, version.threshold)


def trust_checked_input() -> None:
    """Switch off, in this thread, scikit-learn's own checks of inputs that have been checked already."""
    import sklearn

    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
