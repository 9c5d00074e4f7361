"""From a fitted estimator to ONNX bytes in our own form. Slow and memory-hungry: to be called in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pilothouse.data.signature import Signature, Task
from pilothouse.ops.runtimes.boosting import CATBOOST, register_boosting, runtime_of, to_onnx
from pilothouse.ops.runtimes.mended import mend_converters
from pilothouse.ops.runtimes.native import XGBoostFile
from pilothouse.ops.runtimes.onnx import ANSWER, MISSING, NUMBERS, TEXT, matrices
from pilothouse.ops.runtimes.onnx_file import TYPES, Input, OnnxModel, placed
from pilothouse.ops.scoring import class_order

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""The newest that the converters of all libraries can write."""
_SPLIT_COUNTS_FROM = 18
_GRAPH, _BOTH = "pilothouse", f"{ANSWER}_both"
MISSING_TEXTS = ("nan", "", "None")
"""What a missing category may be called in a converted encoder. The first is what scikit-learn's own becomes."""


def ways(model: Any, signature: Signature) -> Iterator[Callable[[], Any]]:
    """Ways to convert `model`, the likeliest first. Each gives an ONNX model, or raises whatever the converters raise."""
    if isinstance(model, OnnxModel):
        yield partial(_rewritten, model, signature)
        return
    if runtime_of(model) == CATBOOST and not hasattr(model, "steps"):
        yield partial(_exported, model, signature)
        return
    if isinstance(model, XGBoostFile):
        model = model.fitted
    texts, _ = matrices(signature.features)
    columns, matrix = partial(_columns, model, signature), partial(_matrix, model, signature)
    if texts:
        yield columns
    else:
        yield from (columns, matrix) if _picks_columns(model) else (matrix, columns)


def _picks_columns(model: Any) -> bool:
    """Whether the first that `model` does is to pick columns, which it may do by their names."""
    first = model.steps[0][1] if hasattr(model, "steps") else model
    return hasattr(first, "transformers")


def contents(made: Any, signature: Signature) -> Iterator[bytes]:
    """`made` as bytes, once for each text that a missing category may be called by."""
    from onnx import helper

    texts, _ = matrices(signature.features)
    for missing in MISSING_TEXTS if texts else MISSING_TEXTS[:1]:
        del made.metadata_props[:]
        helper.set_model_props(made, {MISSING: missing})
        yield made.SerializeToString()


def _columns(model: Any, signature: Signature) -> Any:
    """Converted with an input for each feature, as a transformer that picks columns by name needs them."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    texts, _ = matrices(signature.features)
    kinds = [StringTensorType([None, 1]) if n in texts else FloatTensorType([None, 1]) for n in signature.names]
    made = _converted(model, signature, list(zip(signature.names, kinds, strict=True)))
    # The converter takes some characters out of names, and keeps their order.
    inputs = dict(zip(signature.names, [given.name for given in made.graph.input], strict=True))
    return in_our_form(made, inputs, signature, class_order(model, signature))


def _matrix(model: Any, signature: Signature) -> Any:
    """Converted with one input for all features: they are numbers, and the model takes them by their place."""
    from skl2onnx.common.data_types import FloatTensorType

    made = _converted(model, signature, [(NUMBERS, FloatTensorType([None, len(signature.features)]))])
    return in_our_form(made, {}, signature, class_order(model, signature))


def _converted(model: Any, signature: Signature, inputs: list[tuple[str, Any]]) -> Any:
    from skl2onnx import convert_sklearn

    mend_converters()
    register_boosting()
    options = None if signature.task is Task.REGRESSION else {id(model): {"zipmap": False}}
    return convert_sklearn(model, _GRAPH, initial_types=inputs, target_opset=OPSETS, options=options)


def in_our_form(made: Any, inputs: Mapping[str, str], signature: Signature, order: Sequence[int]) -> Any:
    """The model `made` with the inputs and the output of our form. Its last output is the answer.

    inputs : its own by feature, each of shape (rows, 1); none where it takes the matrix NUMBERS already.
    order : where each of the target's classes stands among the chances that it gives.
    """
    from onnx import TensorProto, helper

    texts, numbers = matrices(signature.features)
    opset, graph = _opset(made), made.graph
    nodes, answer = list(graph.node), graph.output[-1].name
    del graph.node[:], graph.input[:], graph.output[:]
    for matrix, kind, names in ((TEXT, TensorProto.STRING, texts), (NUMBERS, TensorProto.FLOAT, numbers)):
        if names:
            graph.input.append(helper.make_tensor_value_info(matrix, kind, [None, len(names)]))
        if names and inputs:
            graph.node.append(_split(matrix, [inputs[name] for name in names], opset))
    graph.output.append(helper.make_tensor_value_info(ANSWER, TensorProto.FLOAT, None))
    graph.node.extend([*nodes, *_answering(graph, answer, order)])
    return made


def _split(matrix: str, columns: list[str], opset: int) -> Any:
    """The node that cuts a matrix into columns. How many, it must be told from its opset 18 on, and not before."""
    from onnx import helper

    counted: dict[str, Any] = {"num_outputs": len(columns)} if opset >= _SPLIT_COUNTS_FROM else {}
    return helper.make_node("Split", [matrix], columns, axis=1, **counted)


def _opset(made: Any) -> int:
    """The version of ONNX's own operators that `made` uses; it may have used none yet."""
    from onnx import helper

    found = [used.version for used in made.opset_import if used.domain in ("", "ai.onnx")]
    if not found:
        made.opset_import.append(helper.make_opsetid("", OPSETS[""]))
    return int(found[0]) if found else OPSETS[""]


