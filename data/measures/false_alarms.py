"""Thresholds that keep to a budget of false alarms: windows in which nothing is wrong are drawn, their extremes are the marks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pilothouse.data.measures.drift import EMPTY_SHARE, Counts, Floats, rows_needed
from pilothouse.data.rollups.bins import CategoryBins
from pilothouse.data.rollups.profile import FeatureProfile

LEAST_DRAWS, MOST_DRAWS = 2_000, 20_000
_BEYOND = 20
"""Draws that shall lie beyond a threshold, so that it rests on more than one."""
SMALLEST_RISE = 0.01
"""A rise of the missing share below a point is no alarm: where none was ever missing, a single row would be one."""
_ALARMS = 2
"""A feature alarms by its distribution or by its missing values: each has half of its share of the budget."""
SEED = 20_110


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Thresholds by feature and measure; what else they are is said in DriftThresholds."""

    features: dict[str, dict[str, float]]
    draws: int
    stretched: float = 1.0


def draws_for(allowed: float, features: int) -> int:
    """How many windows to draw for a budget of `allowed` alarms a window over so many features."""
    wanted = _BEYOND / _share(allowed, features)
    return int(min(max(LEAST_DRAWS, math.ceil(wanted)), MOST_DRAWS))


def calibrate_by_days(
    profiles: Mapping[str, FeatureProfile],
    daily: Mapping[str, Counts],
    weekdays: Sequence[int],
    days: int,
    allowed: float,
) -> Calibrated:
    """Thresholds from windows of `days` days that are drawn from a baseline's days, weekday by weekday.

    daily : int64, shape (baseline's days, slots), by name. weekdays : 0 to 6, shape (baseline's days,), consecutive.
    A drawn window begins with a random weekday and takes, for each of its days, a random day of that weekday: weeks are
    permuted, their rhythm stays. Then the baseline's own windows, a day apart, are asked: if they would give more
    alarms than `allowed`, neighbouring days are alike, and all thresholds are stretched until they do not.
    """
    draws = draws_for(allowed, len(profiles))
    chosen = _drawn_days(np.asarray(weekdays), days, draws)
    share = _share(allowed, len(profiles))
    limits = {name: _limits(profiles[name], _summed(chosen, daily[name]), share) for name in profiles}
    found = _known(limits)
    factor = _stretch(profiles, daily, days, found, allowed)
    return Calibrated(features=_stretched(found, factor), draws=draws, stretched=factor)


def calibrate_by_rows(profiles: Mapping[str, FeatureProfile], rows: int, allowed: float) -> Calibrated:
    """Thresholds from windows of `rows` rows drawn one by one from the reference, against references drawn likewise."""
    draws, rng = draws_for(allowed, len(profiles)), np.random.default_rng(SEED)
    share = _share(allowed, len(profiles))
    limits = {name: _limits_by_rows(feature, rows, draws, share, rng) for name, feature in profiles.items()}
    return Calibrated(features=_known(limits), draws=draws)


def measured_of(feature: FeatureProfile, known: Counts, windows: Counts) -> dict[str, Floats]:
    """psi, jensen_shannon, ks (None where there is none) and missing (the rise of its share) of many windows at once.

    known, windows : int64, shape (slots,) or (windows, slots), and (windows, slots). A measure of a window with too few
    rows to say it is -inf, so that it is never an alarm.
    """
    reference, current = _grouped(feature, np.atleast_2d(known)), _grouped(feature, windows)
    expected, actual = _shares(reference), _shares(current)
    few = current.sum(axis=1) < rows_needed(int((reference[0] > 0).sum()))
    said = {"psi": _psi(expected, actual), "jensen_shannon": _jensen_shannon(expected, actual)}
    if not isinstance(feature.bins, CategoryBins):
        known_below, below = (np.cumsum(_shares(c[:, :-1]), axis=1) for c in (np.atleast_2d(known), windows))
        said["ks"] = np.abs(known_below - below).max(axis=1)
    for values in said.values():
        values[few] = -np.inf
    return said | {"missing": _missing_share(windows) - _missing_share(np.atleast_2d(known))}


def _share(allowed: float, features: int) -> float:
    """How often one of a feature's two alarms may be false, in one window."""
    return min(1.0, allowed / (_ALARMS * max(1, features)))


def _limits(feature: FeatureProfile, windows: Counts, share: float) -> dict[str, float]:
    return {name: _limit(name, values, share) for name, values in measured_of(feature, feature.counts, windows).items()}


