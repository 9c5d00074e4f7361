"""What a row of the log is: Arrow schemas of predictions and labels, and the small values that go with them."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import pyarrow as pa

from pilothouse.data.signature import Signature, Task

CLASS_SCORES = "scores"
"""The column of a multiclass model that holds the probability of each class."""

TIME = pa.timestamp("us", tz="UTC")


class Role(StrEnum):
    """In what part a version answered."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    BATCH = "batch"


MAX_LATENCY_US = 10**15
"""Thirty years: more is a slip, such as a time instead of how long something took."""

TRAFFIC = (Role.CHAMPION, Role.CANARY)
"""The roles whose rows count as traffic and enter drift: every request once."""


class Status(StrEnum):
    OK = "ok"
    ERROR = "error"


@lru_cache(maxsize=256)
def prediction_schema(signature: Signature) -> pa.Schema:
    """Columns of the prediction table, in order. The first four carry file statistics.

    Identity: (prediction_id, version, role), and among rows of TRAFFIC the id alone; `model` is the table.
    `keys`: business keys as canonical JSON or null.
    `score`: probability of the positive class for a binary task, null otherwise.
    CLASS_SCORES, of a multiclass task alone: that of each class in the target's order; null where it is not known.
    `weight`: how many rows this one stands for where old rows were thinned to a sample; null for itself alone.
    `day`: the event day in UTC, the partition.
    """
    return pa.schema(
        [
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("at", TIME, nullable=False),
            pa.field("logged_at", TIME, nullable=False),
            pa.field("version", pa.int64(), nullable=False),
            pa.field("role", pa.string(), nullable=False),
            pa.field("entity_id", pa.string()),
            pa.field("keys", pa.string()),
            *(pa.field(c.column, c.arrow_type) for c in signature.logged),
            pa.field("prediction", signature.target.arrow_type),
            pa.field("score", pa.float64()),
            *([pa.field(CLASS_SCORES, pa.list_(pa.float64()))] if signature.task is Task.MULTICLASS else []),
            pa.field("latency_us", pa.int64()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("caller", pa.string()),
            pa.field("weight", pa.float64()),
            pa.field("spool", pa.string(), nullable=False),
            pa.field("day", pa.date32(), nullable=False),
        ]
    )


def label_schema(signature: Signature) -> pa.Schema:
    """Columns of the label table. Either `prediction_id` or `key` (canonical JSON) says whose label it is.

    `observed_at`: when it became true; `recorded_at`: when we were told; `day`: that of `recorded_at`, the partition.
    """
    return pa.schema(
        [
            pa.field("prediction_id", pa.string()),
            pa.field("key", pa.string()),
            pa.field("label", signature.target.arrow_type),
            pa.field("observed_at", TIME, nullable=False),
            pa.field("recorded_at", TIME, nullable=False),
            pa.field("source", pa.string()),
            pa.field("spool", pa.string(), nullable=False),
            pa.field("day", pa.date32(), nullable=False),
        ]
    )
