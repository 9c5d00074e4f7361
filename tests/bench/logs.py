"""A log to measure on: any number of predictions with 25 features of mixed kinds over 120 days, as one Parquet file.

Every value is a function of the row's number, so the same size is the same log. The last third drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from pilothouse.data.history.history import History
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace

MODEL = "measured"
START = parse_time("2026-01-01T00:00:00Z")
DAYS = 120
END = START + timedelta(days=DAYS)
SIXTY_DAYS = Window(END - timedelta(days=60), END)
ODD = Window(END - timedelta(days=40, hours=2, minutes=11), END - timedelta(days=2, hours=21, minutes=11))
"""37 days and 5 hours that begin and end within an hour."""
ALL = Window(START, END)
POLICY = LabelPolicy(horizon=timedelta(days=30))
SETTINGS = Settings(query_limit_s=600.0)
REFERENCE_ROWS = 20_000
_MIX = 25
"""Features after which the kinds begin again: 16 numbers, 4 whole numbers, 4 categories, 1 boolean."""


def signature(features: int = _MIX) -> Signature:
    return Signature(
        features=tuple(Feature(name=f"f{n}", kind=_kind(n)) for n in range(features)),
        target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
        task=Task.BINARY,
    )


def generate(path: Path, rows: int, features: int = _MIX, *, keyed: bool = False) -> Path:
    """Predictions as the prediction table has them, in the order of time, compressed with zstd; made once.

    keyed : whether each has a business key of its own, see `key_of`.
    """
    import duckdb

    keys = """'{"order":' || i || '}'""" if keyed else "NULL::VARCHAR"
    if not path.exists():
        values = ", ".join(f'{_value(n, rows)} AS "x_f{n}"' for n in range(features))
        with duckdb.connect() as duck:
            duck.execute("SET TimeZone = 'UTC'")
            duck.execute("SET enable_progress_bar = false")
            duck.execute("SET preserve_insertion_order = true")
            duck.execute(
                f"COPY (SELECT printf('%012d', i) AS prediction_id, {_at(rows)} AS \"at\", {_at(rows)} AS logged_at, "
                f"1::BIGINT AS version, 'champion' AS role, NULL::VARCHAR AS entity_id, {keys} AS keys, "
                f"{values}, (({_unit(99)} > 0.5)::INT)::DOUBLE AS prediction, {_unit(99)} AS score, "
                "(800 + (hash(i + 7) % 4000))::BIGINT AS latency_us, 'ok' AS status, NULL::VARCHAR AS caller "
                f"FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
    return path


def key_of(number: int) -> dict[str, int]:
    return {"order": number}


def labels(start: int, rows: int, every: int, total: int) -> pl.DataFrame:
    """Labels of every `every`th of `rows` predictions from number `start`, told two days later; 1 as often as scored."""
    numbers = np.arange(start, start + rows, every)
    rng = np.random.default_rng(start)
    made = pl.Series(START.timestamp() + numbers * (DAYS * 86_400 / total))
    told = (made * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC")) + timedelta(days=2)
    return pl.DataFrame(
        {
            "prediction_id": [f"{number:012d}" for number in numbers],
            "label": (rng.random(len(numbers)) < 0.5).astype(float),
            "observed_at": told,
            "recorded_at": told,
        }
    )


@dataclass(frozen=True)
class World:
    """A model's log in `folder`, and the file it came from."""

    folder: Path
    rows: int
    features: int = _MIX
    keyed: bool = False

    @cached_property
    def file(self) -> Path:
        return generate(self.folder / f"{self._name}.parquet", self.rows, self.features, keyed=self.keyed)

    @property
    def _name(self) -> str:
        return f"{self.rows}x{self.features}{'-keyed' if self.keyed else ''}"

    @cached_property
    def workspace(self) -> Workspace:
        root = self.folder / f"house-{self._name}"
        return Workspace.open(root) if root.exists() else Workspace.create(root)

    @cached_property
    def signature(self) -> Signature:
        return signature(self.features)

    @cached_property
    def profile(self) -> Profile:
        """Of rows like the first ones; kept in the workspace as any profile, for the exact scan reads its rows."""
        kept = self.workspace.reference(MODEL, "p1")
        if not (kept / Profile.FILE).exists():
            made = generate(self.folder / f"reference-{self.features}.parquet", REFERENCE_ROWS, self.features)
            rows = pl.read_parquet(made).rename({f.column: f.name for f in self.signature.features})
            scores = rows["score"].to_numpy()
            held = rows.select(self.signature.names).with_columns(late=pl.Series(np.arange(len(scores)) % 2))
            Profile.make(held, self.signature, "p1", None, scores=scores).save(kept)
        return Profile.load(kept)

    def history(self) -> History:
        return History(self.workspace, MODEL, self.signature, self.profile, POLICY, SETTINGS)


def _kind(n: int) -> Kind:
    place = n % _MIX
    return Kind.NUMBER if place < 16 else Kind.INTEGER if place < 20 else Kind.CATEGORY if place < 24 else Kind.BOOLEAN


def _at(rows: int) -> str:
    return f"(TIMESTAMPTZ '{START.isoformat()}' + to_microseconds(i * {DAYS * 86_400_000_000 // rows}))"


def _unit(n: int) -> str:
    """A number evenly spread over 0 to 1, rounded to a millionth."""
    return f"((hash(i * 131 + {n}) % 1000000) / 1000000.0)"


def _value(n: int, rows: int) -> str:
    """Numbers with two to four digits, as measured things have; one in twenty of some is missing."""
    place, unit = n % _MIX, _unit(n)
    drift = f"(CASE WHEN i >= {rows * 2 // 3} THEN {place} / 100.0 ELSE 0 END)"
    if place < 16:
        value = (
            f"round(sqrt(-2 * ln({unit} + 0.0000005)) * cos(6.283185 * {_unit(n + 1000)}) + {drift}, {2 + place % 3})"
        )
        return f"CASE WHEN {unit} < 0.05 THEN NULL ELSE {value} END" if place % 4 == 3 else value
    if place < 20:
        return f"floor({unit} * {unit} * {10 ** (place - 15)})::DOUBLE"
    if place < 24:
        return f"'c' || floor({unit} * {unit} * {6 * (place - 19)})::INT"
    return f"({unit} < 0.3)"
