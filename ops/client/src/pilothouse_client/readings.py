"""Reading rows and predictions out of what an application takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

Record = Mapping[str, Any]
Pick = Union[Sequence[str], Callable[[Record], Record]]
"""Which part of a record: its names, or a function that gives it."""

Predicted = tuple[Any, Any]
"""A prediction and its score, None where it has none."""

_ROWS = ("rows", "instances", "inputs")
_PREDICTIONS = ("predictions", "outputs", "results")
_PREDICTION = ("prediction", "label", "class", "value", "result")
_SCORE = ("score", "probability", "proba")


def picked(record: Record, pick: Pick | None) -> Record:
    """That part of `record`; all of it for None. A name that it lacks is a missing value."""
    if pick is None:
        return record
    if callable(pick):
        return pick(record)
    return {name: record.get(name) for name in ([pick] if isinstance(pick, str) else pick)}


def rows_in(asked: Any) -> list[Record]:
    """The rows of a request's JSON: the object itself, a list of objects, or such a list under `rows`.

    >>> rows_in({"rows": [{"age": 41}]}), rows_in({"age": 41})
    ([{'age': 41}], [{'age': 41}])
    """
    if isinstance(asked, Mapping):
        asked = next((asked[name] for name in _ROWS if isinstance(asked.get(name), list)), [asked])
    if not isinstance(asked, list) or not all(isinstance(row, Mapping) for row in asked):
        raise TypeError("the request holds no rows; say with features=... how they are read")
    return asked


def predictions_in(answered: Any) -> list[Predicted]:
    """The predictions of a response's JSON: one, a list, or a list under `predictions`.

    >>> predictions_in({"predictions": [{"prediction": 1, "score": 0.8}]}), predictions_in([0, 1])
    ([(1, 0.8)], [(0, None), (1, None)])
    """
    if isinstance(answered, Mapping):
        answered = next((answered[name] for name in _PREDICTIONS if isinstance(answered.get(name), list)), [answered])
    return [predicted(one) for one in answered] if isinstance(answered, list) else [predicted(answered)]


def predicted(given: Any) -> Predicted:
    """A value, a pair (prediction, score), or a mapping with both, as the pair. Raises TypeError for another mapping."""
    if isinstance(given, tuple) and len(given) == 2:
        return given
    if not isinstance(given, Mapping):
        return given, None
    for name in _PREDICTION:
        if name in given:
            return given[name], next((given[score] for score in _SCORE if score in given), None)
    raise TypeError(f"the answer has none of {', '.join(_PREDICTION)}; say with prediction=... how it is read")
