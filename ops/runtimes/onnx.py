"""Scoring with an ONNX file in the form that `convert` gives it.

The form has up to two inputs, a matrix of texts and one of 32-bit numbers, each with its features in the signature's
order: handing over one value a feature took twice as long. Its one output holds, row by row, the chances of the
target's classes in the target's order, or a regression's prediction. `MISSING` in its metadata is the text that stands
for a missing category.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.errors import BadArtifact, MissingColumn
from pilothouse.data.signature import Feature, Kind, Signature, Task, Value
from pilothouse.ops.scoring import Columns, Scored

TEXT, NUMBERS, ANSWER = "pilothouse_text", "pilothouse_numbers", "pilothouse_answer"
MISSING = "pilothouse.missing"
TIE = 5e-7
"""By how much 32-bit chances may lie below an even vote: a forest's 0.5 comes out as 0.49999997."""
_FATAL = 4


class OnnxScorer:
    """Scores with an ONNX file; `score` may be called from several threads at once."""

    def __init__(self, content: bytes, signature: Signature, threshold: float, sha256: str = "") -> None:
        """Raises BadArtifact when the bytes are no ONNX file that this machine can run."""
        self._session = open_session(content, sha256)
        self._missing = self._session.get_modelmeta().custom_metadata_map.get(MISSING, "")
        self._texts, self._numbers = matrices(signature.features)
        self._taken = {given.name for given in self._session.get_inputs()}
        self._task, self._classes = signature.task, signature.target.classes
        self._cut = threshold - TIE

    def score(self, columns: Columns | pl.DataFrame) -> Scored:
        """Predictions for the rows in `columns`, in their order. Raises MissingColumn."""
        feed = self._from_frame(columns) if isinstance(columns, pl.DataFrame) else self._from_columns(columns)
        answers: NDArray[np.float32] = self._session.run([ANSWER], feed)[0]
        if self._task is Task.REGRESSION:
            return Scored(prediction=[*answers.reshape(-1).astype(np.float64).tolist()])
        if self._task is Task.BINARY:
            negative, positive = self._classes
            score: list[float] = answers[:, 1].tolist()
            cut = self._cut
            return Scored(prediction=[positive if chance >= cut else negative for chance in score], score=score)
        best = (answers >= answers.max(axis=1, keepdims=True) - TIE).argmax(axis=1).tolist()
        return Scored(prediction=[self._classes[i] for i in best], scores=answers.astype(np.float64).tolist())

    def _from_columns(self, columns: Columns) -> dict[str, Any]:
        try:
            texts = [self._told(columns[name]) for name in self._texts]
            numbers = [columns[name] for name in self._numbers]
        except KeyError as error:
            raise MissingColumn("the frame", str(error.args[0]), columns) from None
        return self._feed(np.array(texts, dtype=object).T, np.array(numbers, dtype=np.float32).T)

    def _told(self, values: Sequence[Value]) -> Sequence[Value]:
        if None not in values:
            return values
        return [self._missing if value is None else value for value in values]

    def _from_frame(self, frame: pl.DataFrame) -> dict[str, Any]:
        for name in (*self._texts, *self._numbers):
            if name not in frame.columns:
                raise MissingColumn("the frame", name, frame.columns)
        texts = frame.select(pl.col(self._texts).cast(pl.String).fill_null(self._missing))
        # By way of 64 bits, as a number that comes in a request.
        numbers = frame.select(pl.col(self._numbers).cast(pl.Float64).cast(pl.Float32))
        return self._feed(texts.to_numpy().astype(object), numbers.to_numpy())

    def _feed(self, texts: NDArray[Any], numbers: NDArray[np.float32]) -> dict[str, Any]:
        feed = {TEXT: np.ascontiguousarray(texts), NUMBERS: np.ascontiguousarray(numbers)}
        return {name: feed[name] for name in self._taken}


def open_session(content: bytes, sha256: str = "") -> Any:
    """A session of onnxruntime on an ONNX file, of one thread. Raises BadArtifact."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread a worker: more would fight for the same processors, and spin while they wait.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It writes errors to stderr that are raised as well, with values of rows in them.
    options.log_severity_level = _FATAL
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BadArtifact(sha256, f"it is no ONNX file that can be run here ({error})") from error


def matrices(features: Sequence[Feature]) -> tuple[list[str], list[str]]:
    """Names of the features that stand in the matrix of texts, and in that of numbers."""
    texts = [f.name for f in features if f.kind is Kind.CATEGORY]
    return texts, [f.name for f in features if f.kind is not Kind.CATEGORY]
