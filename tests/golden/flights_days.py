"""`python -m tests.golden.flights_days`: bands of effects on flights beside a bootstrap of whole days, of both samples.

Learnt from the odd days of half a year, held against the even ones; the window is October. Only the bootstrap knows on which
day a reference row was. Read in docs/impact.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from pilothouse.data.demo import flights
from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.impact import ALONE, FeatureImpact, Shift, Together, measure_effects
from pilothouse.data.measures.outcomes import Floats, Ints
from pilothouse.data.measures.reweighting import WeightedAuc
from pilothouse.data.measures.together import jackknife, widened
from pilothouse.data.rollups.profile import STORED
from tests.golden.flights_months import Setting, half_year_setting, labelled, month_rows, realized_auc, score

MONTH, RESAMPLES, SEED = 10, 100, 1
_UNKNOWN = Metric(value=None, reason="not asked")
_DAY = (pl.col("at") - pl.duration(hours=5)).dt.date().rank("dense").cast(pl.Int64) - 1
"""Numbers the days of New York, from 0."""


@dataclass(frozen=True)
class Both:
    """The reference and the window, with the day of each row."""

    setting: Setting
    window: pl.DataFrame

    @cached_property
    def reference_days(self) -> Ints:
        return self.setting.reference.select(_DAY).to_series().to_numpy()

    @cached_property
    def window_days(self) -> Ints:
        return self.window.select(_DAY).to_series().to_numpy()

    @cached_property
    def shifts(self) -> list[Shift]:
        return [self._shift(f.name, f.column.removeprefix(STORED)) for f in self.setting.signature.features]

    def _shift(self, name: str, stored: str) -> Shift:
        profile, days = self.setting.profile.features[stored], self.window_days
        at = days * profile.bins.slots + profile.bins.codes(self.window[name])
        buckets = np.bincount(at, minlength=(days.max() + 1) * profile.bins.slots).reshape(-1, profile.bins.slots)
        return Shift.of(name, profile, self.setting.reference[name], buckets.sum(axis=0), buckets)

    def effects(self, shifts: list[Shift], rows: Ints, together: Together) -> dict[str, FeatureImpact]:
        positive = (self.setting.reference[flights.TARGET] == 1).to_numpy()
        judge = WeightedAuc(self.setting.scores[rows], positive[rows])
        found = measure_effects("roc_auc", judge, shifts, len(rows), _UNKNOWN, together)
        return {feature.name: feature for feature in found.features}


def ours(both: Both) -> dict[str, FeatureImpact]:
    days = both.reference_days
    of_window, of_reference = (len(each) / (each.max() + 1) for each in (both.window_days, days))
    return both.effects(
        both.shifts, np.arange(len(days)), Together.by_labels(realized(both), of_window, of_reference)
    )  # fmt: skip


def realized(both: Both) -> Metric:
    """ROC AUC of the window with its band by days."""
    scores, positive = score(both.setting, both.window), (both.window[flights.TARGET] == 1).to_numpy()
    judge, days = WeightedAuc(scores, positive), both.window_days
    without = [judge.judge((days != day).astype(float)) for day in range(-1, days.max() + 1)]
    values = np.array([each.value for each in without if each is not None])
    return widened(realized_auc(scores, positive), jackknife(values, np.bincount(days)), "days")


def resampled(both: Both) -> dict[str, Floats]:
    """The effect of each feature in every resample; NaN where it cannot be said."""
    rng, found = np.random.default_rng(SEED), []
    rows_of = [np.flatnonzero(both.reference_days == day) for day in range(both.reference_days.max() + 1)]
    number = both.window_days.max() + 1
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[day] for day in rng.integers(0, len(rows_of), len(rows_of))])
        drawn = np.bincount(rng.integers(0, number, number), minlength=number)
        found.append(both.effects([_drawn(shift, rows, drawn) for shift in both.shifts], rows, ALONE))
    return {
        name: np.array([np.nan if each[name].effect.value is None else each[name].effect.value for each in found])
        for name in found[0]
    }


def _drawn(shift: Shift, rows: Ints, drawn: Ints) -> Shift:
    assert shift.buckets is not None
    return replace(shift, codes=shift.codes[rows], current=drawn @ shift.buckets, buckets=None)


def main() -> None:
    """As Markdown, for docs/impact.md."""
    both = Both(half_year_setting(), month_rows(labelled(), MONTH))
    print("| feature | effect | support | standard error | of whole days resampled | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    again = resampled(both)
    for name, feature in ours(both).items():
        effect, spread = feature.effect, float(np.nanstd(again[name]))
        if effect.value is None or effect.low is None or effect.high is None:
            continue
        error = (effect.high - effect.low) / (2 * Z)
        cells = (name, f"{effect.value:+.4f}", f"{feature.effective_share:.2f}", f"{error:.4f}", f"{spread:.4f}")
        print("|", " | ".join(cells), f"| {error / spread:.2f} |")


if __name__ == "__main__":
    main()
