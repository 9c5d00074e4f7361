"""All drift measures of one feature in one window, its state and the sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pilothouse.data.history.results import FeatureDrift, State
from pilothouse.data.measures.changes import Counted, further_measures
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A window's rows: all of them, those with a value, and those whose value is new (None: it cannot be told).

    outside : rows beyond the reference's range; None for categories.
    """

    rows: int
    present: int
    new: int | None
    outside: int | None = None


def measure_drift(feature: FeatureProfile, counts: Counts, sums: Floats, rule: DriftRule = _RULE) -> FeatureDrift:
    """Drift of a window against the reference.

    counts, sums : int64 and float64, shape (slots,): the window's rows and their values, by slot of the feature's bins.
    """
    seen, known = _seen(feature, counts), feature.grouped(feature.counts)
    silence = why_silent(known, seen)
    measured = {} if silence else _measures(feature, counts, sums)
    return describe(feature, seen, (known, feature.grouped(counts)), measured, silence, rule)


def describe(
    feature: FeatureProfile,
    seen: Seen,
    grouped: tuple[Counts, Counts],
    measured: Mapping[str, float | None],
    silence: str,
    rule: DriftRule = _RULE,
) -> FeatureDrift:
    """What was measured, with the state it means and the sentence that says why.

    grouped : rows of reference and window by bin of PSI. measured : psi, jensen_shannon, ks, ks_p, wasserstein, those
    that could be said. silence : why none could.
    """
    counted = Counted(
        known=grouped[0],
        current=grouped[1],
        rows=seen.rows,
        missing=seen.rows - seen.present,
        known_rows=feature.rows,
        known_missing=int(feature.counts[-1]),
        outside=seen.outside,
        new=seen.new,
    )
    missing = (seen.rows - seen.present) / seen.rows if seen.rows else None
    state, reason = _state(feature, measured.get("psi"), missing, silence, seen.rows, rule)
    return FeatureDrift(
        name=feature.name,
        feature=feature.name,
        kind=feature.kind,
        rows=seen.rows,
        psi=measured.get("psi"),
        ks=measured.get("ks"),
        ks_p=measured.get("ks_p"),
        wasserstein=measured.get("wasserstein"),
        jensen_shannon=measured.get("jensen_shannon"),
        missing=missing,
        reference_missing=feature.missing,
        new_share=None if seen.new is None or not seen.present else seen.new / seen.present,
        impact=None,
        state=state,
        reason=reason,
        more=further_measures(counted, silence, measured.get("ks"), measured.get("ks_p")),
    )


def _seen(feature: FeatureProfile, counts: Counts) -> Seen:
    rows, present = int(counts.sum()), int(counts[:-1].sum())
    if isinstance(feature.bins, CategoryBins):
        told = None if _cannot_tell_new(feature) else int(counts[feature.bins.new])
        return Seen(rows=rows, present=present, new=told)
    return Seen(rows=rows, present=present, new=None, outside=int(counts[0] + counts[-2]))


def measure_psi(feature: FeatureProfile, counts: Counts) -> float | None:
    """PSI alone, or None where `measure_drift` would not say it either."""
    reference = feature.grouped(feature.counts)
    seen = Seen(rows=int(counts.sum()), present=int(counts[:-1].sum()), new=None)
    return None if why_silent(reference, seen) else psi(reference, feature.grouped(counts))


def why_silent(reference: Counts, seen: Seen) -> str:
    """Why nothing can be said of the distribution; empty when it can. reference : its rows by bin of PSI."""
    if seen.rows == 0:
        return "no rows in this window"
    if reference.sum() == 0:
        return "every value is missing in the reference, so there is nothing to compare with"
    if seen.present == 0:
        return f"every value of {seen.rows:,} rows is missing"
    needed = rows_needed(int((reference > 0).sum()))
    return f"too few rows: {seen.present:,}; {needed:,} would do" if seen.present < needed else ""


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
