"""Who foretells a model's performance: by what each version's scores are worth, or by what its errors depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import polars as pl

from pilothouse.data.history.opened import Memory
from pilothouse.data.log.schema import Status
from pilothouse.data.measures import estimate_loss
from pilothouse.data.measures.calibrate import Calibration, Flags, Way, calibrate, why_not_calibrate
from pilothouse.data.measures.estimate import Expected, Told, estimate_binary
from pilothouse.data.measures.estimate_loss import Foretold, LossModel, estimate_errors, realized_errors
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.rollups.bins import numbers
from pilothouse.data.rollups.profile import LABEL, SCORE
from pilothouse.data.signature import Kind, Signature
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.frames import SAID, SCORED, TRUE, labelled_rows, reference_rows

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.ops.model import ModelHandle

VERSION = "__version"
_MOST_CATEGORIES = 254
Known = TypeVar("Known")


class Estimator(Protocol):
    """What the acts of this folder ask of it. Its rows have `at`, VERSION, TRUE and what it needs besides."""

    def rows(self, window: Window) -> pl.DataFrame: ...
    def expected(self, rows: pl.DataFrame) -> dict[str, Expected | str]: ...
    def realized(self, rows: pl.DataFrame) -> dict[str, float]: ...
    @property
    def reference_rows(self) -> int: ...
    @property
    def calibrated(self) -> bool | None: ...
    @property
    def why_not(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(Generic[Known]):
    """What the reference says of a version: what is `known`, from how many labelled `rows`; or `why_not`."""

    known: Known | None
    rows: int
    why_not: str = ""


_memory: Memory[Learned[Any]] = Memory()


def learned(handle: ModelHandle, version: int, learn: Callable[[VersionRow], Learned[Known]]) -> Learned[Known]:
    """What `learn` finds. Neither a version nor its reference ever changes, so it is asked once in the life of a process."""
    row = handle.version(version)
    asked = (handle.house.workspace.root, handle.name, handle.row.profile_id, version, row.artifact_sha256)
    found: Learned[Known] = _memory.recall(asked, lambda: learn(row))
    return found


class Learner(ABC, Generic[Known]):
    """What all estimators share: they learn of each version what its answers are worth."""

    def __init__(self, handle: ModelHandle) -> None:
        self._handle = handle
        self._known: dict[int, Known] = {}
        self.reference_rows = 0
        self.why_not = ""

    def _weigh(self, version: int) -> bool:
        """Whether the answers of `version` can be weighed."""
        found = learned(self._handle, version, self._learn)
        self.reference_rows, self.why_not = found.rows, found.why_not
        if found.known is not None:
            self._known[version] = found.known
        return found.known is not None

    @abstractmethod
    def _learn(self, version: VersionRow) -> Learned[Known]:
        """What the reference says of a version, as that version answers it."""


class BinaryEstimator(Learner[Calibration]):
    """Knows what each version's scores are worth, from the reference as that version scores it."""

    def rows(self, window: Window) -> pl.DataFrame:
        """Answered rows of the window that have a score, of versions whose scores can be weighed."""
        log = self._handle.prediction_log
        found = log.labelled(window, columns=("at", "version", "prediction", SCORE, "status"))
        answered = found.filter(pl.col("status") == Status.OK, pl.col(SCORE).is_finite())
        told = {"version": VERSION, "prediction": SAID, SCORE: SCORED, LABEL: TRUE}
        weighed = [version for version in answered["version"].unique().to_list() if self._weigh(version)]
        return answered.filter(pl.col("version").is_in(weighed)).select("at", *told).rename(told)

    def expected(self, rows: pl.DataFrame) -> dict[str, Expected | str]:
        parts = [
            Told.by(self._known[int(str(version))], numbers(part[SCORED]), self._positive(part[SAID]))
            for (version,), part in rows.partition_by(VERSION, as_dict=True).items()
        ]
        return estimate_binary(Told.pooled(parts))

    def realized(self, rows: pl.DataFrame) -> dict[str, float]:
        told = Told.realized(numbers(rows[SCORED]), self._positive(rows[SAID]), self._positive(rows[TRUE]))
        return {name: m.value for name, m in estimate_binary(told).items() if isinstance(m, Expected)}

    @property
    def calibrated(self) -> bool | None:
        return any(known.way is not Way.AS_IT_IS for known in self._known.values()) if self._known else None

    def _learn(self, version: VersionRow) -> Learned[Calibration]:
        reference = reference_rows(self._handle, version)
        reference = reference.filter(pl.col(TRUE).is_not_null(), pl.col(SCORED).is_finite())
        labels = self._positive(reference[TRUE])
        why_not = why_not_calibrate(labels)
        known = None if why_not else calibrate(numbers(reference[SCORED]), labels)
        return Learned(known=known, rows=len(labels), why_not=why_not)

    def _positive(self, values: pl.Series) -> Flags:
        return (values == self._handle.signature.target.positive).fill_null(False).to_numpy()


