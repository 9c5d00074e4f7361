"""The exact scan: drift and performance from the rows themselves, column by column, so that memory stays bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from pilothouse.data.history.results import FeatureDrift, Metric
from pilothouse.data.history.takers import takers_of
from pilothouse.data.limits import check_limit
from pilothouse.data.log.schema import Status
from pilothouse.data.measures.chances import one_against_rest
from pilothouse.data.measures.exact import Sample, measure_exactly, sample_of
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.rollups.bins import numbers
from pilothouse.data.rollups.chances import chances_in, one_each
from pilothouse.data.rollups.outcomes import count_outcomes, outcomes_of, realized
from pilothouse.data.rollups.profile import SCORE, STORED, FeatureProfile, Profile
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window

_VALUES_AT_ONCE = 16_000_000
"""Values held in memory at a time: 128 MB of numbers, and as much again while they are sorted."""
_KEYS = ("at", "version", "role", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows asked about: those of `files` in `window` that got an answer, of `roles` and of `version` if given.

    columns : the log's, by name, with their types.
    """

    files: Sequence[str]
    columns: Mapping[str, pl.DataType]
    window: Window
    roles: Sequence[str]
    version: int | None

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """All rows of the files. A column that an older file lacks is null there."""
        check_limit()
        if not self.files:
            return pl.DataFrame(schema={name: self.columns[name] for name in names})
        return pl.scan_parquet(
            list(self.files),
            schema={name: self.columns[name] for name in names},
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
        ).collect()

    def asked_about(self) -> pl.Series:
        """Whether each row of the files is one of them: boolean, shape (rows of the files,)."""
        inside = (pl.col("at") >= self.window.start) & (pl.col("at") < self.window.end)
        chosen = inside & pl.col("role").is_in(list(self.roles)) & (pl.col("status") == Status.OK)
        if self.version is not None:
            chosen &= pl.col("version") == self.version
        return self.read(_KEYS).select(chosen.alias("asked")).to_series()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the scan found. rows : how many there were. score : None where the model gives none."""

    rows: int
    features: tuple[FeatureDrift, ...]
    score: FeatureDrift | None


def scan_drift(rows: Rows, profile: Profile, signature: Signature, folder: Path) -> Measured:
    """Exact drift of every feature and of the score. folder : where the reference's own rows are kept."""
    measured = _measured(profile)
    alone = profile.sample if profile.before is None else None
    reference = _reference(folder) if alone is None else _samples(measured, alone)
    asked = rows.asked_about()
    found = dict(_each(rows, asked, measured, reference, signature))
    score = found.pop(SCORE, None)
    return Measured(rows=int(asked.sum()), features=tuple(found.values()), score=score)


def exact_performance(contributions: pl.DataFrame, signature: Signature) -> dict[str, Metric]:
    """Metrics of a model of classes, its ROC AUC from every score; bands as `measure_performance` has them.

    contributions : score, label, sign. A label that another has replaced stands in two rows that cancel out.
    """
    if signature.task is Task.MULTICLASS:
        return _exact_classes(contributions, signature)
    held = contributions.group_by("score", "label").agg(n=pl.col("sign").cast(pl.Int64).sum()).filter(pl.col("n") > 0)
    each = held.select(pl.col("score", "label").repeat_by("n").explode())
    scores = numbers(each[SCORE])
    positive = (each["label"] == signature.target.positive).to_numpy()
    metrics = measure_performance(outcomes_of(scores, positive))
    found = metrics["roc_auc"]
    return metrics if found.value is None else metrics | {"roc_auc": _with_exact_auc(found, scores, positive)}


def _exact_classes(contributions: pl.DataFrame, signature: Signature) -> dict[str, Metric]:
    counts = count_outcomes(contributions, signature, "UTC", None)
    metrics = realized(counts, signature)
    if metrics["log_loss"].value is None:
        return metrics
    chances = chances_in(counts, contributions.height, len(signature.target.classes))
    positives, negatives = one_each(contributions, signature)
    return metrics | one_against_rest(replace(chances, positives=positives, negatives=negatives))


def _with_exact_auc(
    found: Metric,
    scores: np.ndarray[tuple[int], np.dtype[np.float64]],
    positive: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Metric:
    from sklearn.metrics import roc_auc_score

    scored = ~np.isnan(scores)
    value = float(roc_auc_score(positive[scored], scores[scored]))
    return Metric(value=value, low=found.low, high=found.high)


def _each(
    rows: Rows,
    asked: pl.Series,
    measured: Mapping[str, FeatureProfile],
    reference: Mapping[str, Sample],
    signature: Signature,
) -> Iterator[tuple[str, FeatureDrift]]:
    """The drift of each column, a few columns in memory at a time; sorting leaves Python free, so threads share it."""
    at_once = max(1, _VALUES_AT_ONCE // max(1, len(asked)))
    columns = list(measured)
    taken = _Taken(rows, asked, signature)

    def measure(column: pl.Series) -> FeatureDrift:
        feature, chosen = measured[column.name], taken.of(column.name)
        kept = column if chosen.all() else column.filter(chosen)
        return measure_exactly(feature, reference[column.name], sample_of(feature, kept))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(columns), at_once):
            block = columns[start : start + at_once]
            yield from zip(block, pool.map(measure, rows.read(block).iter_columns()), strict=True)


class _Taken:
    """Which of the rows asked about are of versions that take a feature in the way of a column."""

    def __init__(self, rows: Rows, asked: pl.Series, signature: Signature) -> None:
        self._asked, self._signature = asked, signature
        self._version = rows.read(("version",))["version"] if signature.variants else None
        self._versions = [] if self._version is None else self._version.unique().to_list()

    def of(self, column: str) -> pl.Series:
        if self._version is None or column == SCORE:
            return self._asked
        return self._asked & self._version.is_in(takers_of(column, self._versions, self._signature))


def _measured(profile: Profile) -> dict[str, FeatureProfile]:
    """What drift is measured of, by the log's column."""
    columns = {f"{STORED}{name}": feature for name, feature in profile.features.items()}
    return columns if profile.score is None else {**columns, SCORE: profile.score}


@lru_cache(maxsize=8)
def _reference(folder: Path) -> dict[str, Sample]:
    """The reference's values, sorted once: what stands in the folder of a profile never changes."""
    profile = Profile.load(folder)
    before = {} if profile.before is None else _reference(folder.parent / profile.before)
    new = {column: feature for column, feature in _measured(profile).items() if column not in before}
    return before | _samples(new, Profile.load_sample(folder))


def _samples(measured: Mapping[str, FeatureProfile], rows: pl.DataFrame) -> dict[str, Sample]:
    return {column: sample_of(feature, rows[column]) for column, feature in measured.items()}
