"""Who foretells a model's performance: by what each version's scores are worth, or by what its errors depend on."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

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
    from pilothouse.ops.model import ModelHandle

VERSION = "__version"
_MOST_CATEGORIES = 254


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


class BinaryEstimator:
    """Knows what each version's scores are worth, from the reference as that version scores it."""

    def __init__(self, handle: ModelHandle) -> None:
        self._handle = handle
        self._known: dict[int, Calibration] = {}
        self.reference_rows = 0
        self.why_not = ""

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

    def _weigh(self, version: int) -> bool:
        """Whether the scores of `version` can be weighed; the first time they are."""
        if version not in self._known:
            reference = reference_rows(self._handle, self._handle.version(version))
            reference = reference.filter(pl.col(TRUE).is_not_null(), pl.col(SCORED).is_finite())
            labels = self._positive(reference[TRUE])
            self.reference_rows, self.why_not = len(labels), why_not_calibrate(labels)
            if self.why_not:
                return False
            self._known[version] = calibrate(numbers(reference[SCORED]), labels)
        return True

    def _positive(self, values: pl.Series) -> Flags:
        return (values == self._handle.signature.target.positive).fill_null(False).to_numpy()


class LossEstimator:
    """Knows what each version's errors depend on, from the reference as that version predicts it."""

    calibrated = None

    def __init__(self, handle: ModelHandle) -> None:
        self._handle = handle
        self._known: dict[int, tuple[_Inputs, LossModel]] = {}
        self.reference_rows = 0
        self.why_not = ""

    def rows(self, window: Window) -> pl.DataFrame:
        """Answered rows of the window with the inputs of the second model, of versions that have one."""
        every = max(window.length, timedelta(hours=1))
        points = self._handle.history.performance_trend(window, every, by_version=True)
        versions = {point.version for point in points if point.version is not None and point.rows}
        found = [self._of_version(window, version) for version in sorted(versions) if self._fit(version)]
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

    def _fit(self, version: int) -> bool:
        """Whether there is a second model for `version`; the first time it is fitted."""
        if version in self._known:
            return True
        reference = reference_rows(self._handle, self._handle.version(version))
        reference = reference.filter(pl.col(TRUE).is_finite(), pl.col(SAID).is_finite())
        self.reference_rows = reference.height
        if reference.height < estimate_loss.LEAST_REFERENCE:
            least = estimate_loss.LEAST_REFERENCE
            self.why_not = f"{reference.height:,} labelled reference rows have a prediction; {least} would do"
            return False
        inputs = _Inputs(self._handle.signature.of_version(version), reference)
        errors = numbers(reference[SAID]) - numbers(reference[TRUE])
        self._known[version] = inputs, LossModel.of(inputs.of(reference), inputs.categories, errors)
        return True


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), VERSION: pl.Int32})


class _Inputs:
    """The features and the prediction as numbers. Categories are numbered as the reference has them, commonest first."""

    def __init__(self, signature: Signature, reference: pl.DataFrame) -> None:
        self._signature, self._reference = signature, reference
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

    @cached_property
    def _places(self) -> dict[str, dict[str, float]]:
        names = [f.name for f in self._signature.features if f.kind is Kind.CATEGORY]
        counted = {n: self._reference[n].cast(pl.String).drop_nulls().value_counts(sort=True, name="n") for n in names}
        return {n: {v: float(i) for i, v in enumerate(found[n].head(_MOST_CATEGORIES))} for n, found in counted.items()}
