"""A log written straight into its Delta tables, folded and asked; and a recount of it in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pilothouse.data.history.history import History
from pilothouse.data.log.schema import Role
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.fold import FoldReport, fold
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace

NOW = parse_time("2026-04-10T12:00:00Z")
SIGNATURE = Signature(
    features=(Feature(name="wind", kind=Kind.NUMBER), Feature(name="carrier", kind=Kind.CATEGORY)),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


@dataclass(frozen=True)
class Prediction:
    id: str
    at: datetime
    score: float | None
    version: int = 1
    role: Role = Role.CHAMPION
    logged_after: timedelta = timedelta(0)
    keys: str | None = None
    wind: float | None = 1.0
    carrier: str | None = "AA"
    status: str = "ok"
    latency_us: int | None = None

    @property
    def logged_at(self) -> datetime:
        return self.at + self.logged_after


@dataclass(frozen=True)
class Label:
    label: float
    observed_at: datetime
    recorded_at: datetime
    id: str | None = None
    key: str | None = None


def profile_of(rows: int = 4000, *, seed: int = 1) -> Profile:
    """Reference: wind is standard normal, carriers AA, BB and CC, scores uniform and honest."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    frame = pl.DataFrame(
        {
            "wind": rng.normal(size=rows),
            "carrier": rng.choice(["AA", "BB", "CC"], rows, p=[0.5, 0.3, 0.2]),
            "late": (rng.random(rows) < scores).astype(int),
        }
    )
    span = Window(parse_time("2026-01-01T00:00:00Z"), parse_time("2026-01-15T00:00:00Z"))
    return Profile.make(frame, SIGNATURE, "p1", span, scores=scores)


@dataclass
class Book:
    """The model `flights` with its log, kept a second time as plain values for recounting."""

    workspace: Workspace
    policy: LabelPolicy = field(default_factory=lambda: LabelPolicy(horizon=timedelta(days=3)))
    settings: Settings = field(default_factory=Settings)
    signature: Signature = SIGNATURE
    profile: Profile = field(default_factory=profile_of)
    predictions: list[Prediction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    _sequence: int = 0

    def log(self, rows: Iterable[Prediction]) -> None:
        rows = list(rows)
        self.predictions += rows
        self.append_predictions(pl.DataFrame([self._logged(row) for row in rows], infer_schema_length=None))

    def tell(self, rows: Iterable[Label]) -> None:
        rows = list(rows)
        self.labels += rows
        self.append_labels(pl.DataFrame([self._told(row) for row in rows], infer_schema_length=None))

    def append_predictions(self, frame: pl.DataFrame) -> None:
        """Rows of the prediction table; columns not given are null."""
        folder = prediction_folder(self.workspace, "flights", self.signature)
        self._sequence += 1
        folder.append(_conformed(frame, folder.schema), {"test": self._sequence})

    def append_labels(self, frame: pl.DataFrame) -> None:
        folder = label_folder(self.workspace, "flights", self.signature)
        self._sequence += 1
        folder.append(_conformed(frame, folder.schema), {"test": self._sequence})

    def fold(self, **options: Any) -> FoldReport:
        clock = options.pop("clock", lambda: NOW)
        return fold(
            self.workspace, "flights", self.signature, self.profile, self.policy, self.settings, clock=clock, **options
        )

    def history(self, **options: Any) -> History:
        return History(self.workspace, "flights", self.signature, self.profile, self.policy, self.settings, **options)

    def known_labels(self, chosen: Iterable[Prediction], until: date | None = None) -> dict[Prediction, float]:
        """The label that holds for each of `chosen`, recounted one by one; `until`: as known at that UTC day's end."""
        found: dict[Prediction, float] = {}
        for row in chosen:
            speaking = [
                label
                for label in self.labels
                if self._speaks(label, row) and _by(until, label.recorded_at, row.logged_at)
            ]
            if speaking:
                winner = max(speaking, key=lambda label: (label.observed_at, label.recorded_at, str(label.label)))
                found[row] = winner.label
        return found

    def _speaks(self, label: Label, row: Prediction) -> bool:
        if label.id is not None:
            return label.id == row.id
        in_time = row.at <= label.observed_at <= row.at + self.policy.horizon
        return label.key is not None and label.key == row.keys and in_time

    def _logged(self, row: Prediction) -> dict[str, Any]:
        return {
            "prediction_id": row.id,
            "at": row.at,
            "logged_at": row.logged_at,
            "version": row.version,
            "role": row.role.value,
            "keys": row.keys,
            "x_wind": row.wind,
            "x_carrier": row.carrier,
            "score": row.score,
            "latency_us": row.latency_us,
            "status": row.status,
            "spool": "test",
            "day": row.at.date(),
        }

    def _told(self, row: Label) -> dict[str, Any]:
        return {
            "prediction_id": row.id,
            "key": row.key,
            "label": row.label,
            "observed_at": row.observed_at,
            "recorded_at": row.recorded_at,
            "spool": "test",
            "day": row.recorded_at.date(),
        }


def _by(until: date | None, *times: datetime) -> bool:
    return until is None or all(time.astimezone(ZoneInfo("UTC")).date() <= until for time in times)


def _conformed(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    table = frame.to_arrow()
    columns = {
        f.name: table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type)
        for f in schema
    }
    return pa.table(columns, schema=schema)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(Workspace.create(tmp_path / "house"))


def at(text: str) -> datetime:
    """`at("03-05 14:30")` in 2026, UTC."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
