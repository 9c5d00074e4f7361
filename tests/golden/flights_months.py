"""`python -m tests.golden.flights_months`: flights month by month: what drift ranks first by PSI and by impact.

The model is the demo's. Beside each month's ranking stands what its scores foretold of ROC AUC without any label, and
what became of it; the tables are read in docs/impact.md. Further columns: extend Month, and HEAD and `cells` with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.demo import flights
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import auc_band, auc_with_variance
from pilothouse.data.measures.calibrate import Calibration, calibrate
from pilothouse.data.measures.estimate import Told, estimate_binary, metrics_of
from pilothouse.data.measures.impact import Effects, Shift, Verdict, measure_effects
from pilothouse.data.measures.outcomes import Floats
from pilothouse.data.measures.reweighting import WeightedAuc
from pilothouse.data.rollups.outcomes import outcomes_of
from pilothouse.data.rollups.profile import STORED, FeatureProfile, Profile
from pilothouse.data.signature import Signature, Task, infer_signature
from pilothouse.ops.demo.build import REFERENCE_WEEKS, TRAINED_WEEKS, make_pipeline, weeks_of
from pilothouse.ops.scoring import model_frame

HALF_A_YEAR = (0, 26)
_THRESHOLD = 0.5
HEAD = (
    "month",
    "rows",
    "estimated ROC AUC",
    "realized ROC AUC",
    "change",
    "first by PSI",
    "first by impact",
    "its effect",
    "not explained",
    "silent on",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A model and the labelled rows it is compared with. months : of 2013, those that come after."""

    name: str
    model: Any
    signature: Signature
    profile: Profile
    reference: pl.DataFrame
    scores: Floats
    calibration: Calibration
    months: Sequence[int]

    def shifts(self, rows: pl.DataFrame) -> list[Shift]:
        """How `rows` have each feature."""
        return [
            self._shift(f.name, self.profile.features[f.column.removeprefix(STORED)], rows)
            for f in self.signature.features
        ]

    def _shift(self, name: str, profile: FeatureProfile, rows: pl.DataFrame) -> Shift:
        counts = np.bincount(profile.bins.codes(rows[name]), minlength=profile.bins.slots)
        return Shift.of(name, profile, self.reference[name], counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of 2013.

    estimated : ROC AUC as the scores alone foretell it. auc : realized, all labels known. effects : of each feature's drift
    since the reference.
    """

    month: int
    rows: int
    estimated: Metric
    auc: Metric
    effects: Effects


@lru_cache(maxsize=1)
def demo_setting() -> Setting:
    """As in the demo: learnt from the first six weeks of the year, held against the two after, all of it winter."""
    frame = labelled()
    train, reference = weeks_of(frame, *TRAINED_WEEKS), weeks_of(frame, *REFERENCE_WEEKS)
    return _setting("the demo's: six weeks of winter, held against two", train, reference, range(3, 13))


def half_year_setting() -> Setting:
    """Learnt from every other day of the first half of the year, held against the days between."""
    frame = weeks_of(labelled(), *HALF_A_YEAR)
    odd = pl.col("at").dt.ordinal_day() % 2 == 1
    return _setting(
        "half a year: odd days learnt, even days held out", frame.filter(odd), frame.filter(~odd), range(7, 13)
    )


def months_of(setting: Setting) -> Iterator[Month]:
    """The months that follow the reference, in order."""
    for number in setting.months:
        yield judge_month(setting, number, month_rows(labelled(), number))


def month_rows(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    """Those asked about in a month of 2013."""
    return frame.filter(pl.col("at") >= _month(number), pl.col("at") < _month(number + 1))


def judge_month(setting: Setting, number: int, rows: pl.DataFrame) -> Month:
    """What drift costs in a month by the reference alone, and what came true."""
    scores, positive = score(setting, rows), _positive(rows)
    realized = realized_auc(scores, positive)
    judge = WeightedAuc(setting.scores, _positive(setting.reference))
    effects = measure_effects("roc_auc", judge, setting.shifts(rows), setting.reference.height, realized)
    told = Told.by(setting.calibration, scores, scores >= _THRESHOLD)
    estimated = metrics_of(estimate_binary(told))["roc_auc"]
    return Month(month=number, rows=rows.height, estimated=estimated, auc=realized, effects=effects)


def realized_auc(scores: Floats, positive: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Metric:
    """As the log's roll-ups have it."""
    found = outcomes_of(scores, positive)
    auc, variance = auc_with_variance(found.positives, found.negatives)
    low, high = auc_band(auc, variance)
    return Metric(value=auc, low=low, high=high)


def score(setting: Setting, rows: pl.DataFrame) -> Floats:
    found: Floats = setting.model.predict_proba(model_frame(setting.signature, rows))[:, 1]
    return found


@lru_cache(maxsize=1)
def labelled() -> pl.DataFrame:
    """The flights that flew."""
    return flights.load_flights().drop_nulls(flights.TARGET)


def cells(found: Month) -> tuple[str, ...]:
    """A month as it stands in the table."""
    features = found.effects.features
    loudest = max((f for f in features if f.psi is not None), key=lambda f: f.psi or 0.0)
    first = features[0]
    costly = first.verdict is Verdict.COSTS
    beyond = ", ".join(f.name for f in features if f.verdict is Verdict.UNSAID)
    return (
        f"{datetime(2013, found.month, 1, tzinfo=UTC):%b}",
        f"{found.rows:,}",
        _value(found.estimated),
        _value(found.auc) + ("" if within(found) else " outside"),
        _told(found.effects.change),
        f"{loudest.name} {loudest.psi:.2f}",
        first.name if costly else "nothing",
        _told(first.effect) if costly else "",
        _told(found.effects.remainder),
        beyond,
    )


def print_table(setting: Setting) -> None:
    """As Markdown, for docs/impact.md."""
    base = WeightedAuc(setting.scores, _positive(setting.reference)).judge(np.ones(setting.reference.height))
    assert base is not None
    print(f"\n{setting.name}: ROC AUC {base.value:.3f} on {setting.reference.height:,} reference rows\n")
    print("|", " | ".join(HEAD), "|")
    print("|", " | ".join("---" for _ in HEAD), "|")
    for month in months_of(setting):
        print("|", " | ".join(cells(month)), "|")


def _setting(name: str, train: pl.DataFrame, reference: pl.DataFrame, months: Sequence[int]) -> Setting:
    kept = train.select(*flights.FEATURES, flights.TARGET)
    signature = infer_signature(kept, flights.TARGET, Task.BINARY)
    model = make_pipeline().fit(model_frame(signature, kept), kept[flights.TARGET].to_numpy())
    scores = model.predict_proba(model_frame(signature, reference))[:, 1]
    profile = Profile.make(reference.select(kept.columns), signature, name, None, scores=scores)
    return Setting(
        name=name, model=model, signature=signature, profile=profile, reference=reference, scores=scores,
        calibration=calibrate(scores, _positive(reference)), months=months,
    )  # fmt: skip


def _positive(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (rows[flights.TARGET] == 1).to_numpy()


def _month(number: int) -> datetime:
    return datetime(2013 + (number - 1) // 12, (number - 1) % 12 + 1, 1, 5, tzinfo=UTC)


def within(found: Month) -> bool:
    """Whether the realized value lies in the band of the estimate."""
    told, came = found.estimated, found.auc.value
    assert told.low is not None
    assert told.high is not None
    assert came is not None
    return told.low <= came <= told.high


def _value(metric: Metric) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _told(metric: Metric) -> str:
    band = "" if metric.low is None else f" ({metric.low:+.3f} to {metric.high:+.3f})"
    return "–" if metric.value is None else f"{metric.value:+.3f}{band}"


if __name__ == "__main__":
    for made in (demo_setting(), half_year_setting()):
        print_table(made)
