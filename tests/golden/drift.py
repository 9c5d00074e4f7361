"""Every measure of drift beside SciPy, statsmodels, Evidently's statistic functions and scikit-learn's PCA."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from pilothouse.data.demo.flights import load_flights
from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.measures.exact import measure_exactly, sample_of
from pilothouse.data.measures.multivariate import Structure, spread_out
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
from pilothouse.data.rollups.profile import FeatureProfile
from pilothouse.data.signature import Kind
from tests.golden.agreement import Agreement
from tests.support.distributions import LAWS, reference_of, window_of

ROUNDING = 1e-9
_TABLES = 200
_NUMBERS = ("temp", "wind_speed", "pressure", "distance", "departure_minute")
_CATEGORIES = ("carrier", "origin", "dest")

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One column, twice."""

    data: str
    kind: Kind
    reference: pl.Series
    current: pl.Series

    @property
    def measured(self) -> FeatureDrift:
        profile = FeatureProfile.of("x", self.kind, self.reference)
        return measure_exactly(profile, *(sample_of(profile, column) for column in (self.reference, self.current)))

    @property
    def values(self) -> tuple[pd.Series, pd.Series]:
        """The values that are there, as the others take them."""
        known, seen = (column.fill_nan(None) if column.dtype.is_float() else column
                       for column in (self.reference, self.current))  # fmt: skip
        return known.drop_nulls().to_pandas(), seen.drop_nulls().to_pandas()

    @property
    def table(self) -> Counts:
        """Rows by value, a category's new values together, as they are everywhere in the product."""
        known, seen = self.values
        names = known.unique()
        inside = [[int((column == name).sum()) for name in names] for column in (known, seen)]
        return np.array([[*row, len(column) - sum(row)] for row, column in zip(inside, (known, seen), strict=True)])


def run() -> list[Agreement]:
    numbers, categories, everything = _flights(_NUMBERS), _flights(_CATEGORIES), _laws()
    return [
        *(a for cases in (numbers, everything) for a in _of_numbers(cases)),
        *_of_categories(categories),
        *_of_tables(),
        *_pca(),
    ]


def _flights(columns: Sequence[str]) -> list[Case]:
    """January beside July."""
    rows = load_flights()
    at = next(name for name, kind in rows.schema.items() if kind.is_temporal())
    months = [rows.filter(pl.col(at).dt.month() == month) for month in (1, 7)]
    kind = Kind.CATEGORY if columns is _CATEGORIES else Kind.NUMBER
    return [Case(data="flights", kind=kind, reference=months[0][c], current=months[1][c]) for c in columns]


def _laws() -> list[Case]:
    return [
        Case(data="planted", kind=Kind.NUMBER, reference=pl.Series(reference_of(law)),
             current=pl.Series(window_of(law, "moved")))
        for law in LAWS
    ]  # fmt: skip


def _of_numbers(cases: Sequence[Case]) -> Iterator[Agreement]:
    from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
    from evidently.legacy.core import ColumnType
    from scipy.stats import ks_2samp, wasserstein_distance

    found = [(case.measured, *case.values) for case in cases]
    data = cases[0].data
    yield _agree("KS", "SciPy ks_2samp", data,
                 [(f.ks, ks_2samp(a, b, method="asymp").statistic) for f, a, b in found])  # fmt: skip
    yield _agree("KS, p", "SciPy ks_2samp, asymptotic", data,
                 [(f.ks_p, ks_2samp(a, b, method="asymp").pvalue) for f, a, b in found], 1e-3,
                 "SciPy takes the law of one sample of nm/(n+m) rows, rounded; ours is the limit law")  # fmt: skip
    yield _agree("Wasserstein, sd", "SciPy wasserstein_distance", data,
                 [(f.wasserstein, wasserstein_distance(a, b) / a.std(ddof=0)) for f, a, b in found])  # fmt: skip
    yield _agree("Wasserstein, sd", "Evidently wasserstein", data,
                 [(f.wasserstein, _wasserstein_distance_norm(a, b, ColumnType.Numerical, 0.1)[0])
                  for f, a, b in found])  # fmt: skip


