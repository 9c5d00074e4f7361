"""From rows to roll-up rows: pure, and the same for the fold, a rebuild and the scan of a ragged end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.log.schema import Status
from pilothouse.data.rollups.bins import (
    LATENCY_SLOTS,
    Floats,
    Ints,
    NumberBins,
    latency_slots,
    numbers,
    tally,
)
from pilothouse.data.rollups.profile import FeatureProfile, Profile
from pilothouse.data.rollups.schema import KEYS, SUMS, Part, Tier, bucket_of, day_of, no_rows, period_of

_GROUP = ("tier", "period", "bucket", "version", "role", "recorded")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coded:
    """One measured column: codes, weights of shape (rows,); weights None: counts alone."""

    part: Part
    feature: str
    slots: int
    codes: Ints
    weights: Floats | None = None

    def where(self, kept: npt.NDArray[np.bool_]) -> _Coded:
        return replace(self, codes=self.codes[kept], weights=None if self.weights is None else self.weights[kept])


def count_rows(
    rows: pl.DataFrame, profile: Profile, zone: str, hours_from: datetime | None, *, days: bool = True
) -> pl.DataFrame:
    """Roll-up rows of predictions: volume, features, score and latency.

    rows : predictions with at, logged_at, version, role, status, score, latency_us and x_<feature>; a feature without a
    column counts as missing. hours_from : hours are counted for rows since then, None for none. days : whether days are.
    """
    answered = rows.filter(pl.col("status") == Status.OK)
    coded = list(_coded(answered, profile))
    parts = [no_rows()]
    if days:
        parts += [_volume(rows, Tier.DAY, zone), *_tallied(answered, coded, Tier.DAY, zone)]
    if hours_from is not None:
        kept = (answered["at"] >= hours_from).to_numpy()
        parts.append(_volume(rows.filter(pl.col("at") >= hours_from), Tier.HOUR, zone))
        parts += _tallied(answered.filter(kept), [column.where(kept) for column in coded], Tier.HOUR, zone)
    return pl.concat(parts)


def columns_counted(profile: Profile) -> list[str]:
    """Columns of the prediction log that `count_rows` reads."""
    return ["at", "logged_at", "version", "role", "status", "score", "latency_us"] + [
        f"x_{n}" for n in profile.features
    ]


def _coded(rows: pl.DataFrame, profile: Profile) -> Iterator[_Coded]:
    for feature in profile.features.values():
        column = rows[f"x_{feature.name}"] if f"x_{feature.name}" in rows.columns else _nothing(rows.height)
        yield _coded_feature(Part.FEATURE, feature, column)
    if profile.score is not None:
        yield _coded_feature(Part.SCORE, profile.score, rows["score"])
    latency = numbers(rows["latency_us"])
    # A row scored in bulk has no latency of its own: it goes to a slot past the last, which is not kept.
    codes = np.where(np.isnan(latency), LATENCY_SLOTS, latency_slots(np.nan_to_num(latency)))
    yield _Coded(part=Part.LATENCY, feature="", slots=LATENCY_SLOTS + 1, codes=codes)


def _coded_feature(part: Part, feature: FeatureProfile, column: pl.Series) -> _Coded:
    bins = feature.bins
    weights = bins.weights(column) if isinstance(bins, NumberBins) else None
    return _Coded(part=part, feature=feature.name, slots=bins.slots, codes=bins.codes(column), weights=weights)


def _nothing(rows: int) -> pl.Series:
    return pl.Series("value", [None] * rows, pl.Float64)


def _keyed(rows: pl.DataFrame, tier: Tier, zone: str) -> pl.DataFrame:
    return rows.select(
        pl.lit(tier.value).alias("tier"),
        period_of(tier, zone),
        bucket_of(tier, zone),
        pl.col("version"),
        pl.col("role"),
        day_of("logged_at", zone).alias("recorded"),
        pl.col("status"),
    )


def _volume(rows: pl.DataFrame, tier: Tier, zone: str) -> pl.DataFrame:
    counted = _keyed(rows, tier, zone).group_by(*_GROUP, "status").agg(pl.len().cast(pl.Int64).alias("n"))
    return _long(
        counted.rename({"status": "feature"}),
        part=pl.lit(Part.VOLUME.value),
        bin=pl.lit(0, pl.Int32),
        s=pl.lit(0.0),
        s2=pl.lit(0.0),
    )


def _tallied(rows: pl.DataFrame, coded: list[_Coded], tier: Tier, zone: str) -> Iterator[pl.DataFrame]:
    if rows.height == 0:
        return
    keyed = _keyed(rows, tier, zone)
    groups = keyed.select(_GROUP).unique(maintain_order=True).with_row_index("group")
    group_of = keyed.join(groups, on=list(_GROUP), how="left", maintain_order="left")["group"]
    codes_of_group = group_of.cast(pl.Int64).to_numpy()
    for column in coded:
        yield _one_column(column, groups, codes_of_group)


def _one_column(column: _Coded, groups: pl.DataFrame, group_of: Ints) -> pl.DataFrame:
    counts = tally(column.codes, column.slots, group_of, groups.height)
    if column.part is Part.LATENCY:
        counts = counts[:, :LATENCY_SLOTS]
    group, slot = np.nonzero(counts)
    sums = np.zeros(len(group))
    if column.weights is not None:
        sums = tally(column.codes, column.slots, group_of, groups.height, column.weights)[group, slot]
    return _long(
        groups[group].with_columns(
            pl.Series("bin", slot, pl.Int32),
            pl.Series("n", counts[group, slot], pl.Float64).cast(pl.Int64),
            pl.Series("s", sums, pl.Float64),
        ),
        part=pl.lit(column.part.value),
        feature=pl.lit(column.feature),
        s2=pl.lit(0.0),
    )


def _long(rows: pl.DataFrame, **constants: pl.Expr) -> pl.DataFrame:
    return rows.with_columns(label=pl.lit(None, pl.Int8), **constants).select(*KEYS, *SUMS)
