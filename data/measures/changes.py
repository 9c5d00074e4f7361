"""Every further measure of one column's change, by name, and what is adjusted over all columns of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pilothouse.data.history.results import FeatureDrift, Measure
from pilothouse.data.measures.drift import LEAST_ROWS, Counts
from pilothouse.data.measures.two_samples import (
    chi_square,
    cramers_v,
    false_discovery,
    g_test,
    hellinger,
    total_variation,
    two_shares,
    without_sparse,
)

MEASURES = {
    "ks": "Kolmogorov-Smirnov D",
    "chi_square": "Chi-squared",
    "g": "G (likelihood ratio)",
    "z": "z of the rarer value's share",
    "cramers_v": "Cramér's V",
    "total_variation": "Total variation distance",
    "hellinger": "Hellinger distance",
    "out_of_range": "Share outside the reference's range",
    "new": "Share of new categories",
    "missing_change": "Change of the missing share",
}
"""Names of the measures, in the order in which they are shown."""
TESTS = frozenset({"ks", "chi_square", "g", "z", "missing_change"})
"""Those of them that have a chance."""
CHANCE = "chi_square"
"""The test that exists for every kind of column: by it columns are called different, or not."""
FALSE_FINDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """What the further measures are made from.

    known, current : int64, rows of reference and window by bin of PSI, missing left out. rows, missing : of the window.
    known_rows, known_missing : of the reference. outside : rows beyond the reference's range; None for categories.
    new : rows whose category the reference does not have; None where that cannot be told, and for numbers.
    """

    known: Counts
    current: Counts
    rows: int
    missing: int
    known_rows: int
    known_missing: int
    outside: int | None = None
    new: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of how many columns could be tested, and how many differ when one false find in twenty is allowed."""

    tested: int
    differ: int

    @property
    def sentence(self) -> str:
        if not self.tested:
            return ""
        many = (
            " With many rows almost every feature does: that a change is no accident does not say that it matters."
            if 2 * self.differ > self.tested
            else ""
        )
        verb = "differs" if self.differ == 1 else "differ"
        return (
            f"{self.differ} of {self.tested} features {verb} from the reference by more than chance (chi-squared, 5% "
            f"false discoveries).{many}"
        )


def further_measures(counted: Counted, silence: str, distance: float | None, p: float | None) -> dict[str, Measure]:
    """The measures of MEASURES that exist for such a column, in that order.

    silence : why nothing can be said of the distribution; empty when it can. distance, p : of Kolmogorov and Smirnov;
    None for categories.
    """
    if silence:
        names = [name for name in MEASURES if name in _exists_for(counted)]
        said = {name: Measure(value=None, reason=silence) for name in names}
    else:
        said = _of_distribution(counted, distance, p)
    return said | {"missing_change": _missing(counted)}


def adjusted(features: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """The same, the chances of each test adjusted for the number of features it was made of."""
    found = [dict(feature.more) for feature in features]
    for name in MEASURES:
        chances = [(place, m.p) for place, more in enumerate(found) if (m := more.get(name)) and m.p is not None]
        for (place, _), q in zip(chances, false_discovery([p for _, p in chances]), strict=True):
            found[place][name] = replace(found[place][name], q=q)
    return [replace(feature, more=more) for feature, more in zip(features, found, strict=True)]


def differing(features: Sequence[FeatureDrift]) -> Found:
    """How many features differ from the reference by more than chance; of those that were `adjusted` together."""
    adjusted_chances = [m.q for f in features if (m := f.more.get(CHANCE)) is not None and m.q is not None]
    return Found(tested=len(adjusted_chances), differ=sum(q <= FALSE_FINDS for q in adjusted_chances))


def _exists_for(counted: Counted) -> frozenset[str]:
    always = {"chi_square", "g", "cramers_v", "total_variation", "hellinger"}
    of_kind = {"new"} if counted.outside is None else {"ks", "out_of_range"}
    return frozenset(always | of_kind)


def _of_distribution(counted: Counted, distance: float | None, p: float | None) -> dict[str, Measure]:
    known, current = counted.known, counted.current
    dense = without_sparse(known, current)
    (chi, chi_p), (g, g_p) = chi_square(*dense), g_test(*dense)
    present = int(current.sum())
    said = {} if distance is None else {"ks": Measure(value=distance, p=p)}
    said |= {"chi_square": Measure(value=chi, p=chi_p), "g": Measure(value=g, p=g_p)}
    if np.count_nonzero(known) == 2:
        said["z"] = _rarer_share(known, current)
    said |= {
        "cramers_v": Measure(value=cramers_v(*dense)),
        "total_variation": Measure(value=total_variation(known, current)),
        "hellinger": Measure(value=hellinger(known, current)),
    }
    if counted.outside is not None:
        said["out_of_range"] = Measure(value=counted.outside / present)
    elif counted.new is not None:
        said["new"] = Measure(value=counted.new / present)
    else:
        said["new"] = Measure(value=None, reason="the reference has too many values to remember them all")
    return said


def _rarer_share(known: Counts, current: Counts) -> Measure:
    rarer = int(np.argmin(np.where(known > 0, known, inf)))
    z, p = two_shares(int(known[rarer]), int(known.sum()), int(current[rarer]), int(current.sum()))
    return Measure(value=z, p=p)


def _missing(counted: Counted) -> Measure:
    """The change of the share of missing values, and the chance of one as large."""
    few = "" if counted.known_rows >= LEAST_ROWS <= counted.rows else _too_few(counted)
    if few:
        return Measure(value=None, reason=few)
    change = counted.missing / counted.rows - counted.known_missing / counted.known_rows
    p = two_shares(counted.known_missing, counted.known_rows, counted.missing, counted.rows)[1]
    return Measure(value=change, p=p)


def _too_few(counted: Counted) -> str:
    if counted.rows == 0:
        return "no rows in this window"
    of = "" if counted.rows < LEAST_ROWS else " in the reference"
    return f"too few rows{of}: {counted.rows if not of else counted.known_rows:,}; {LEAST_ROWS:,} would do"