def _of_categories(cases: Sequence[Case]) -> Iterator[Agreement]:
    from evidently.legacy.calculations.stattests.hellinger_distance import _hellinger_distance
    from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
    from evidently.legacy.calculations.stattests.tvd_stattest import _total_variation_distance
    from evidently.legacy.core import ColumnType
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency

    pooled = [_pooled(case.table) for case in cases]
    found = [(case.measured, case) for case in cases]
    truth = [chi2_contingency(table, correction=False) for table in pooled]
    yield _agree("chi-squared, sparse values together", "SciPy chi2_contingency", "flights",
                 [(f.more["chi_square"].value, t.statistic) for (f, _), t in zip(found, truth, strict=True)])  # fmt: skip
    yield _agree("chi-squared, p", "SciPy chi2_contingency", "flights",
                 [(f.more["chi_square"].p, t.pvalue) for (f, _), t in zip(found, truth, strict=True)])  # fmt: skip
    yield _agree("Jensen-Shannon", "SciPy jensenshannon", "flights",
                 [(f.jensen_shannon, jensenshannon(*c.table)) for f, c in found])  # fmt: skip
    # Evidently takes each new value by itself, so only columns without new ones have the same definition.
    same = [(f, c) for f, c in found if not c.table[0, -1] and not c.table[1, -1]]
    yield _agree("Jensen-Shannon", "Evidently jensenshannon", "flights",
                 [(f.jensen_shannon, _jensenshannon(*c.values, ColumnType.Categorical, 0.1)[0]) for f, c in same], 1e-6,
                 "an empty bin counts as a millionth of the smallest")  # fmt: skip
    yield _agree("Hellinger", "Evidently hellinger", "flights",
                 [(f.more["hellinger"].value, _hellinger_distance(*c.values, ColumnType.Categorical, 0.1)[0])
                  for f, c in same])  # fmt: skip
    yield _agree("total variation", "Evidently TVD's statistic", "flights",
                 [(f.more["total_variation"].value, float(_total_variation_distance(*c.values)))
                  for f, c in same])  # fmt: skip


def _of_tables() -> Iterator[Agreement]:
    """The functions of counts alone, on tables of random laws: two bins to two hundred."""
    from evidently.legacy.calculations.stattests.z_stattest import proportions_diff_z_stat_ind
    from scipy.stats import chi2_contingency, false_discovery_control
    from scipy.stats.contingency import association
    from statsmodels.stats.proportion import proportions_ztest

    tables = [_table(seed) for seed in range(_TABLES)]

    def beside(
        measure: str, rival: str, ours: Callable[[Counts], float], theirs: Callable[[Counts], float]
    ) -> Agreement:
        return _agree(measure, rival, "planted tables", [(ours(t), theirs(t)) for t in tables])

    yield beside("chi-squared", "SciPy chi2_contingency", lambda t: chi_square(*t)[0],
                 lambda t: chi2_contingency(t, correction=False).statistic)  # fmt: skip
    yield beside("chi-squared, p", "SciPy chi2_contingency", lambda t: chi_square(*t)[1],
                 lambda t: chi2_contingency(t, correction=False).pvalue)  # fmt: skip
    yield beside("G", "SciPy, log-likelihood", lambda t: g_test(*t)[0],
                 lambda t: chi2_contingency(t, correction=False, lambda_="log-likelihood").statistic)  # fmt: skip
    yield beside("G, p", "SciPy, log-likelihood", lambda t: g_test(*t)[1],
                 lambda t: chi2_contingency(t, correction=False, lambda_="log-likelihood").pvalue)  # fmt: skip
    yield beside("Cramér's V", "SciPy contingency.association", lambda t: cramers_v(*t), association)
    yield beside("total variation", "by its definition", lambda t: total_variation(*t),
                 lambda t: float(np.abs(t[0] / t[0].sum() - t[1] / t[1].sum()).sum() / 2))  # fmt: skip
    yield beside("Hellinger", "by its definition", lambda t: hellinger(*t),
                 lambda t: float(np.sqrt(1 - np.sqrt(t[0] / t[0].sum() * t[1] / t[1].sum()).sum())))  # fmt: skip
    shares = [(int(t[0, 0]), int(t[0].sum()), int(t[1, 0]), int(t[1].sum())) for t in tables]
    told = [proportions_ztest([h_now, h], [n_now, n]) for h, n, h_now, n_now in shares]
    yield _agree("z of two shares", "statsmodels proportions_ztest", "planted tables",
                 [(two_shares(*s)[0], z) for s, (z, _) in zip(shares, told, strict=True)])  # fmt: skip
    yield _agree("z of two shares, p", "statsmodels proportions_ztest", "planted tables",
                 [(two_shares(*s)[1], p) for s, (_, p) in zip(shares, told, strict=True)])  # fmt: skip
    flags = [[pd.Series(np.arange(n) < hits) for hits, n in ((s[2], s[3]), (s[0], s[1]))] for s in shares]
    yield _agree("z of two shares", "Evidently z", "planted tables",
                 [(two_shares(*s)[0], float(proportions_diff_z_stat_ind(*f)))
                  for s, f in zip(shares, flags, strict=True)])  # fmt: skip
    chances = [p for _, p in told]
    yield _agree("q (Benjamini-Hochberg)", "SciPy false_discovery_control", "planted tables",
                 list(zip(false_discovery(chances), false_discovery_control(chances).tolist(), strict=True)))  # fmt: skip


