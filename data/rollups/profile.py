"""The reference profile: a model's inputs, scores and outcomes on labelled rows held out from training."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import polars as pl

from pilothouse.data.errors import EmptyWindow, MissingColumn
from pilothouse.data.history.results import Metric, Reference
from pilothouse.data.measures.drift import DECILES, decile_groups
from pilothouse.data.measures.outcomes import Outcomes
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.rollups.bins import Bins, CategoryBins, Floats, Ints, NumberBins, numbers, tally
from pilothouse.data.rollups.outcomes import outcomes_of
from pilothouse.data.rollups.predicted import predicted_performance
from pilothouse.data.rollups.segments import Segments, load_segments, save_segments, segments_number
from pilothouse.data.signature import NUMERIC, Feature, Kind, Signature, Task
from pilothouse.data.store import write_durably
from pilothouse.data.windows import Window, parse_time

SCORE = "score"
PREDICTION = "prediction"
LABEL = "label"
STORED = "x_"
"""What the log puts before a feature's name."""
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureProfile:
    """One feature (or the score) in the reference.

    name : what roll-ups call it: its column in the log without `x_`, so that a feature whose type changed is two.
    counts : int64, shape (slots,): rows by slot of `bins`. sums : float64, same shape: of the values, 0 for categories.
    mean, sd, low, high : of the finite values; None for categories and where every value is missing.
    """

    name: str
    kind: Kind
    bins: Bins
    counts: Ints
    sums: Floats
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, kind: Kind, column: pl.Series) -> FeatureProfile:
        bins: Bins = NumberBins.of(numbers(column)) if kind in NUMERIC else CategoryBins.of(column)
        codes, alone = bins.codes(column), np.zeros(len(column), np.int64)
        weights = bins.weights(column) if isinstance(bins, NumberBins) else np.zeros(len(column))
        facts = _facts(numbers(column)) if kind in NUMERIC else (None, None, None, None)
        return cls(
            name=name,
            kind=kind,
            bins=bins,
            counts=tally(codes, bins.slots, alone, 1)[0].astype(np.int64),
            sums=tally(codes, bins.slots, alone, 1, weights)[0],
            mean=facts[0],
            sd=facts[1],
            low=facts[2],
            high=facts[3],
        )

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def missing(self) -> float:
        """Share of missing values."""
        return float(self.counts[-1] / max(self.rows, 1))

    @cached_property
    def groups(self) -> Ints:
        """Which bin of PSI each slot but the missing one belongs to: int64, shape (slots - 1,).

        Categories and numbers of up to ten values: one each. Other numbers: tenths of the reference, open at both ends.
        """
        if isinstance(self.bins, CategoryBins):
            return np.arange(self.bins.slots - 1)
        inner = self.counts[1:-2]
        one_each = inner.sum() == 0 or len(inner) <= DECILES
        groups = np.arange(len(inner)) if one_each else decile_groups(inner)
        return np.concatenate([groups[:1], groups, groups[-1:]])

    def grouped(self, counts: Ints) -> Ints:
        """Counts by slot, shape (slots,), as counts by bin of PSI; missing values left out."""
        return np.bincount(self.groups, weights=counts[:-1]).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "bins": self.bins.to_json(),
            "counts": self.counts.tolist(),
            "sums": self.sums.tolist(),
            **{fact: getattr(self, fact) for fact in ("mean", "sd", "low", "high")},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureProfile:
        kind = Kind(value["kind"])
        made = NumberBins.from_json if kind in NUMERIC else CategoryBins.from_json
        changed = {
            "kind": kind,
            "bins": made(value["bins"]),
            "counts": np.array(value["counts"], np.int64),
            "sums": np.array(value["sums"], np.float64),
        }
        return cls(**{**value, **changed})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What drift and decay are measured against.

    features : by their `name`, in the signature's order. score, performance : of the reference rows; None and empty where they
    were not scored. sample : those rows, when just made; `load_sample` reads them again. segments : columns by whose
    values rows and outcomes are counted. before : id of the profile that this one extends; its features that this one
    shares have their reference rows there.
    """

    FILE: ClassVar[str] = "profile.json"
    SAMPLE: ClassVar[str] = "sample.parquet"

    profile_id: str
    rows: int
    window: Window | None
    features: dict[str, FeatureProfile]
    score: FeatureProfile | None
    performance: dict[str, Metric]
    sample: pl.DataFrame | None = None
    segments: Segments = ()
    before: str | None = None

    @classmethod
    def make(
        cls,
        frame: pl.DataFrame,
        signature: Signature,
        profile_id: str,
        window: Window | None,
        *,
        scores: Floats | None = None,
    ) -> Profile:
        """The profile of labelled rows held out from training.

        frame : one row an example, with every feature and the target under their own names; null and NaN are missing.
        window : the time the rows come from, None when unknown. scores : float64, shape (rows,), probabilities of the
        positive class by the model that these rows were held out from; left out, the column `score`, if there is one
        that is no feature. Models of other tasks are judged by a column `prediction`.
        Raises EmptyWindow without rows, MissingColumn when a feature or the target is not there.
        """
        if frame.height == 0:
            raise EmptyWindow("the reference", "Give labelled rows that were held out from training.")
        for name in (*signature.names, signature.target.name):
            if name not in frame.columns:
                raise MissingColumn("the reference", name, frame.columns)
        if scores is None and SCORE in frame.columns and SCORE not in (*signature.names, signature.target.name):
            scores = numbers(frame[SCORE])
        sample = _sample(frame, signature, scores)
        return cls(
            profile_id=profile_id,
            rows=frame.height,
            window=window,
            features=_features(sample, signature.features),
            score=None if scores is None else FeatureProfile.of(SCORE, Kind.NUMBER, sample[SCORE]),
            performance=_performance(frame, sample, signature) if scores is None else _scored(sample, signature),
            sample=sample,
        )

    def extended(self, frame: pl.DataFrame, signature: Signature, profile_id: str) -> Profile:
        """The same with the features of `signature` that it lacks, as the labelled rows `frame` have them.

        What it has stays as it is, and so do the counts made by it. frame : as in `make`, and so is what is raised.
        """
        made = Profile.make(frame, signature, profile_id, None)
        new = {name: feature for name, feature in made.features.items() if name not in self.features}
        return replace(
            self, profile_id=profile_id, features=self.features | new, sample=made.sample, before=self.profile_id
        )

    @property
    def counted_by(self) -> int:
        """What stands for that by which rows are counted among the marks of the roll-ups: other columns, other number."""
        if self.before is None:
            return segments_number(self.segments)
        return zlib.crc32(msgspec.json.encode([segments_number(self.segments), *self.features]))

    @property
    def reference(self) -> Reference:
        start, end = (self.window.start, self.window.end) if self.window else (None, None)
        return Reference(profile_id=self.profile_id, rows=self.rows, start=start, end=end)

    def save(self, folder: Path) -> None:
        """Write profile.json and, beside it, the reference rows as sample.parquet (x_<feature>, score, label)."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.sample is not None:
            rows = io.BytesIO()
            self.sample.write_parquet(rows)
            write_durably(folder / self.SAMPLE, rows.getvalue())
        write_durably(folder / self.FILE, msgspec.json.encode(self._to_json()))
        if self.segments:
            save_segments(folder, self.segments)

    @classmethod
    def load(cls, folder: Path) -> Profile:
        """The profile in `folder`, without its rows: `load_sample` reads those."""
        value = msgspec.json.decode((folder / cls.FILE).read_bytes())
        span = value["window"]
        return cls(
            profile_id=value["profile_id"],
            rows=value["rows"],
            window=Window(parse_time(span[0]), parse_time(span[1])) if span else None,
            features={v["name"]: FeatureProfile.from_json(v) for v in value["features"]},
            score=FeatureProfile.from_json(value["score"]) if value["score"] else None,
            performance={name: Metric(**metric) for name, metric in value["performance"].items()},
            segments=load_segments(folder),
            before=value.get("before"),
        )

    @staticmethod
    def load_sample(folder: Path) -> pl.DataFrame:
        """The reference rows: x_<feature>, score (null where not scored), label."""
        return pl.read_parquet(folder / Profile.SAMPLE)

    def _to_json(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "profile_id": self.profile_id,
            "rows": self.rows,
            "window": [self.window.start, self.window.end] if self.window else None,
            "features": [f.to_json() for f in self.features.values()],
            "score": self.score.to_json() if self.score else None,
            "performance": {name: msgspec.to_builtins(metric) for name, metric in self.performance.items()},
            "before": self.before,
        }


