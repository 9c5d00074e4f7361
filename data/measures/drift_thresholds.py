"""Thresholds of drift that keep to a budget of false alarms, and the states they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from pilothouse.data.history.results import FeatureDrift, State
from pilothouse.data.measures.drift import DriftRule
from pilothouse.data.windows import Window

DAYS_A_MONTH = 365.25 / 12
_DAY = timedelta(days=1)
_ORDER = list(State)
_FIXED = DriftRule()


class Null(StrEnum):
    """How windows were made in which nothing is wrong."""

    DAYS = "days"
    """Days of the log, drawn anew: what is alike within a day stays together."""
    ROWS = "rows"
    """Rows of the reference, drawn one by one: as if no two rows had anything in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftThresholds:
    """From which values on a feature, the score or the answers count as drifted, so that false alarms keep to a budget.

    per_month : false alarms allowed in a month, of all of them together, in windows of the length `window`.
    features : by name of the roll-ups, then by measure: psi, jensen_shannon, ks, and missing (a rise of that share).
    answers : the same of `score` and `prediction`; without those that the reference rows do not have, and empty for
    thresholds from before these were calibrated too.
    null, baseline, rows, draws : how: from which stretch of the log (START/END; empty for the reference), with how many
    rows a window, and how many windows were drawn. stretched : by how much the thresholds were raised, because the
    baseline's own windows would have given more alarms than the drawn ones; 1 where they would not.
    """

    per_month: float
    window: timedelta
    features: dict[str, dict[str, float]] = field(default_factory=dict)
    answers: dict[str, dict[str, float]] = field(default_factory=dict)
    null: Null = Null.ROWS
    baseline: str = ""
    rows: int = 0
    draws: int = 0
    stretched: float = 1.0

    @property
    def allowed(self) -> float:
        """False alarms allowed in one window."""
        return allowed_alarms(self.per_month, self.window)

    def holds_for(self, window: Window) -> bool:
        """Whether it may judge the window: a shorter one has fewer rows, and false alarms would be many more."""
        return window.length >= 0.95 * self.window

    @property
    def basis(self) -> str:
        """What it was calibrated to, for the end of a sentence."""
        alarms, days = (_several(n, word) for n, word in ((self.per_month, "false alarm"), (self.window / _DAY, "day")))
        return f"{alarms} a month in windows of {days}"


def allowed_alarms(per_month: float, window: timedelta) -> float:
    """How many alarms of one window a budget allows; windows follow each other without overlap."""
    return per_month * (window / _DAY) / DAYS_A_MONTH


def judged(
    features: Sequence[FeatureDrift], thresholds: DriftThresholds | None, window: Window
) -> tuple[FeatureDrift, ...]:
    """The features with the states that calibrated thresholds give them; as they were where there are none.

    A window shorter than the thresholds are for is judged by the fixed marks.
    """
    if thresholds is None or not thresholds.holds_for(window):
        return tuple(features)
    return tuple(_judged(f, thresholds.features.get(f.name), thresholds) for f in features)


def judged_answer(
    found: FeatureDrift | None, thresholds: DriftThresholds | None, window: Window
) -> FeatureDrift | None:
    """The score, or the answers, with the state that its own threshold gives it; see `judged`."""
    if found is None or thresholds is None or not thresholds.holds_for(window):
        return found
    return _judged(found, thresholds.answers.get(found.name), thresholds)


def _judged(found: FeatureDrift, limits: Mapping[str, float] | None, thresholds: DriftThresholds) -> FeatureDrift:
    if limits is None or found.missing is None or found.state is State.NO_DATA:
        return found
    said = [_missing_state(found.missing - found.reference_missing, limits["missing"], thresholds)]
    if found.psi is not None:
        said.append(_psi_state(found.psi, limits["psi"], thresholds))
    state, reason = min(said[::-1], key=lambda one: _ORDER.index(one[0]))
    return replace(found, state=state, reason=reason, threshold=limits["psi"])


def _psi_state(value: float, limit: float, thresholds: DriftThresholds) -> tuple[State, str]:
    mark = f"the threshold {_short(limit)}, calibrated to {thresholds.basis}"
    if value <= limit:
        return State.HEALTHY, f"PSI {_short(value)}, not above {mark}"
    if value >= _FIXED.psi_critical:
        return State.CRITICAL, f"PSI {_short(value)}, above {mark}, and {_FIXED.psi_critical} or more"
    return State.WATCH, f"PSI {_short(value)}, above {mark}"


def _missing_state(rise: float, limit: float, thresholds: DriftThresholds) -> tuple[State, str]:
    if rise <= limit:
        return State.HEALTHY, f"the missing share has risen by {rise:.1%}, not above {limit:.1%}"
    state = State.CRITICAL if rise >= _FIXED.missing_critical else State.WATCH
    return state, (
        f"the missing share has risen by {rise:.1%}, above the threshold {limit:.1%}, calibrated to {thresholds.basis}"
    )


def _several(number: float, word: str) -> str:
    """
    >>> _several(1, "day"), _several(0.5, "false alarm")
    ('1 day', '0.5 false alarms')
    """
    return f"{number:g} {word}{'' if number == 1 else 's'}"


def _short(value: float) -> str:
    """
    >>> _short(0.2134), _short(0.00351)
    ('0.21', '0.0035')
    """
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