def _pca() -> Iterator[Agreement]:
    """Reconstruction errors by scikit-learn, from the same columns and the same share of the variance."""
    from sklearn.decomposition import PCA

    rows = load_flights().select(*_NUMBERS, *_CATEGORIES)
    world = np.random.default_rng(5)
    mixed = world.normal(size=(4000, 4)) @ world.normal(size=(4, 12)) + 0.3 * world.normal(size=(4000, 12))
    planted = pl.DataFrame({f"x{i}": mixed[:, i] for i in range(12)})
    for data, known, seen in (("flights", rows[:4000], rows[-2000:]), ("planted", planted[:3000], planted[3000:])):
        first, second = spread_out(known, seen)
        truth = PCA(n_components=0.65, svd_solver="full").fit(first)
        errors = np.linalg.norm(second - truth.inverse_transform(truth.transform(second)), axis=1)
        ours = Structure.of(first)
        yield _agree("PCA, components", "scikit-learn PCA", data, [(len(ours.axes), truth.n_components_)], 0)
        yield _agree("PCA, reconstruction error", "scikit-learn PCA", data,
                     list(zip(ours.errors(second).tolist(), errors.tolist(), strict=True)))  # fmt: skip


def _table(seed: int) -> Counts:
    rng = np.random.default_rng([31, seed])
    bins = int(rng.integers(2, 200))
    law = rng.dirichlet(np.ones(bins))
    table = np.stack(
        [rng.multinomial(8000, law), rng.multinomial(3000, 0.8 * law + 0.2 * rng.dirichlet(np.ones(bins)))]
    )
    return np.asarray(table[:, table.sum(axis=0) > 0])


def _pooled(table: Counts) -> Counts:
    return np.stack(without_sparse(*table[:, table.sum(axis=0) > 0]))


def _agree(
    measure: str,
    rival: str,
    data: str,
    pairs: Sequence[tuple[float | None, float]],
    allowed: float = ROUNDING,
    note: str = "",
) -> Agreement:
    """The largest difference, relative where values are large."""
    ours, theirs = (np.array([pair[side] for pair in pairs], float) for side in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    return Agreement(measure=measure, rival=rival, data=data, compared=len(pairs), largest=float(apart.max()),
                     allowed=allowed, note=note)  # fmt: skip
