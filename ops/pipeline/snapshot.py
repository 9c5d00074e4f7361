"""Training snapshots: the labelled rows of a window, kept in the store as Parquet under their SHA-256."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.signature import Signature
from pilothouse.data.store import Store
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    from pilothouse.data.log.reader import PredictionLog

_FACTS = ("prediction_id", "at")
JUST_PAST = timedelta(microseconds=1)
"""Windows exclude their end, and the log keeps microseconds."""


def mature_end(log: PredictionLog, now: datetime, horizon: timedelta) -> datetime | None:
    """Just past the last prediction whose label has had its whole horizon to arrive; None when there is none.

    Labels that come early are not like those that come late, so a younger row is left out even if it has one.
    """
    bounds = log.bounds()
    if bounds is None or bounds[0] >= now - horizon:
        return None
    if bounds[1] < now - horizon:
        return bounds[1] + JUST_PAST
    mature = log.predictions(Window(bounds[0], now - horizon), columns=("at",))["at"]
    return None if mature.is_empty() else mature[-1] + JUST_PAST


def labelled_rows(log: PredictionLog, signature: Signature, window: Window) -> tuple[pl.DataFrame, int]:
    """The window's labelled rows in order of time, and how many rows it has in all.

    Columns: prediction_id, at, x_<feature> as logged, label. A row is one request, whatever versions answered it; those
    of versions that take their features otherwise than `signature` are left out.
    """
    columns = (*_FACTS, *(f.column for f in signature.features))
    rows = log.labelled(window, columns=columns, versions=signature.takers)
    labelled = rows.filter(pl.col("label").is_not_null()).select(*columns, "label")
    return labelled.sort("at", "prediction_id"), rows.height


def thinned(log: PredictionLog, window: Window) -> bool:
    """Whether the log has only a sample of some of the window's rows: one that has more of the rarest class than came."""
    heaviest = log.predictions(window, columns=("weight",))["weight"].max()
    return isinstance(heaviest, float) and heaviest > 1


def keep(store: Store, rows: pl.DataFrame) -> str:
    """SHA-256 under which `rows` now stand in the store."""
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd", compression_level=1)
    return store.put(content.getvalue())


def read(store: Store, sha256: str) -> pl.DataFrame:
    """Raises BadArtifact when the bytes are gone or are not those that were kept."""
    return pl.read_parquet(io.BytesIO(store.read(sha256)))


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows with their truth. `features`: one column a feature, named as in the signature."""

    features: pl.DataFrame
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: pl.DataFrame, signature: Signature) -> Examples:
        features = rows.select(pl.col(f.column).alias(f.name) for f in signature.features)
        # Strict, or 1 would not equal the 1.0 that the log keeps, nor a string an enum's value.
        positive = rows["label"] == pl.Series([signature.target.positive]).cast(rows["label"].dtype)
        return cls(features, positive.to_numpy().astype(bool))

    def targets(self, signature: Signature) -> NDArray[Any]:
        """The target column, with the very classes that the champion was fitted on."""
        return np.array(signature.target.classes)[self.positive.astype(np.int64)]


def before(rows: pl.DataFrame, boundary: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("at") < boundary)


def since(rows: pl.DataFrame, boundary: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("at") >= boundary)