def profile_before(folder: Path) -> str | None:
    """Id of the profile that the one in `folder` extends, read without the rest of it."""
    file = folder / Profile.FILE
    return msgspec.json.decode(file.read_bytes(), type=_Before).before if file.is_file() else None


class _Before(msgspec.Struct):
    before: str | None = None


def _features(sample: pl.DataFrame, features: Sequence[Feature]) -> dict[str, FeatureProfile]:
    named = {feature.column.removeprefix(STORED): feature for feature in features}
    return {name: FeatureProfile.of(name, f.kind, sample[f.column]) for name, f in named.items()}


def _facts(values: Floats) -> tuple[float | None, float | None, float | None, float | None]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None, None, None, None
    return float(finite.mean()), float(finite.std()), float(finite.min()), float(finite.max())


def _sample(frame: pl.DataFrame, signature: Signature, scores: Floats | None) -> pl.DataFrame:
    scored = pl.Series(SCORE, scores, pl.Float64) if scores is not None else pl.lit(None, pl.Float64).alias(SCORE)
    columns = [_logged(f, frame[f.name]) for f in signature.features]
    return pl.DataFrame(columns).with_columns(scored, frame[signature.target.name].alias(LABEL))


def _logged(feature: Feature, column: pl.Series) -> pl.Series:
    """A feature as the log would hold it."""
    kind = pl.Float64 if feature.numeric else pl.Boolean if feature.kind is Kind.BOOLEAN else pl.String
    return column.cast(kind).alias(feature.column)


def _performance(frame: pl.DataFrame, sample: pl.DataFrame, signature: Signature) -> dict[str, Metric]:
    """That of the predictions that came with the rows; none where there are none, and of a binary model without scores."""
    own = (*signature.names, signature.target.name)
    if signature.task is Task.BINARY or PREDICTION not in frame.columns or PREDICTION in own:
        return {}
    return predicted_performance(frame[PREDICTION], sample[LABEL], signature)


def _scored(sample: pl.DataFrame, signature: Signature) -> dict[str, Metric]:
    if signature.task is not Task.BINARY:
        return {}
    labelled = sample.filter(pl.col(LABEL).is_not_null())
    outcomes: Outcomes = outcomes_of(
        numbers(labelled[SCORE]), (labelled[LABEL] == signature.target.positive).to_numpy()
    )
    return measure_performance(outcomes)
