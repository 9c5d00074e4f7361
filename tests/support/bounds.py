"""How far drift from roll-ups is from drift of the rows, over all laws and shifts: logged, folded and asked like any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from pilothouse.data.history.history import History
from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.fold import fold
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace
from tests.support.distributions import LAWS, ROWS, SHIFTS, Floats, reference_of, window_of

BINS = 160
KS_BOUND = 1 / BINS
WASSERSTEIN_BOUND = 0.01
PSI_BOUND, PSI_EXACT = 0.02, 1e-9
START = parse_time("2026-03-02T00:00:00Z")
_DAYS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One measure of one law after one shift: from roll-ups, from the rows, and how far apart the two may be.

    bound : of MONITORING.md; None where it promises nothing (Kolmogorov-Smirnov of tied values).
    """

    law: str
    shift: str
    measure: str
    found: float
    exact: float
    bound: float | None

    @property
    def error(self) -> float:
        return abs(self.found - self.exact)

    @property
    def kept(self) -> bool:
        return self.bound is None or self.error <= self.bound


def cases(folder: Path) -> list[Case]:
    """All of them; every law after every shift is a feature of one model, whose log is made in `folder`."""
    names = {f"{law}_{shift}": (law, shift) for law in LAWS for shift in SHIFTS}
    drift = {feature.name: feature for feature in _drift(folder, names)}
    return [case for name, (law, shift) in names.items() for case in _compared(law, shift, drift[name])]


def _compared(law: str, shift: str, said: FeatureDrift) -> Iterator[Case]:
    from scipy.stats import ks_2samp, wasserstein_distance

    before, now = _present(reference_of(law)), _present(window_of(law, shift))
    tied = len(np.unique(before)) < len(before)
    exact = {
        "psi": (_psi(before, now), PSI_BOUND if tied else PSI_EXACT),
        "ks": (float(ks_2samp(before, now, method="asymp").statistic), None if tied else KS_BOUND),
        "wasserstein": (float(wasserstein_distance(before, now) / before.std()), WASSERSTEIN_BOUND),
        "missing": (1 - len(now) / ROWS, 1e-12),
    }
    for measure, (value, bound) in exact.items():
        found = getattr(said, measure)
        assert found is not None, f"{law} {shift}: {measure} is not said: {said.reason}"
        yield Case(law=law, shift=shift, measure=measure, found=found, exact=value, bound=bound)


def _psi(before: Floats, now: Floats) -> float:
    """PSI from the rows, as docs/measures.md defines it: over tenths of the reference, or over its up to ten values.

    Of tied values each belongs to the tenth in which the middle of its mass lies, so that one with much mass is alone.
    """
    values, rows = np.unique(before, return_counts=True)
    if len(values) == len(before):
        edges = np.quantile(before, np.arange(1, 10) / 10, method="lower")
        groups = [np.searchsorted(edges, of, side="right") for of in (before, now)]
    else:
        middles = (np.cumsum(rows) - rows / 2) / len(before)
        group_of = np.arange(len(values)) if len(values) <= 10 else np.minimum((middles * 10).astype(int), 9)
        places = [np.searchsorted(values, of, side="right") - 1 for of in (before, now)]
        groups = [group_of[np.maximum(place, 0)] for place in places]
    asked = np.unique(groups[0])
    shares = [np.array([(group == one).mean() for one in asked]) for group in groups]
    expected, actual = (np.where(share > 0, share, 1e-4) for share in shares)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def _present(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _drift(folder: Path, names: dict[str, tuple[str, str]]) -> tuple[FeatureDrift, ...]:
    signature = Signature(
        features=tuple(Feature(name=name, kind=Kind.NUMBER) for name in names),
        target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
        task=Task.BINARY,
    )
    reference = {name: reference_of(law) for name, (law, _) in names.items()}
    labels = np.arange(ROWS) % 2
    profile = Profile.make(pl.DataFrame(reference | {"late": labels}), signature, "p1", None)
    workspace, settings, policy = Workspace.create(folder), Settings(), LabelPolicy()
    log = prediction_folder(workspace, "laws", signature)
    log.append(_rows(names, log.schema), {"bounds": 1})
    end = START + timedelta(days=_DAYS)
    fold(workspace, "laws", signature, profile, policy, settings, clock=lambda: end)
    return History(workspace, "laws", signature, profile, policy, settings).drift(Window(START, end)).features


def _rows(names: dict[str, tuple[str, str]], schema: pa.Schema) -> pa.Table:
    step = timedelta(days=_DAYS) / ROWS
    frame = pl.DataFrame(
        {
            "prediction_id": [f"{n:06d}" for n in range(ROWS)],
            "at": [START + n * step for n in range(ROWS)],
            **{f"x_{name}": window_of(law, shift) for name, (law, shift) in names.items()},
        }
    ).with_columns(
        pl.col("at").alias("logged_at"),
        pl.col("at").dt.date().alias("day"),
        version=pl.lit(1),
        role=pl.lit("champion"),
        status=pl.lit("ok"),
        spool=pl.lit("bounds"),
    )
    given = frame.to_arrow()
    columns = [given[f.name].cast(f.type) if f.name in given.column_names else pa.nulls(ROWS, f.type) for f in schema]
    return pa.table(columns, schema=schema)
