"""What the service takes: typed decoders compiled once from a model's signature, and the refusal naming all faults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from pilothouse.data.errors import BadRows, NotJson
from pilothouse.data.log.schema import MAX_LATENCY_US
from pilothouse.data.signature import NUMERIC, Feature, Kind, Signature, Target, Task, Value
from pilothouse.ops.serving import checks, faults
from pilothouse.ops.serving.checks import EARLIEST, LATEST, MAX_ID, MAX_KEYS, MAX_TEXT, MAX_VERSION
from pilothouse.ops.serving.faults import Check, Faults

_MICROSECOND = timedelta(microseconds=1)

Row = tuple[Value, ...]
Keys = dict[str, str | int | float]
_LEFT_OUT = msgspec.Raw(b"null")
_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
_Keys = Annotated[
    dict[_Id, Annotated[str, Meta(max_length=MAX_TEXT)] | int | float], Meta(min_length=1, max_length=MAX_KEYS)
]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Micros = Annotated[float, Meta(ge=0, le=MAX_LATENCY_US)]
_Time = Annotated[datetime, Meta(tz=True)]
# Whole, however it is written: JSON knows no integers, and 3.0 is one to JSON Schema.
_Number = Annotated[float, Meta(ge=1, le=MAX_VERSION, multiple_of=1)]
T = TypeVar("T")

_log = logging.getLogger("pilothouse.service")


class PredictBody(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A request for predictions. Every array but `rows` is optional, and has one item a row."""

    rows: msgspec.Raw
    model: str | None = None
    ids: list[_Id] | None = None
    at: list[_Time] | None = None
    entities: list[_Id | None] | None = None
    keys: list[_Keys | None] | None = None
    context: msgspec.Raw = _LEFT_OUT


class _LogBody(PredictBody, forbid_unknown_fields=True, gc=False, kw_only=True):
    predictions: msgspec.Raw
    scores: msgspec.Raw = _LEFT_OUT
    latency_us: list[_Micros | None] | None = None
    version: _Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A checked request.

    model : the name in the body, which few requests give. raw : the JSON array of rows as it came.
    at : microseconds since 1970, UTC.
    """

    model: str | None
    rows: list[Row]
    raw: msgspec.Raw
    ids: list[str] | None
    at: list[int] | None
    entities: list[str | None] | None
    keys: list[Keys | None] | None
    context: list[dict[str, Value] | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Checked predictions that were made elsewhere. `version` None: the champion's. `latency_us`: microseconds.

    class_scores : of a multiclass model, the probability of each class, for the rows that have them all.
    """

    asked: Asked
    predictions: list[Value]
    scores: list[float | None] | None
    class_scores: list[list[float] | None] | None
    latency_us: list[int | None] | None
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One checked label, by the prediction's id or by a business key. `observed_at` None: now."""

    id: str | None
    key: Keys | None
    label: str | float | bool
    observed_at: datetime | None