class LossEstimator(Learner["_LossKnown"]):
    """Knows what each version's errors depend on, from the reference as that version predicts it."""

    calibrated = None

    def rows(self, window: Window) -> pl.DataFrame:
        """Answered rows of the window with the inputs of the second model, of versions that have one."""
        every = max(window.length, timedelta(hours=1))
        points = self._handle.history.performance_trend(window, every, by_version=True)
        versions = {point.version for point in points if point.version is not None and point.rows}
        found = [self._of_version(window, version) for version in sorted(versions) if self._weigh(version)]
        return pl.concat([_no_rows(), *found], how="diagonal_relaxed").sort("at")

    def expected(self, rows: pl.DataFrame) -> dict[str, Expected | str]:
        parts = [
            self._known[int(str(version))][1].foretell(self._known[int(str(version))][0].of(part))
            for (version,), part in rows.partition_by(VERSION, as_dict=True).items()
        ]
        return estimate_errors(Foretold.pooled(parts))

    def realized(self, rows: pl.DataFrame) -> dict[str, float]:
        return realized_errors(numbers(rows[SAID]) - numbers(rows[TRUE]))

    def _of_version(self, window: Window, version: int) -> pl.DataFrame:
        rows = labelled_rows(self._handle, window, version)
        return rows.filter(pl.col(SAID).is_finite()).with_columns(pl.lit(version).alias(VERSION))

    def _learn(self, version: VersionRow) -> Learned[_LossKnown]:
        reference = reference_rows(self._handle, version)
        reference = reference.filter(pl.col(TRUE).is_finite(), pl.col(SAID).is_finite())
        rows, least = reference.height, estimate_loss.LEAST_REFERENCE
        if rows < least:
            return Learned(
                known=None, rows=rows, why_not=f"{rows:,} labelled reference rows have a prediction; {least} would do"
            )
        inputs = _Inputs(self._handle.signature.of_version(version.version), reference)
        errors = numbers(reference[SAID]) - numbers(reference[TRUE])
        return Learned(known=(inputs, LossModel.of(inputs.of(reference), inputs.categories, errors)), rows=rows)


_LossKnown = tuple["_Inputs", LossModel]


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), VERSION: pl.Int32})


class _Inputs:
    """The features and the prediction as numbers. Categories are numbered as the reference has them, commonest first."""

    def __init__(self, signature: Signature, reference: pl.DataFrame) -> None:
        self._signature = signature
        names = [f.name for f in signature.features if f.kind is Kind.CATEGORY]
        self._places = {name: _places(reference[name]) for name in names}
        self.categories = np.array([f.kind is Kind.CATEGORY for f in signature.features] + [False])

    def of(self, rows: pl.DataFrame) -> Floats:
        """float64, shape (rows, features + 1), NaN for missing and for what the reference does not have."""
        columns = [
            numbers(self._numbered(f.name, rows[f.name]) if f.kind is Kind.CATEGORY else rows[f.name])
            for f in self._signature.features
        ]
        return np.column_stack([*columns, numbers(rows[SAID])])

    def _numbered(self, name: str, column: pl.Series) -> pl.Series:
        places = self._places[name]
        return column.cast(pl.String).replace_strict(places, default=None, return_dtype=pl.Float64)


def _places(column: pl.Series) -> dict[str, float]:
    counted = column.cast(pl.String).drop_nulls().value_counts(sort=True, name="n")
    return {value: float(place) for place, value in enumerate(counted[column.name].head(_MOST_CATEGORIES))}
