"""ONNX files as exporters write them: answered like the model they came from, or refused in plain words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.support.small import planted

from pilothouse.data.errors import BadData, UnfitModel
from pilothouse.data.signature import Signature, Task, infer_signature
from pilothouse.data.store import Store
from pilothouse.ops.references import without_gaps
from pilothouse.ops.runtimes import tasks
from pilothouse.ops.runtimes.agree import compare
from pilothouse.ops.runtimes.onnx import OnnxScorer
from pilothouse.ops.runtimes.onnx_file import OnnxModel
from pilothouse.ops.runtimes.taking import take
from pilothouse.ops.scoring import SklearnScorer, model_frame

ALL = ("amount", "months", "purpose")
NUMBERS = ("amount", "months")
TRAIN, ROWS = planted(800, seed=1), planted(300, seed=2)


def fitted(model: Any, signature: Signature) -> Any:
    return model.fit(model_frame(signature, TRAIN), TRAIN[signature.target.name].to_numpy())


def pipeline() -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["purpose"]), (StandardScaler(), [*NUMBERS])
    )
    return make_pipeline(columns, LogisticRegression())


def signature_of(columns: tuple[str, ...], target: str = "failed", task: Task = Task.BINARY) -> Signature:
    return infer_signature(TRAIN.select(*columns, target), target, task)


def by_column(model: Any, zipmap: bool) -> Any:
    kinds = [FloatTensorType([None, 1]), Int64TensorType([None, 1]), StringTensorType([None, 1])]
    return to_onnx(
        model, initial_types=list(zip(ALL, kinds, strict=True)), options={id(model): {"zipmap": zipmap}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )  # fmt: skip


def as_matrix(model: Any, zipmap: bool) -> Any:
    return to_onnx(model, np.zeros((1, 2), np.float32), options={id(model): {"zipmap": zipmap}})


def positive_alone(model: Any) -> Any:
    """As a neural network is exported: one matrix of doubles, one output of shape (rows, 1), and no names of classes."""
    weights = np.append(model.coef_[0], 0.0)[:2].reshape(2, 1)
    nodes = [
        helper.make_node("MatMul", ["rows", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["chance"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, 2])],
        [helper.make_tensor_value_info("chance", TensorProto.DOUBLE, [None, 1])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(model.intercept_, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def content_of(made: Any) -> bytes:
    content: bytes = made.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("model", "export", "columns"),
    [
        (pipeline, lambda model: by_column(model, zipmap=False), ALL),
        (pipeline, lambda model: by_column(model, zipmap=True), ALL),
        (LogisticRegression, lambda model: as_matrix(model, zipmap=False), NUMBERS),
        (LogisticRegression, lambda model: as_matrix(model, zipmap=True), NUMBERS),
        (LogisticRegression, positive_alone, NUMBERS),
    ],
    ids=["an input a feature", "with maps", "a matrix", "a matrix, with maps", "the positive class alone"],
)
def test_a_file_answers_like_the_model_it_came_from(
    tmp_path: Path, model: Callable[[], Any], export: Callable[[Any], Any], columns: tuple[str, ...]
) -> None:
    signature = signature_of(columns)
    source = fitted(model(), signature)
    wanted = SklearnScorer(source, signature, 0.5).score(ROWS)
    file = tmp_path / "m.onnx"
    file.write_bytes(content_of(export(source)))
    original = take(file, Task.BINARY)
    signature = without_gaps(signature, original.model)
    # A whole number cannot be missing.
    assert [f.name for f in signature.features if not f.nullable] == (["months"] if len(columns) == 3 else [])
    given = SklearnScorer(original.model, signature, 0.5).score(ROWS)
    assert compare(wanted, given).holds
    # And so does the form that answers requests, which takes two matrices.
    store, rows = Store(tmp_path), tmp_path / "rows.parquet"
    ROWS.write_parquet(rows)
    task = tasks.Original(artifact=original.put(store), signature=signature, threshold=0.5, rows_file=str(rows))
    told = tasks.convert(task, store, lambda _: None)
    assert (told.reason, told.rows, told.other_class) == ("", 300, 0)
    row = {name: [ROWS[name][0]] for name in columns}
    form = OnnxScorer(store.read(str(told.sha256)), signature, 0.5)
    assert form.score(row).score == pytest.approx(wanted[0:1].score, abs=1e-6)


def test_a_number_is_answered_too() -> None:
    signature = signature_of(NUMBERS[:1], "months", Task.REGRESSION)
    model = fitted(LinearRegression(), signature)
    found = OnnxModel(content_of(to_onnx(model, np.zeros((1, 1), np.float32))))
    assert found.predict(model_frame(signature, ROWS)) == pytest.approx(
        model.predict(model_frame(signature, ROWS)), rel=1e-4
    )


def numbers_only() -> Any:
    return as_matrix(fitted(LogisticRegression(), signature_of(NUMBERS)), zipmap=False)


def external(made: Any) -> None:
    made.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    tensor = made.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def hidden_external(made: Any) -> None:
    """In a constant of a branch, where a look at the initializers does not find it."""
    inner = helper.make_graph([], "inner", [], [])
    external(helper.make_model(inner))
    body = helper.make_model(inner)
    external(body)
    made.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=body.graph, else_branch=inner))


def custom(made: Any) -> None:
    made.opset_import.append(helper.make_opsetid("my.company", 1))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (external, "keeps numbers in other files, which are not read"),
        (hidden_external, "keeps numbers in other files, which are not read"),
        (custom, "needs operators of my.company"),
    ],
)
def test_what_leans_on_anything_outside_of_the_file_is_refused(spoil: Callable[[Any], None], says: str) -> None:
    made = numbers_only()
    spoil(made)
    with pytest.raises(UnfitModel, match=says):
        OnnxModel(content_of(made))


def test_a_file_that_gives_no_chances_or_takes_other_columns_is_refused(tmp_path: Path) -> None:
    signature = signature_of(NUMBERS)
    straight = content_of(to_onnx(fitted(LinearRegression(), signature), np.zeros((1, 2), np.float32)))
    with pytest.raises(UnfitModel, match="holds values outside of 0 to 1, so no chances"):
        SklearnScorer(OnnxModel(straight), signature, 0.5).score(ROWS.with_columns(amount=pl.col("amount") * 1e3))
    with pytest.raises(UnfitModel, match="the reference has 1 columns of text and 2 of numbers"):
        SklearnScorer(OnnxModel(content_of(numbers_only())), signature_of(ALL), 0.5).score(ROWS)
    with pytest.raises(UnfitModel, match="it is no ONNX file"):
        OnnxModel(b"no such thing")


def test_classes_that_a_file_only_numbers_have_to_be_told(tmp_path: Path) -> None:
    from tests.support.small import make_small

    file, house = tmp_path / "m.onnx", make_small(tmp_path / "w")
    file.write_bytes(content_of(numbers_only()))
    worded = ROWS.with_columns(failed=ROWS["failed"].replace_strict({0: "no", 1: "yes"})).drop("purpose")
    with pytest.raises(BadData, match=r"say what they are in its order \(class_order=\[\.\.\.\]\)"):
        house.register("loans-onnx", file, reference=worded, target="failed")
    version = house.register("loans-onnx", file, reference=worded, target="failed", class_order=["no", "yes"])
    assert (version.runtime, version.signature.target.classes) == ("onnx", ("no", "yes"))
    wanted = OnnxModel(file.read_bytes()).predict_proba(model_frame(version.signature, worded))[:, 1]
    assert house["loans-onnx"].predict(worded)["score"].to_list() == pytest.approx(wanted.tolist())
    house.close()
