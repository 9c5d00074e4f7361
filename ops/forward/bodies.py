"""Rows and labels of the log as the requests that tell them to a central house. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl
import pyarrow as pa

from pilothouse.data.log.schema import CLASS_SCORES, TRAFFIC, Status
from pilothouse.data.signature import Signature

if TYPE_CHECKING:
    from pilothouse_client.items import Batch

_ROLES = [role.value for role in TRAFFIC]


def prediction_batches(table: pa.Table, signature: Signature, most: int) -> list[Batch]:
    """Requests for /log with the answers in `table`, in their order, each of one version and at most `most` rows.

    table : rows as the spool's entries were decoded. Each keeps its id, and says when it happened: so it is the same row
    however often it is sent, and stands in the hour that it belongs to. Rows of shadows and batches, and those that the
    model failed on, are of this place alone.
    """
    from pilothouse_client.items import Batch, Kind

    rows = pl.DataFrame(table).filter(pl.col("role").is_in(_ROLES), pl.col("status") == Status.OK.value)
    found = []
    for (version,), of_version in rows.group_by("version", maintain_order=True):
        taken = signature.of_version(int(str(version)))
        for part in of_version.iter_slices(most):
            found.append(Batch(Kind.ROWS, orjson.dumps(_told(part, taken, int(str(version)))), part.height))
    return found


def label_batches(table: pa.Table, most: int) -> list[Batch]:
    """Requests for /feedback with the labels in `table`, in their order."""
    from pilothouse_client.items import Batch, Kind

    found = []
    for part in pl.DataFrame(table).iter_slices(most):
        labels = [_label(row) for row in part.iter_rows(named=True)]
        found.append(Batch(Kind.LABELS, orjson.dumps({"labels": labels}), part.height))
    return found


def _told(rows: pl.DataFrame, taken: Signature, version: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "version": version,
        "ids": rows["prediction_id"].to_list(),
        "at": [_time(at) for at in rows["at"]],
        "rows": rows.select(pl.col(f.column).alias(f.name) for f in taken.features).to_dicts(),
        "predictions": rows["prediction"].to_list(),
    }
    beside = {"entities": "entity_id", "latency_us": "latency_us"}
    optional = {"scores": _scores(rows)} | {name: rows[column].to_list() for name, column in beside.items()}
    body |= {name: values for name, values in optional.items() if any(value is not None for value in values)}
    if rows["keys"].null_count() < rows.height:
        body["keys"] = [None if key is None else json.loads(key) for key in rows["keys"]]
    if taken.context:
        body["context"] = rows.select(pl.col(c.column).alias(c.name) for c in taken.context).to_dicts()
    return body


def _scores(rows: pl.DataFrame) -> list[Any]:
    """The probability of each class where there is one, else the score."""
    if CLASS_SCORES not in rows.columns:
        return rows["score"].to_list()
    both = zip(rows[CLASS_SCORES].to_list(), rows["score"].to_list(), strict=True)
    return [score if each is None else each for each, score in both]


def _label(row: dict[str, Any]) -> dict[str, Any]:
    which = {"id": row["prediction_id"]} if row["key"] is None else {"key": json.loads(row["key"])}
    return {**which, "label": row["label"], "observed_at": _time(row["observed_at"])}


def _time(at: datetime) -> str:
    return at.isoformat()


def rows_in(batches: Sequence[Batch]) -> int:
    return sum(batch.rows for batch in batches)