def micros(time: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    return (time - EARLIEST) // _MICROSECOND


class _Version(msgspec.Struct):
    version: _Number | None = None


def version_told(body: bytes) -> int | None:
    """The version that a body of predictions made elsewhere names; None where it names none, or cannot be read."""
    told = _tried(msgspec.json.Decoder(_Version).decode, body)
    return None if told is None or told.version is None else int(told.version)


class Bodies:
    """Decoders for the bodies of one model. They say yes or no fast; `refusal` says why, slowly."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._fields = len(signature.features)
        self._context_names = [column.name for column in signature.context]
        self._max_rows = max_rows
        self._target = signature.target
        self._row: type[msgspec.Struct] = _row_struct(signature)
        self._context: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[_context_struct(signature) | None])  # type: ignore[misc]
        value: Any = _value_type(signature.target)
        self._rows = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._values: msgspec.json.Decoder[list[Value]] = msgspec.json.Decoder(list[value])
        self._predict = msgspec.json.Decoder(PredictBody)
        self._elsewhere = msgspec.json.Decoder(_LogBody)
        self._scores: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[_score_type(signature)] | None)  # type: ignore[misc]
        self._labels: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_labels_struct(value))
        self._predict_check = checks.predict_check(signature, max_rows)
        self._log_check = checks.log_check(signature, max_rows)
        self._labels_check = checks.labels_check(signature, max_rows)

    def predict(self, body: bytes) -> Asked | None:
        """The request in `body`, or None when anything is wrong with it."""
        decoded = _tried(self._predict.decode, body)
        return None if decoded is None else self._asked(decoded, body)

    def elsewhere(self, body: bytes) -> Elsewhere | None:
        """The predictions made elsewhere in `body`, or None when anything is wrong with it."""
        decoded = _tried(self._elsewhere.decode, body)
        asked = None if decoded is None else self._asked(decoded, body)
        predictions = None if decoded is None else _tried(self._values.decode, decoded.predictions)
        if decoded is None or asked is None or predictions is None:
            return None
        n, given = len(asked.rows), bytes(decoded.scores) != b"null"
        scores = _tried(self._scores.decode, decoded.scores) if given else None
        if given and (scores is None or len(scores) != n):
            return None
        if len(predictions) != n or not _fits(decoded.latency_us, n):
            return None
        if not all(self._is_class(p) for p in predictions):
            return None
        return Elsewhere(
            asked=asked, predictions=predictions, scores=_of_type(float, scores), class_scores=_of_type(list, scores),
            latency_us=_whole(decoded.latency_us),
            version=None if decoded.version is None else int(decoded.version),
        )  # fmt: skip

    def labels(self, body: bytes) -> list[Told] | None:
        """The labels in `body`, or None when anything is wrong with it."""
        decoded = _tried(self._labels.decode, body)
        if decoded is None or not 1 <= len(decoded.labels) <= self._max_rows or faults.repeats_a_name(body):
            return None
        told = [
            Told(id=given.id, key=given.key, label=given.label, observed_at=given.observed_at)
            for given in decoded.labels
        ]
        return told if all(map(self._is_sound, told)) else None

    def predict_refusal(self, body: bytes) -> BadRows | NotJson:
        return _refusal(body, self._predict_check)

    def elsewhere_refusal(self, body: bytes) -> BadRows | NotJson:
        return _refusal(body, self._log_check)

    def labels_refusal(self, body: bytes) -> BadRows | NotJson:
        return _refusal(body, self._labels_check)

    def _asked(self, decoded: PredictBody, body: bytes) -> Asked | None:
        rows = _tried(self._rows.decode, decoded.rows)
        if rows is None or not 1 <= len(rows) <= self._max_rows:
            return None
        if self._repeats_a_name(bytes(decoded.rows), len(rows), body):
            return None
        n, ids = len(rows), decoded.ids
        if not (_fits(ids, n) and _fits(decoded.at, n) and _fits(decoded.entities, n) and _fits(decoded.keys, n)):
            return None
        if ids is not None and len(set(ids)) < n:
            return None
        if decoded.at is not None and not all(map(_in_span, decoded.at)):
            return None
        given = bytes(decoded.context) != b"null"
        context = _tried(self._context.decode, decoded.context) if given else None
        if given and (context is None or len(context) != n):
            return None
        at = None if decoded.at is None else [micros(t) for t in decoded.at]
        return Asked(
            model=decoded.model, rows=[msgspec.structs.astuple(row) for row in rows], raw=decoded.rows, ids=ids, at=at,
            entities=decoded.entities, keys=decoded.keys,
            context=None if context is None else [self._named_context(row) for row in context],
        )  # fmt: skip

    def _named_context(self, row: msgspec.Struct | None) -> dict[str, Value] | None:
        """What was given of a row's context, by the column's name."""
        if row is None:
            return None
        given = zip(self._context_names, msgspec.structs.astuple(row), strict=True)
        return {name: value for name, value in given if value is not None}

    def _repeats_a_name(self, rows: bytes, n: int, body: bytes) -> bool:
        """Whether an object names a field twice, which the decoder lets pass.

        Exactly as many colons as fields leave no room for a second one, and spare the costly look.
        """
        colons = rows.count(b":")
        if colons != n * self._fields and faults.repeats_a_name(rows):
            return True
        return body.count(b":") - colons != 1 and faults.repeats_a_name(body.replace(rows, b"[]", 1))

    def _is_class(self, value: Value) -> bool:
        return value is not None and (not self._target.classes or value in self._target.classes)

    def _is_sound(self, told: Told) -> bool:
        in_span = told.observed_at is None or _in_span(told.observed_at)
        return (told.id is None) != (told.key is None) and in_span and self._is_class(told.label)


def _tried(decode: Callable[[Any], T], body: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _whole(values: list[float | None] | None) -> list[int | None] | None:
    return None if values is None else [None if value is None else round(value) for value in values]


def _of_type(kind: type[T], values: list[Any] | None) -> list[T | None] | None:
    """`values` with those of another type as None; None when none are left."""
    kept = [value if isinstance(value, kind) else None for value in values or ()]
    return kept if any(value is not None for value in kept) else None


def _fits(values: Sequence[object] | None, n: int) -> bool:
    return values is None or len(values) == n


def _in_span(time: datetime) -> bool:
    return EARLIEST <= time < LATEST


def _refusal(body: bytes, check: Check) -> BadRows | NotJson:
    """All that is wrong with a `body` that the fast decoder refused."""
    found = Faults()
    try:
        check(faults.load_json(body), "", found)
    except NotJson as error:
        return error
    if not found.found:
        _log.warning("a body was refused by the decoder, but the full check found nothing wrong with it")
        found.add("", "could not be read")
    return BadRows(found.listed())


def _row_struct(signature: Signature) -> type[msgspec.Struct]:
    # Fields are numbered, because a feature's name need not be a Python name.
    fields = [(f"f{i}", _feature_type(f), msgspec.field(name=f.name)) for i, f in enumerate(signature.features)]
    return msgspec.defstruct("Row", fields, forbid_unknown_fields=True, gc=False)


def _context_struct(signature: Signature) -> Any:
    """Every column may be left out or null; the others have the type of their kind."""
    kinds = [Feature(name=c.name, kind=c.kind) for c in signature.context]
    fields = [(f"f{i}", _feature_type(f), msgspec.field(name=f.name, default=None)) for i, f in enumerate(kinds)]
    return msgspec.defstruct("Context", fields, forbid_unknown_fields=True, gc=False)


def _labels_struct(value: Any) -> type[msgspec.Struct]:
    optional = [("id", _Id | None, None), ("key", _Keys | None, None), ("observed_at", _Time | None, None)]
    label: Any = msgspec.defstruct("Label", [("label", value), *optional], forbid_unknown_fields=True)
    return msgspec.defstruct("Labels", [("labels", list[label])], forbid_unknown_fields=True)


def _feature_type(feature: Feature) -> Any:
    kinds: dict[Kind, Any] = {
        Kind.NUMBER: float,
        Kind.INTEGER: Annotated[float, Meta(multiple_of=1)],
        Kind.BOOLEAN: bool,
        Kind.CATEGORY: Annotated[str, Meta(max_length=MAX_TEXT)],
    }
    return kinds[feature.kind] | None if feature.nullable else kinds[feature.kind]


def _score_type(signature: Signature) -> Any:
    """What a row's score may be: of several classes one probability each, too."""
    if signature.task is not Task.MULTICLASS:
        return _Share | None
    classes = len(signature.target.classes)
    return Annotated[list[_Share], Meta(min_length=classes, max_length=classes)] | _Share | None


def _value_type(target: Target) -> Any:
    if target.kind in NUMERIC:
        return float
    return bool if target.kind is Kind.BOOLEAN else Annotated[str, Meta(max_length=MAX_TEXT)]
