"""Rows and labels as JSON, and the request bodies made of them.

A row becomes text where it is given: what its host does to it afterwards changes nothing, and the sending thread has so
little to do that it hardly takes the interpreter away from the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from itertools import groupby
from typing import Any, NamedTuple, Union


class Kind(str, Enum):
    """What a batch holds; the value is the last part of the address that it goes to."""

    ROWS = "log"
    LABELS = "feedback"


class Row(NamedTuple):
    """A prediction. Every text is JSON; None: not given."""

    id: str
    at: str
    features: str
    prediction: str
    score: str | None
    latency: str | None
    entity: str | None
    key: str | None
    context: str | None
    version: int | None


class Label(NamedTuple):
    """A label as a JSON object."""

    text: str


Item = Union[Row, Label]


class Batch(NamedTuple):
    """A request body of one kind. rows : rows or labels in it."""

    kind: Kind
    body: bytes
    rows: int


_COLUMNS = (
    ("ids", "id"), ("at", "at"), ("rows", "features"), ("predictions", "prediction"), ("scores", "score"),
    ("latency_us", "latency"),
    ("entities", "entity"), ("keys", "key"), ("context", "context"),
)  # fmt: skip


def row_of(
    features: Mapping[str, Any],
    prediction: Any,
    *,
    id: str,
    at: datetime,
    score: Any = None,
    latency_ms: float | None = None,
    entity: str | None = None,
    key: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Row:
    """A row as JSON. NaN becomes null.

    Raises TypeError or ValueError for what JSON cannot say, a naive time, or a latency below 0.
    """
    return Row(
        id=_json(id), at=f'"{time_text(at)}"', features=_record(features), prediction=_json(plain(prediction)),
        score=_optional(_score(score)), latency=_optional(_micros(plain(latency_ms))), entity=_optional(entity),
        key=None if key is None else _record(key), context=None if context is None else _record(context),
        version=version,
    )  # fmt: skip


def label_of(which: str | Mapping[str, Any], label: Any, observed_at: datetime) -> Label:
    """A label by its prediction's id, or by a business key. Raises what `row_of` raises."""
    told: dict[str, Any] = {"id": which} if isinstance(which, str) else {"key": _plain_values(which)}
    return Label(_json({**told, "label": plain(label), "observed_at": time_text(observed_at)}))


def batches_of(items: Iterable[Item], most: int) -> list[Batch]:
    """Bodies of at most `most` items, in their order; each is of one kind, and of one version."""
    found = []
    for (kind, version), run in groupby(items, key=_group):
        together = list(run)
        for start in range(0, len(together), most):
            part: Any = together[start : start + most]
            body = _rows_body(part, version) if kind is Kind.ROWS else _labels_body(part)
            found.append(Batch(kind, body, len(part)))
    return found


def without(batch: Batch, dropped: frozenset[int]) -> Batch | None:
    """`batch` less the rows at these places; None when nothing is left."""
    return _part(batch, [place for place in range(batch.rows) if place not in dropped])


def halves(batch: Batch) -> list[Batch]:
    """`batch` in two, for a service that takes only smaller ones."""
    middle = batch.rows // 2
    parts = [_part(batch, range(middle)), _part(batch, range(middle, batch.rows))]
    return [part for part in parts if part is not None]


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python value, and NaN as None."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


def time_text(time: datetime) -> str:
    """Raises ValueError for a time without a zone."""
    if time.tzinfo is None:
        raise ValueError("a time has no zone; give an aware one, such as datetime.now(timezone.utc)")
    return time.isoformat()


def _score(value: Any) -> Any:
    """One number, or the list of them that a model of several classes gives."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else plain(value)


def _micros(latency_ms: float | None) -> int | None:
    if latency_ms is None:
        return None
    if latency_ms < 0:
        raise ValueError(f"latency_ms must be 0 or more; got {latency_ms!r}")
    return round(latency_ms * 1000)


def _group(item: Item) -> tuple[Kind, int | None]:
    return (Kind.ROWS, item.version) if isinstance(item, Row) else (Kind.LABELS, None)


def _rows_body(rows: Sequence[Row], version: int | None) -> bytes:
    fields = []
    for name, attribute in _COLUMNS:
        values = [getattr(row, attribute) for row in rows]
        if any(value is not None for value in values):
            fields.append(f'"{name}":[{",".join("null" if value is None else value for value in values)}]')
    if version is not None:
        fields.append(f'"version":{version}')
    return ("{" + ",".join(fields) + "}").encode()


def _labels_body(labels: Sequence[Label]) -> bytes:
    return ('{"labels":[' + ",".join(label.text for label in labels) + "]}").encode()


def _part(batch: Batch, places: Sequence[int]) -> Batch | None:
    if not places:
        return None
    body = json.loads(batch.body)
    kept = {name: [value[p] for p in places] if isinstance(value, list) else value for name, value in body.items()}
    return Batch(batch.kind, _json(kept).encode(), len(places))


def _record(values: Mapping[str, Any]) -> str:
    return _json(_plain_values(values))


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}


def _optional(value: Any) -> str | None:
    return None if value is None else _json(value)


# Made once: `json.dumps` makes an encoder for every call that asks for more than the defaults.
_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
