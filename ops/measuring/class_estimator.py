"""Who foretells the performance of a model of several classes: by what the probability of each class is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pilothouse.data.log.class_scores import class_matrix
from pilothouse.data.log.schema import CLASS_SCORES, Status
from pilothouse.data.measures.calibrate_classes import ClassCalibration, calibrate_classes, why_not_calibrate_classes
from pilothouse.data.measures.estimate import LEAST_ROWS, Expected
from pilothouse.data.measures.estimate_classes import ToldClasses, estimate_classes
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.rollups.chances import class_of
from pilothouse.data.rollups.profile import LABEL
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.estimators import VERSION, Learned, Learner
from pilothouse.ops.measuring.frames import EACH, SAID, TRUE, reference_rows

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow

_ELSEWHERE = (
    "version {version} is served elsewhere, so nothing is known of what its probabilities of the reference rows are worth; "
    "register the model itself"
)
_NOT_LOGGED = (
    "{rows:,} answered rows in this range, and {known:,} of them have a probability for each class; {least} would do. "
    "Log them in a column scores, or one column score_CLASS a class"
)


class ClassEstimator(Learner[ClassCalibration]):
    """Knows what each version's probabilities are worth, from the reference as that version scores it."""

    @property
    def _classes(self) -> int:
        return len(self._handle.signature.target.classes)

    def rows(self, window: Window) -> pl.DataFrame:
        """Answered rows of the window with a probability for each class, of versions whose ones can be weighed."""
        log = self._handle.prediction_log
        found = log.labelled(window, columns=("at", "version", "prediction", CLASS_SCORES, "status"))
        answered = found.filter(pl.col("status") == Status.OK)
        scored = answered.filter(pl.col(CLASS_SCORES).list.len() == self._classes)
        if scored.height < LEAST_ROWS <= answered.height:
            self.why_not = _NOT_LOGGED.format(rows=answered.height, known=scored.height, least=LEAST_ROWS)
        told = {"version": VERSION, "prediction": SAID, CLASS_SCORES: EACH, LABEL: TRUE}
        weighed = [version for version in scored["version"].unique().to_list() if self._weigh(version)]
        return scored.filter(pl.col("version").is_in(weighed)).select("at", *told).rename(told)

    def expected(self, rows: pl.DataFrame) -> dict[str, Expected | str]:
        parts = [
            ToldClasses.by(self._known[int(str(version))], self._scores(part), self._places(part[SAID]))
            for (version,), part in rows.partition_by(VERSION, as_dict=True).items()
        ]
        return estimate_classes(ToldClasses.pooled(parts))

    def realized(self, rows: pl.DataFrame) -> dict[str, float]:
        told = ToldClasses.realized(self._scores(rows), self._places(rows[SAID]), self._places(rows[TRUE]))
        return {name: m.value for name, m in estimate_classes(told).items() if isinstance(m, Expected)}

    @property
    def calibrated(self) -> bool | None:
        return any(known.changes for known in self._known.values()) if self._known else None

    def _learn(self, version: VersionRow) -> Learned[ClassCalibration]:
        if version.artifact_sha256 is None:
            return Learned(known=None, rows=0, why_not=_ELSEWHERE.format(version=version.version))
        reference = reference_rows(self._handle, version).filter(pl.col(TRUE).is_not_null())
        scores, labels = self._scores(reference), self._places(reference[TRUE])
        whole = np.isfinite(scores).all(axis=1)
        why_not = why_not_calibrate_classes(labels[whole], self._classes)
        known = None if why_not else calibrate_classes(scores[whole], labels[whole])
        return Learned(known=known, rows=int(whole.sum()), why_not=why_not)

    def _scores(self, rows: pl.DataFrame) -> Floats:
        return class_matrix(rows[EACH], self._classes)[1]

    def _places(self, values: pl.Series) -> Ints:
        return class_of(values, self._handle.signature).to_numpy().astype(np.int64)
