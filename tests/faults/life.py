"""The life of a small log: predictions, labels, corrections, seals, folds, compactions, in steps that may be cut short.

Every step is safe to try again. Ids are the caller's own, so a retry of something written but not acknowledged is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.seal import seal
from pilothouse.data.log.spool import Spool
from pilothouse.data.log.tables import compact_log
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.fold import fold
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.store import compact_rollups, rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace

MODEL = "flights"
NOON = parse_time("2026-03-03T12:00:00Z")
POLICY = LabelPolicy(horizon=timedelta(days=3))
SETTINGS = Settings()
SIGNATURE = Signature(
    features=(Feature(name="wind", kind=Kind.NUMBER), Feature(name="carrier", kind=Kind.CATEGORY)),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)
REQUESTS = 3
ROWS = 3
Crash = Callable[[str], None]


def profile() -> Profile:
    """Reference of two thousand flights: wind is standard normal, carriers AA, BB and CC, scores uniform and honest."""
    rng = np.random.default_rng(1)
    scores = rng.random(2000)
    frame = pl.DataFrame(
        {
            "wind": rng.normal(size=2000),
            "carrier": rng.choice(["AA", "BB", "CC"], 2000),
            "late": (rng.random(2000) < scores).astype(int),
        }
    )
    span = Window(NOON - timedelta(days=30), NOON - timedelta(days=16))
    return Profile.make(frame, SIGNATURE, "p1", span, scores=scores)


@dataclass(kw_only=True)
class Life:
    """One process's share of a log in `workspace`.

    name : begins its ids. acknowledge : told "<id>" of each prediction and "<id>=<label>" of each label once it is taken.
    crash : handed to seal and fold.
    """

    workspace: Workspace
    name: str
    acknowledge: Callable[[str], None]
    crash: Crash = lambda point: None
    profile: Profile = field(default_factory=profile)
    spool: Spool | None = None

    def steps(self, rounds: int) -> Iterator[tuple[str, Callable[[], None]]]:
        """What happens, in order; the log and the roll-ups are compacted once, between two rounds."""
        yield "open", self.open
        for turn in range(rounds):
            for request in range(REQUESTS):
                yield "predict", lambda turn=turn, request=request: self.predict(turn, request)  # type: ignore[misc]
            yield "label", lambda turn=turn: self.label(turn, 0)  # type: ignore[misc]
            yield "seal", self.seal
            yield "fold", self.fold
            if turn:
                yield "correct", lambda turn=turn: self.label(turn - 1, 1)  # type: ignore[misc]
            if turn == rounds // 2:
                yield "compact", self.compact
        yield "close", self.close

    def open(self) -> None:
        self.spool = Spool.open(self.workspace.spool, "service")

    def close(self) -> None:
        if self.spool is not None:
            self.spool.close()
            self.spool = None

    def predict(self, turn: int, request: int) -> None:
        """One request of ROWS rows over two days, some of them labelled by key later."""
        ids = [self._id(turn, request, row) for row in range(ROWS)]
        rows = [{"wind": float(turn - request), "carrier": "ABC"[row] * 2} for row in range(ROWS)]
        at = [_micros(self._at(turn) + timedelta(hours=20 * row)) for row in range(ROWS)]
        entry = PredictionEntry(
            version=1,
            ids=ids,
            at=at,
            logged_at=at[-1],
            rows=msgspec.Raw(msgspec.json.encode(rows)),
            predictions=[1] * ROWS,
            scores=[0.2, 0.5, 0.8],
        ).entry(MODEL, caller_ids=True)
        self._spool.append(entry)
        for row_id in ids:
            self.acknowledge(row_id)

    def label(self, turn: int, label: int) -> None:
        """`label` for the first two requests of a turn; a later label, which is higher, wins."""
        ids: list[str | None] = [self._id(turn, request, row) for request in range(2) for row in range(ROWS)]
        told = _micros(self._at(turn) + timedelta(hours=44 + 5 * label))
        entry = LabelEntry(labels=[label] * len(ids), observed_at=[told] * len(ids), recorded_at=told, ids=ids)
        self._spool.append(entry.entry(MODEL))
        for row_id in ids:
            self.acknowledge(f"{row_id}={label}")

    def seal(self) -> None:
        seal(self.workspace, {MODEL: SIGNATURE}, SETTINGS, crash=self.crash)

    def fold(self) -> None:
        fold_log(self.workspace, self.profile, crash=self.crash)

    def compact(self) -> None:
        compact_log(self.workspace, MODEL, SIGNATURE, crowded=1)
        compact_rollups(rollup_folder(self.workspace, MODEL), crowded=1)

    @property
    def _spool(self) -> Spool:
        assert self.spool is not None
        return self.spool

    def _id(self, turn: int, request: int, row: int) -> str:
        return f"{self.name}-{turn:03d}-{request}-{row}"

    def _at(self, turn: int) -> datetime:
        return NOON + timedelta(hours=turn % 24)


def fold_log(workspace: Workspace, reference: Profile, crash: Crash = lambda point: None) -> None:
    fold(workspace, MODEL, SIGNATURE, reference, POLICY, SETTINGS, clock=lambda: NOON, crash=crash)


def _micros(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)
