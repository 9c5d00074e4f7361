"""Where skl2onnx converts trees amiss: its own converters, with their nodes' attributes put right on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

_HISTOGRAM_BOOSTING = ("SklearnHistGradientBoostingClassifier", "SklearnHistGradientBoostingRegressor")
_FORESTS = (
    "SklearnRandomForestClassifier",
    "SklearnRandomForestRegressor",
    "SklearnExtraTreesClassifier",
    "SklearnExtraTreesRegressor",
    "SklearnDecisionTreeClassifier",
    "SklearnDecisionTreeRegressor",
)
_GO_LEFT = "nodes_missing_value_tracks_true"

Attributes = dict[str, Any]
Mend = Callable[[Any, Attributes], Attributes]
"""From an estimator and the attributes of one of its nodes to attributes that are right."""


@cache
def mend_converters() -> None:
    """Put the mended converters in the place of skl2onnx's own; to be called before anything is converted."""
    for name in _HISTOGRAM_BOOSTING:
        _replace(name, _as_plain_numbers)
    for name in _FORESTS:
        _replace(name, _with_missing_values)


def _as_plain_numbers(_estimator: Any, attributes: Attributes) -> Attributes:
    """NumPy's bool and unsigned numbers, which ONNX refuses, as numbers that it takes."""
    return {name: _plain(value) for name, value in attributes.items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [int(v) if isinstance(v, bool | np.bool_ | np.integer) else v for v in value]


def _with_missing_values(estimator: Any, attributes: Attributes) -> Attributes:
    """The way that a missing value takes at each node of the trees, which the converter leaves out."""
    if _GO_LEFT not in attributes:
        return attributes
    trees = [tree.tree_ for tree in getattr(estimator, "estimators_", [estimator])]
    nodes = zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
    return {**attributes, _GO_LEFT: [int(trees[tree].missing_go_to_left[node]) for tree, node in nodes]}


def _replace(name: str, mend: Mend) -> None:
    from skl2onnx.common._registration import get_converter, register_converter

    theirs = get_converter(name)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        theirs(scope, operator, _Mending(container, operator.raw_operator, mend))

    register_converter(name, convert, overwrite=True, options=theirs.get_allowed_options())


class _Mending:
    """A converter's container whose nodes are mended before they go in."""

    def __init__(self, container: Any, estimator: Any, mend: Mend) -> None:
        self._container, self._estimator, self._mend = container, estimator, mend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *told: Any, **attributes: Any) -> None:
        self._container.add_node(*told, **self._mend(self._estimator, attributes))
