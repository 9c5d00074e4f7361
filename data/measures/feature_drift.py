"""All drift measures of one feature in one window, its state and the sentence that says why."""

from __future__ import annotations

import numpy as np

from pilothouse.data.history.results import FeatureDrift, State
from pilothouse.data.measures.drift import (
    Counts,
    DriftRule,
    Floats,
    jensen_shannon,
    ks_distance,
    ks_probability,
    psi,
    rows_needed,
    wasserstein,
)
from pilothouse.data.rollups.bins import CategoryBins
from pilothouse.data.rollups.profile import FeatureProfile

_RULE = DriftRule()


def measure_drift(feature: FeatureProfile, counts: Counts, sums: Floats, rule: DriftRule = _RULE) -> FeatureDrift:
    """Drift of a window against the reference.

    counts, sums : int64 and float64, shape (slots,): the window's rows and their values, by slot of the feature's bins.
    """
    rows, present = int(counts.sum()), int(counts[:-1].sum())
    missing = float(counts[-1] / rows) if rows else None
    silence = _why_silent(feature, counts)
    measured = {} if silence else _measures(feature, counts, sums)
    state, reason = _state(feature, measured.get("psi"), missing, silence, rows, rule)
    new = counts[feature.bins.new] / present if isinstance(feature.bins, CategoryBins) and present else None
    return FeatureDrift(
        name=feature.name,
        kind=feature.kind,
        rows=rows,
        psi=measured.get("psi"),
        ks=measured.get("ks"),
        ks_p=measured.get("ks_p"),
        wasserstein=measured.get("wasserstein"),
        jensen_shannon=measured.get("jensen_shannon"),
        missing=missing,
        reference_missing=feature.missing,
        new_share=None if new is None or _cannot_tell_new(feature) else float(new),
        impact=None,
        state=state,
        reason=reason,
    )


def measure_psi(feature: FeatureProfile, counts: Counts) -> float | None:
    """PSI alone, or None where `measure_drift` would not say it either."""
    if _why_silent(feature, counts):
        return None
    return psi(feature.grouped(feature.counts), feature.grouped(counts))


def _why_silent(feature: FeatureProfile, counts: Counts) -> str:
    """Why nothing can be said of the distribution; empty when it can."""
    rows, present = int(counts.sum()), int(counts[:-1].sum())
    if rows == 0:
        return "no rows in this window"
    if feature.counts[:-1].sum() == 0:
        return "every value is missing in the reference, so there is nothing to compare with"
    if present == 0:
        return f"every value of {rows:,} rows is missing"
    needed = rows_needed(int((feature.grouped(feature.counts) > 0).sum()))
    return f"too few rows: {present:,}; {needed:,} would do" if present < needed else ""


def _measures(feature: FeatureProfile, counts: Counts, sums: Floats) -> dict[str, float | None]:
    reference, current = feature.grouped(feature.counts), feature.grouped(counts)
    said: dict[str, float | None] = {
        "psi": psi(reference, current),
        "jensen_shannon": jensen_shannon(reference, current),
    }
    if isinstance(feature.bins, CategoryBins):
        return said
    known, seen = feature.counts[:-1], counts[:-1]
    distance = ks_distance(known, seen)
    said["ks"] = distance
    said["ks_p"] = ks_probability(distance, int(known.sum()), int(seen.sum()))
    said["wasserstein"] = wasserstein(known, feature.sums[:-1], seen, np.asarray(sums[:-1]), feature.sd or 0.0)
    return said


def _state(
    feature: FeatureProfile, value: float | None, missing: float | None, silence: str, rows: int, rule: DriftRule
) -> tuple[State, str]:
    rise = 0.0 if missing is None else missing - feature.missing
    if missing is not None and rise >= rule.missing_watch and rows >= rows_needed(1):
        state = State.CRITICAL if rise >= rule.missing_critical else State.WATCH
        limit = rule.missing_critical if state is State.CRITICAL else rule.missing_watch
        return _worse(
            (state, f"{missing:.0%} missing, {feature.missing:.0%} in the reference; a rise of {limit:.0%} is {state}"),
            _psi_state(value, rule),
        )
    return (State.NO_DATA, silence) if silence else _psi_state(value, rule)


def _psi_state(value: float | None, rule: DriftRule) -> tuple[State, str]:
    if value is None:
        return State.NO_DATA, ""
    if value >= rule.psi_critical:
        return State.CRITICAL, f"PSI {value:.2f}; {rule.psi_critical} and more is critical"
    if value >= rule.psi_watch:
        return State.WATCH, f"PSI {value:.2f}; {rule.psi_watch} and more is worth a look"
    return State.HEALTHY, f"PSI {value:.2f}, below {rule.psi_watch}"


def _worse(one: tuple[State, str], other: tuple[State, str]) -> tuple[State, str]:
    order = list(State)
    return min(one, other, key=lambda said: order.index(said[0]))


def _cannot_tell_new(feature: FeatureProfile) -> bool:
    return isinstance(feature.bins, CategoryBins) and feature.bins.others is None