def _limits_by_rows(
    feature: FeatureProfile, rows: int, draws: int, share: float, rng: np.random.Generator
) -> dict[str, float]:
    law = feature.counts / feature.counts.sum()
    known = rng.multinomial(feature.rows, law, size=draws)
    measured = measured_of(feature, known, rng.multinomial(rows, law, size=draws))
    return {name: _limit(name, values, share) for name, values in measured.items()}


def _limit(name: str, values: Floats, share: float) -> float:
    """The value above which at most `share` of the draws lie, were one more drawn."""
    beyond = max(1, math.floor(share * (len(values) + 1)))
    found = float(np.partition(values, -beyond)[-beyond]) if beyond < len(values) else float(values.min())
    return max(SMALLEST_RISE, found) if name == "missing" else found


def _known(limits: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Without features that had too few rows in the drawn windows: those keep the fixed marks."""
    return {name: values for name, values in limits.items() if math.isfinite(values["psi"])}


def _drawn_days(weekdays: npt.NDArray[np.int64], days: int, draws: int) -> Counts:
    """How often each day stands in each drawn window: int64, shape (draws, baseline's days)."""
    rng = np.random.default_rng(SEED)
    first = rng.integers(0, 7, draws)
    chosen = np.zeros((draws, len(weekdays)), np.int64)
    for step in range(days):
        wanted = (first + step) % 7
        for weekday in range(7):
            places, same = np.flatnonzero(wanted == weekday), np.flatnonzero(weekdays == weekday)
            np.add.at(chosen, (places, rng.choice(same, len(places))), 1)
    return chosen


def _summed(chosen: Counts, daily: Counts) -> Counts:
    """Counts of the drawn windows. Whole numbers far below 2**53 stay exact as floats, and multiply much faster."""
    summed: Counts = (chosen.astype(np.float64) @ daily.astype(np.float64)).astype(np.int64)
    return summed


def _stretch(
    profiles: Mapping[str, FeatureProfile],
    daily: Mapping[str, Counts],
    days: int,
    found: Mapping[str, Mapping[str, float]],
    allowed: float,
) -> float:
    """The least factor, at least 1, with which the baseline's own windows give no more alarms than allowed."""
    ratios = np.concatenate([np.ones(1), *_ratios(profiles, daily, days, found)])
    windows = len(next(iter(daily.values()))) - days + 1
    spare = math.floor(allowed * windows)
    # The first ratio that must not be an alarm; those before it the budget pays for.
    return float(max(1.0, np.sort(ratios)[::-1][spare])) if spare < len(ratios) else 1.0


def _ratios(
    profiles: Mapping[str, FeatureProfile],
    daily: Mapping[str, Counts],
    days: int,
    found: Mapping[str, Mapping[str, float]],
) -> Iterator[Floats]:
    for name in found:
        feature = profiles[name]
        summed = np.cumsum(np.vstack([np.zeros_like(daily[name][:1]), daily[name]]), axis=0)
        measured = measured_of(feature, feature.counts, summed[days:] - summed[:-days])
        by_psi, by_missing = (measured[m] / max(found[name][m], 1e-12) for m in ("psi", "missing"))
        yield np.maximum(by_psi, by_missing)


def _stretched(found: Mapping[str, Mapping[str, float]], factor: float) -> dict[str, dict[str, float]]:
    # PSI grows with the square of a change, the two distances with the change itself, and none of them beyond its end.
    def raised(measure: str, value: float) -> float:
        return factor * value if measure in ("psi", "missing") else min(1.0, math.sqrt(factor) * value)

    return {name: {m: raised(m, value) for m, value in limits.items()} for name, limits in found.items()}


def _grouped(feature: FeatureProfile, counts: Counts) -> Counts:
    grouped = np.zeros((len(counts), int(feature.groups.max()) + 1), np.int64)
    np.add.at(grouped.T, feature.groups, counts[:, :-1].T)
    return grouped


def _shares(counts: Counts) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _missing_share(counts: Counts) -> Floats:
    share: Floats = counts[:, -1] / np.maximum(counts.sum(axis=1), 1)
    return share


def _psi(expected: Floats, actual: Floats) -> Floats:
    either = (expected > 0) | (actual > 0)
    was, now = (np.where(shares > 0, shares, EMPTY_SHARE) for shares in (expected, actual))
    found: Floats = np.where(either, (now - was) * np.log(now / was), 0.0).sum(axis=1)
    return found


def _jensen_shannon(expected: Floats, actual: Floats) -> Floats:
    middle = np.where(expected + actual > 0, (expected + actual) / 2, 1.0)
    halves = (
        np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / middle), 0.0).sum(axis=1) for p in (expected, actual)
    )
    found: Floats = np.sqrt(np.maximum(sum(halves) / 2, 0.0))
    return found
