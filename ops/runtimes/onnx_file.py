"""An ONNX file as somebody's exporter wrote it: what it takes, what it gives, and the same in our own form.

Its inputs take one value a feature each, or matrices of several. One output answers: the chances of the classes, or
the chance of the positive one, or a number. Nothing outside the file is read, and no operator is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pilothouse.data.errors import BadData, UnfitModel
from pilothouse.data.signature import Value
from pilothouse.ops.runtimes.onnx import MISSING, open_session

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 512 * 2**20
_NAME = "The ONNX file"
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators onnxruntime brings with it."""
_CHANCES = ("probabilities", "output_probability", "probability")
"""What exporters call the output with the chances of the classes."""
_ZIP_MAP, _EXTERNAL = "ZipMap", 1
TEXT = "tensor(string)"
TYPES: dict[str, Any] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(bool)": np.bool_, TEXT: np.object_,
}  # fmt: skip
"""Types that an input may have."""
_GAPLESS = frozenset({"tensor(int64)", "tensor(int32)", "tensor(bool)"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """width : features that it takes; None for all of its kind. flat : whether they come without a second axis."""

    name: str
    type: str
    width: int | None
    flat: bool

    @property
    def text(self) -> bool:
        return self.type == TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """answer : the output that answers. zipped : it is a map from class to chance for each row.

    classes : those that the file names, in the order of its chances; none where it names none.
    """

    inputs: tuple[Input, ...]
    answer: str
    zipped: bool
    classes: tuple[Value, ...] = field(default=())

    @property
    def by_name(self) -> bool:
        """Whether each input takes one feature, so that their names are the features'."""
        return all(given.width == 1 for given in self.inputs)


class OnnxModel:
    """The file as a model: `predict` and `predict_proba` of frames, `classes_` and `feature_names_in_` where it tells."""

    takes_frames = True

    def __init__(self, content: bytes) -> None:
        """Raises UnfitModel for a file that leans on others or cannot be asked, BadArtifact for one that does not run."""
        self.proto = _read(content)
        self._session = open_session(content)
        self.layout = _layout(self._session, self.proto)
        self._missing = self._session.get_modelmeta().custom_metadata_map.get(MISSING, "")
        if self.layout.classes:
            self.classes_ = np.array(self.layout.classes)
        if self.layout.by_name:
            self.feature_names_in_ = np.array([given.name for given in self.layout.inputs], dtype=object)

    def predict(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Numbers of shape (rows,)."""
        return np.asarray(self._answer(rows), dtype=np.float64).reshape(len(rows))

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Chances of shape (rows, classes). Raises UnfitModel when the output holds no such thing."""
        found = self._answer(rows)
        if self.layout.zipped:
            found = [[chance for _, chance in sorted(row.items())] for row in found]
        chances = np.asarray(found, dtype=np.float64).reshape(len(rows), -1)
        if chances.shape[1] == 1:
            chances = np.hstack([1 - chances, chances])
        if np.nanmin(chances, initial=0.0) < -1e-6 or np.nanmax(chances, initial=1.0) > 1 + 1e-6:
            raise UnfitModel(_NAME, f"its output {self.layout.answer} holds values outside of 0 to 1, so no chances")
        return chances

    def gapless(self, texts: Sequence[bool]) -> set[int]:
        """Places of the features that go to inputs of whole numbers or truth values, which know no missing ones.

        texts : whether each feature is a category.
        """
        return {p for given, places in placed(self.layout.inputs, texts) if given.type in _GAPLESS for p in places}

    def _answer(self, rows: pd.DataFrame) -> Any:
        places = placed(self.layout.inputs, [kind == np.object_ for kind in rows.dtypes])
        feed = {given.name: self._fed(given, rows.iloc[:, place]) for given, place in places}
        return self._session.run([self.layout.answer], feed)[0]

    def _fed(self, given: Input, columns: pd.DataFrame) -> NDArray[Any]:
        values = columns.to_numpy()
        if given.text:
            values = np.where(columns.isna().to_numpy(), self._missing, values.astype(object))
        elif given.type in _GAPLESS and columns.isna().to_numpy().any():
            raise BadData(
                f"A value is missing for the input {given.name}, which takes {given.type} and knows no such thing."
            )
        made = np.ascontiguousarray(values.astype(TYPES[given.type]))
        return made.reshape(-1) if given.flat else made


def placed(inputs: Sequence[Input], texts: Sequence[bool]) -> Iterator[tuple[Input, list[int]]]:
    """Which features each input takes, by their places: categories go to inputs of texts, all others to those of numbers.

    texts : whether each feature is a category. Raises UnfitModel when they do not come out even.
    """
    waiting = {kind: [place for place, is_text in enumerate(texts) if is_text is kind] for kind in (True, False)}
    wanted = ", ".join(f"{given.name} ({given.type}, {given.width or 'any number'})" for given in inputs)
    uneven = UnfitModel(
        _NAME,
        f"its inputs are {wanted}, and the reference has {sum(texts)} columns of text and "
        f"{len(texts) - sum(texts)} of numbers as features. Name the features in the order of the inputs",
    )
    for given in inputs:
        places = waiting[given.text]
        width = len(places) if given.width is None else given.width
        if not width or len(places) < width:
            raise uneven
        yield given, [places.pop(0) for _ in range(width)]
    if any(waiting.values()):
        raise uneven


def _read(content: bytes) -> Any:
    """The file, parsed. Raises UnfitModel where it is none, is too large, or leans on anything outside of it."""
    import onnx

    if len(content) > MAX_BYTES:
        raise UnfitModel(_NAME, f"it has {len(content):,} bytes; up to {MAX_BYTES:,} are taken")
    try:
        proto = onnx.load_from_string(content)
    except Exception as error:
        raise UnfitModel(_NAME, f"it is no ONNX file ({type(error).__name__})") from error
    if not proto.graph.output:
        raise UnfitModel(_NAME, "it is no ONNX file, or has no output")
    own = {function.domain for function in proto.functions}
    if strange := sorted({used.domain for used in proto.opset_import} - _DOMAINS - own):
        raise UnfitModel(
            _NAME, f"it needs operators of {', '.join(strange)}, which onnxruntime does not have by itself"
        )
    if any(tensor.data_location == _EXTERNAL or tensor.external_data for tensor in _tensors(proto)):
        raise UnfitModel(
            _NAME,
            "it keeps numbers in other files, which are not read. Save it as one file: "
            "onnx.save_model(model, path, save_as_external_data=False)",
        )
    return proto


def _tensors(proto: Any) -> Iterator[Any]:
    """Every tensor that is kept in a file, wherever in it."""
    graphs, nodes = [proto.graph], [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
        else:
            for attribute in nodes.pop().attribute:
                yield from (attribute.t, *attribute.tensors)
                graphs.extend([*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs])


def _layout(session: Any, proto: Any) -> Layout:
    """What the file takes and gives. Raises UnfitModel where that is not clear."""
    inputs = tuple(_input(given) for given in session.get_inputs())
    if strange := [given for given in inputs if given.type not in TYPES]:
        raise UnfitModel(_NAME, f"its input {strange[0].name} takes {strange[0].type}. Known are: {', '.join(TYPES)}")
    outputs = session.get_outputs()
    answers = [output for output in outputs if output.type in ("tensor(float)", "tensor(double)") or _zipped(output)]
    named = [output for output in answers if output.name in _CHANCES]
    if len(named or answers) != 1:
        listed = ", ".join(f"{output.name} ({output.type})" for output in outputs)
        raise UnfitModel(
            _NAME, f"one output of decimal numbers has to answer, and it has: {listed}. Export it with that one output"
        )
    answer = (named or answers)[0]
    return Layout(inputs=inputs, answer=answer.name, zipped=_zipped(answer), classes=_classes(proto, answer.name))


def _input(given: Any) -> Input:
    shape = given.shape
    width = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None
    if len(shape) > 2:
        raise UnfitModel(_NAME, f"its input {given.name} has {len(shape)} axes. A table has rows and columns")
    return Input(name=given.name, type=given.type, width=width, flat=len(shape) == 1)


def _zipped(output: Any) -> bool:
    return str(output.type).startswith("seq(map(")


def _classes(proto: Any, answer: str) -> tuple[Value, ...]:
    """The classes that the file names where it makes its chances, in the order in which `predict_proba` has them."""
    zipped = {node.op_type for node in proto.graph.node if answer in node.output} == {_ZIP_MAP}
    for node in proto.graph.node:
        if zipped and answer not in node.output:
            continue
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels_") and (attribute.ints or attribute.strings):
                found = [*attribute.ints] or [text.decode() for text in attribute.strings]
                # Maps come without an order, so theirs are sorted.
                return tuple(sorted(found) if zipped else found)
    return ()
