"""From a fitted estimator to ONNX bytes in our own form. Slow and memory-hungry: to be called in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pilothouse.data.signature import Signature, Task
from pilothouse.ops.runtimes.mended import mend_converters
from pilothouse.ops.runtimes.onnx import ANSWER, MISSING, NUMBERS, TEXT, matrices
from pilothouse.ops.scoring import class_order

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""The newest that the converters of all libraries can write."""
_SPLIT_COUNTS_FROM = 18
_GRAPH = "pilothouse"
MISSING_TEXTS = ("nan", "", "None")
"""What a missing category may be called in a converted encoder. The first is what scikit-learn's own becomes."""


def ways(model: Any, signature: Signature) -> Iterator[Callable[[], Any]]:
    """Ways to convert `model`, the likeliest first. Each gives an ONNX model, or raises whatever the converters raise."""
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

    from pilothouse.ops.runtimes.boosting import register_boosting

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


def _answering(graph: Any, answer: str, order: Sequence[int]) -> list[Any]:
    """Nodes that bring the model's last output into the output of our form."""
    from onnx import TensorProto, helper, numpy_helper

    cast, places = f"{ANSWER}_cast", f"{ANSWER}_order"
    first = helper.make_node("Cast", [answer], [cast], to=TensorProto.FLOAT)
    if list(order) == sorted(order):
        return [first, helper.make_node("Identity", [cast], [ANSWER])]
    graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), places))
    return [first, helper.make_node("Gather", [cast, places], [ANSWER], axis=1)]