def _exported(model: Any, signature: Signature) -> Any:
    """What CatBoost itself makes of a model that takes numbers alone."""
    return _rewritten(OnnxModel(to_onnx(model)), signature, class_order(model, signature))


def _rewritten(model: OnnxModel, signature: Signature, order: Sequence[int] | None = None) -> Any:
    """Somebody's ONNX file with the inputs and the output of our form.

    order : where each of the target's classes stands among its chances; None for where the file itself says.
    """
    from onnx import ModelProto, TensorProto, helper

    made, answer, layout = ModelProto.FromString(model.proto.SerializeToString()), model.layout.answer, model.layout
    graph, (texts, numbers) = made.graph, matrices(signature.features)
    _opset(made)
    before: list[Any] = []
    for given, places in placed(layout.inputs, [f.name in texts for f in signature.features]):
        names, matrix = (texts, TEXT) if given.text else (numbers, NUMBERS)
        before += _picked(graph, given, matrix, [names.index(signature.names[place]) for place in places])
    nodes = [*before, *graph.node]
    if layout.zipped:
        answer, nodes = _unzipped(nodes, answer)
    order = class_order(model, signature) if order is None else order
    if signature.task is Task.BINARY and list(order) == sorted(order):
        nodes, answer = [*nodes, *_both_chances(graph, answer)], _BOTH
    del graph.node[:], graph.input[:], graph.output[:]
    for name, kind, of in ((TEXT, TensorProto.STRING, texts), (NUMBERS, TensorProto.FLOAT, numbers)):
        if of:
            graph.input.append(helper.make_tensor_value_info(name, kind, [None, len(of)]))
    graph.output.append(helper.make_tensor_value_info(ANSWER, TensorProto.FLOAT, None))
    graph.node.extend([*nodes, *_answering(graph, answer, order)])
    return made


def _picked(graph: Any, given: Input, matrix: str, places: list[int]) -> list[Any]:
    """Nodes that make one of the file's inputs of columns of a matrix of ours."""
    from onnx import helper, numpy_helper

    picked, kind = f"pilothouse_{given.name}", helper.np_dtype_to_tensor_dtype(np.dtype(TYPES[given.type]))
    graph.initializer.append(numpy_helper.from_array(np.array(places, np.int64), f"{picked}_places"))
    graph.initializer.append(
        numpy_helper.from_array(np.array([-1] if given.flat else [-1, len(places)], np.int64), f"{picked}_shape")
    )
    nodes = [helper.make_node("Gather", [matrix, f"{picked}_places"], [picked], axis=1)]
    if not given.text:
        nodes.append(helper.make_node("Cast", [picked], [f"{picked}_cast"], to=kind))
    last = nodes[-1].output[0]
    return [*nodes, helper.make_node("Reshape", [last, f"{picked}_shape"], [given.name])]


def _unzipped(nodes: list[Any], answer: str) -> tuple[str, list[Any]]:
    """Without the node that makes maps of the chances: the chances' own name, and the other nodes."""
    zipping = next(node for node in nodes if answer in node.output)
    return zipping.input[0], [node for node in nodes if node is not zipping]


def _both_chances(graph: Any, answer: str) -> list[Any]:
    """Nodes that make both chances of the last one: there may be no other, and not even a second axis."""
    from onnx import TensorProto, helper, numpy_helper

    shape, last, one = f"{ANSWER}_shape", f"{ANSWER}_last", f"{ANSWER}_one"
    for name, value in ((shape, np.array([0, -1])), (last, np.array([-1])), (one, np.array(1, np.float32))):
        graph.initializer.append(numpy_helper.from_array(value, name))
    cast, table, chance, rest = (f"{ANSWER}_{name}" for name in ("chances", "table", "chance", "rest"))
    return [
        helper.make_node("Cast", [answer], [cast], to=TensorProto.FLOAT),
        helper.make_node("Reshape", [cast, shape], [table]),
        helper.make_node("Gather", [table, last], [chance], axis=1),
        helper.make_node("Sub", [one, chance], [rest]),
        helper.make_node("Concat", [rest, chance], [_BOTH], axis=1),
    ]


def _answering(graph: Any, answer: str, order: Sequence[int]) -> list[Any]:
    """Nodes that bring the model's last output into the output of our form."""
    from onnx import TensorProto, helper, numpy_helper

    cast, places = f"{ANSWER}_cast", f"{ANSWER}_order"
    first = helper.make_node("Cast", [answer], [cast], to=TensorProto.FLOAT)
    if list(order) == sorted(order):
        return [first, helper.make_node("Identity", [cast], [ANSWER])]
    graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), places))
    return [first, helper.make_node("Gather", [cast, places], [ANSWER], axis=1)]
