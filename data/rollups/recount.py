"""The recount: one day's roll-ups against a fresh count of its rows, as known now and on every day before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import msgspec
import polars as pl

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.contributions import outcomes_between
from pilothouse.data.rollups.count import columns_counted, count_rows
from pilothouse.data.rollups.gaps import lacks_rows
from pilothouse.data.rollups.outcomes import count_outcomes
from pilothouse.data.rollups.plan import midnight, next_day
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import KEYS, SUMS, Tier, added_up, no_rows
from pilothouse.data.rollups.source import Source, batches, files_holding
from pilothouse.data.rollups.store import Cursor, rollup_folder, stored_periods, stored_rows
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature
from pilothouse.data.store import write_durably
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace

_NAMED = 5
_TOLERANCE = 1e-9
"""How far two sums of the same numbers, added in another order, may be apart, as a share of their size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountReport:
    """What a recount of `day` found: how many cells it compared, and how many of them differ.

    where : what the differing cells count, those first of which most differ; a few at most.
    """

    day: date
    cells: int
    differing: int
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRecount:
    """The recount of a model that was done last."""

    at: datetime
    found: RecountReport


def keep_recount(workspace: Workspace, model: str, found: RecountReport, now: datetime) -> None:
    """Note what a recount has found, for whoever asks how the log stands."""
    write_durably(_note(workspace, model), msgspec.json.encode(LastRecount(at=now, found=found)))


def last_recount(workspace: Workspace, model: str) -> LastRecount | None:
    """The last recount of the model; None before the first."""
    note = _note(workspace, model)
    return msgspec.json.decode(note.read_bytes(), type=LastRecount) if note.exists() else None


def _note(workspace: Workspace, model: str) -> Path:
    return workspace.root / "scrub" / f"{model}.recount.json"


def counted_days(workspace: Workspace, model: str, settings: Settings) -> list[date]:
    """The business days that the roll-ups hold and whose rows the log still has, sorted."""
    folder = rollup_folder(workspace, model)
    files = folder.files(keep=set(_months(stored_periods(folder))).__contains__)
    if not files:
        return []
    days = pl.col("bucket").dt.convert_time_zone(settings.time_zone).dt.date()
    found = pl.scan_parquet(files, hive_partitioning=False).filter(pl.col("tier") == Tier.DAY)
    held: list[date] = found.select(days.unique().sort()).collect()["bucket"].to_list()
    return [day for day in held if not lacks_rows(folder, day)]


def recount(
    workspace: Workspace,
    model: str,
    signature: Signature,
    profile: Profile,
    policy: LabelPolicy,
    settings: Settings,
    day: date,
) -> RecountReport:
    """Compare the roll-ups of `day`, cell by cell, with a count of the rows they have taken in.

    A cell is one slot of one histogram with the day on which it became known. To be called under the model's fold
    lease. Raises EmptyWindow when the roll-ups hold nothing of that day.
    """
    span = Window(midnight(day, settings.zone), next_day(midnight(day, settings.zone), settings.zone))
    folder = rollup_folder(workspace, model)
    cursor = Cursor.of(folder)
    with_hours = cursor.hours_from is not None and day >= cursor.hours_from
    periods = {f"{day:%Y-%m}"} | ({day.isoformat()} if with_hours else set())
    stored = stored_rows(folder, sorted(periods & set(stored_periods(folder))))
    kept = stored.filter(pl.col("bucket") >= span.start, pl.col("bucket") < span.end)
    if kept.height == 0:
        raise EmptyWindow(f"{day} of {model}", f"Choose one of the days that `pilothouse drift {model}` shows.")
    source = Source.open(workspace, model, signature, policy)
    differing = _differing(kept, _counted_anew(source, cursor, profile, settings, span))
    return RecountReport(day=day, cells=kept.height, differing=differing.height, where=_where(differing))


def _counted_anew(source: Source, cursor: Cursor, profile: Profile, settings: Settings, span: Window) -> pl.DataFrame:
    zone, since = settings.time_zone, cursor.hours_since(settings.zone)
    predictions = source.predictions.files(cursor.predictions) if cursor.predictions is not None else []
    labels = source.labels.files(cursor.labels) if cursor.labels is not None else []
    near = files_holding(source.predictions, predictions, [], "at", span)
    inside = (pl.col("at") >= span.start) & (pl.col("at") < span.end)
    parts = [
        count_rows(batch.filter(inside), profile, zone, since)
        for batch in batches(near, columns_counted(profile), source.predictions.schema)
    ]
    outcomes = outcomes_between(source, predictions, labels, span, zone, None, profile.segments)
    return added_up(
        pl.concat(
            [no_rows(), *parts, count_outcomes(outcomes, source.signature, zone, since, segments=profile.segments)]
        )
    )


def _differing(kept: pl.DataFrame, anew: pl.DataFrame) -> pl.DataFrame:
    """Cells that stand on one side alone, or whose rows or sums differ."""
    both = kept.join(anew, on=KEYS, how="full", suffix="_anew", nulls_equal=True)
    unlike = pl.any_horizontal(
        (pl.col(name) - pl.col(f"{name}_anew")).abs()
        > _TOLERANCE * pl.max_horizontal(pl.lit(1.0), pl.col(name).abs(), pl.col("n").abs())
        for name in SUMS
    )
    return both.filter(unlike | pl.col("n").is_null() | pl.col("n_anew").is_null())


def _where(differing: pl.DataFrame) -> tuple[str, ...]:
    """
    >>> _where(pl.DataFrame({"part": ["feature", "feature"], "feature": ["wind", None], "part_anew": [None, "feature"],
    ...                      "feature_anew": ["wind", "wind"]}))
    ('feature wind',)
    """
    sides = [pl.coalesce(name, f"{name}_anew") for name in ("part", "feature")]
    most = differing.group_by(sides).len().sort("len", "part", "feature", descending=[True, False, False])
    return tuple(f"{part} {feature}" for part, feature, _ in most.head(_NAMED).rows())


def _months(periods: list[str]) -> list[str]:
    return [period for period in periods if len(period) == len("2026-03")]
