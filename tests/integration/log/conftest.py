"""A workspace with a small model, and a hand to write, seal and read its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.schema import Role
from pilothouse.data.log.seal import SealReport, seal
from pilothouse.data.log.spool import Entry, Spool
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import parse_time
from pilothouse.data.workspace import Workspace

NOON = parse_time("2026-03-03T12:00:00Z")
SIGNATURE = Signature(
    features=(Feature(name="wind", kind=Kind.NUMBER), Feature(name="carrier", kind=Kind.CATEGORY)),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


def micros(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


@dataclass(frozen=True)
class Log:
    """The log of the model `flights` in a workspace of its own."""

    workspace: Workspace
    signature: Signature = SIGNATURE
    noon: datetime = NOON

    def spool(self, kind: str = "service", **options: Any) -> Spool:
        return Spool.open(self.workspace.spool, kind, **options)

    def predictions(
        self,
        ids: Sequence[str],
        *,
        at: datetime = NOON,
        logged_at: datetime = NOON,
        version: int = 1,
        role: Role = Role.CHAMPION,
        caller_ids: bool = True,
        wind: float = 1.5,
        keys: Sequence[dict[str, Any] | None] | None = None,
    ) -> Entry:
        rows = [{"wind": wind, "carrier": "UA"} for _ in ids]
        return PredictionEntry(
            version=version,
            role=role,
            ids=list(ids),
            at=[micros(at)] * len(ids),
            logged_at=micros(logged_at),
            rows=msgspec.Raw(msgspec.json.encode(rows)),
            predictions=[1] * len(ids),
            scores=[0.5] * len(ids),
            keys=None if keys is None else list(keys),
        ).entry("flights", caller_ids=caller_ids)

    def label(
        self,
        label: int,
        *,
        id: str | None = None,
        key: dict[str, Any] | None = None,
        observed_at: datetime = NOON,
        recorded_at: datetime = NOON,
    ) -> Entry:
        return LabelEntry(
            labels=[label],
            observed_at=[micros(observed_at)],
            recorded_at=micros(recorded_at),
            ids=[id],
            keys=[key],
        ).entry("flights")

    def write(self, *entries: Entry, kind: str = "service") -> None:
        with self.spool(kind) as spool:
            for entry in entries:
                spool.append(entry)

    def seal(self, **options: Any) -> SealReport:
        return seal(self.workspace, {"flights": self.signature}, Settings(), **options)

    def reader(self, policy: LabelPolicy | None = None, *, now: datetime = NOON) -> PredictionLog:
        chosen = policy or LabelPolicy(horizon=timedelta(days=2))
        return PredictionLog(self.workspace, "flights", self.signature, chosen, clock=lambda: now)

    def ids(self) -> list[str]:
        """Every id in the log, as often as it stands there."""
        ids: list[str] = self.reader().predictions(columns=["prediction_id"])["prediction_id"].to_list()
        return ids


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(Workspace.create(tmp_path / "house"))
