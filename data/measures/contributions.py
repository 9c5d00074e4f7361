"""Contributions to many answers: how large those of each feature are on average, and how they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import mean_metric
from pilothouse.data.measures.outcomes import Floats, Sums

if TYPE_CHECKING:
    import polars as pl

    from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureContributions:
    """What one feature contributed to each answer of a sample.

    size : mean size of its contributions, with a 95 % band. parts : the contributions, row by row. ranks : where the
    row's value stands among those of the sample, 0 to 1; None where it is missing, and for categories.
    """

    name: str
    size: Metric
    parts: tuple[float, ...] = ()
    ranks: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """What features contributed to the answers of a version, largest mean size first.

    window : of the answers; None for the reference. explained : in words, what contributions are of. rows : explained
    ones, a sample with a fixed seed of `of_rows`. base : mean of what is explained over the rows compared with.
    method : how they were found, in words. unshown : the sentence on features that are not shown. reason : why nothing
    can be said.
    """

    model: str
    version: int
    window: Window | None
    rows: int
    of_rows: int
    explained: str = ""
    base: float | None = None
    features: tuple[FeatureContributions, ...] = ()
    method: str = ""
    unshown: str = ""
    reason: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """The features as a frame, largest mean size first."""
        import polars as pl

        found = [(f.name, f.size.value, f.size.low, f.size.high) for f in self.features]
        schema = {"feature": pl.String, "mean_size": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(found, schema=schema, orient="row")


def measure_contributions(
    names: Sequence[str], values: Floats, ranks: Sequence[Sequence[float | None]]
) -> tuple[FeatureContributions, ...]:
    """Each feature's contributions, largest mean size first.

    values : finite float64, shape (rows, features). ranks : of the values, a sequence for each feature. The mean size is
    that of Lundberg et al. (2020), the mean of |SHAP|; its band is for the sampling of rows.
    """
    found = [
        FeatureContributions(
            name=name, size=mean_metric(Sums.of(np.abs(values[:, at])), lowest=0.0), parts=tuple(values[:, at].tolist()),
            ranks=tuple(ranks[at]),
        )
        for at, name in enumerate(names)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: -(each.size.value or 0.0)))


def ranks_of(values: pl.Series) -> list[float | None]:
    """Where each number stands among the others, 0 to 1, ties alike; None where it is missing, and for texts.

    >>> import polars as pl
    >>> ranks_of(pl.Series([5.0, None, 1.0]))
    [0.75, None, 0.25]
    """
    import polars as pl

    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        return [None] * len(values)
    known = values.cast(pl.Float64).fill_nan(None)
    count = len(known) - known.null_count()
    ranked: list[float | None] = ((known.rank("average") - 0.5) / max(count, 1)).to_list()
    return ranked
