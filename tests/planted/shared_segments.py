"""Segments where rows share something: does the band of the difference from the rest hold the truth, and what is found?

The worlds are frozen (shared_segment_worlds.py); goals were set before the method. In all but the last lines of the
search no segment is weak, so what is found is false.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.outcomes import log_losses
from pilothouse.data.measures.row_buckets import Buckets
from pilothouse.data.measures.segment_comparison import compare_means, compare_ranking
from pilothouse.data.measures.slices import Found, Slice, SliceRule, cut_columns, find_slices
from pilothouse.data.measures.weak_segments import halves_of
from tests.planted.shared_segment_worlds import FAILING, SEGMENTS, WORLDS, Bools, Shared, World, make
from tests.planted.verdict import Verdict

SEEDS = {"small": 3, "full": 200}
SEARCH_SEEDS = {"small": 3, "full": 100}
SPANS = {"small": (28,), "full": (7, 28)}
SEARCH_SPANS = {"small": (14,), "full": (7, 14, 28)}
COVERAGE = {"small": 0.5, "full": 0.92}
"""Of bands that promise 95 %."""
FALSE, POWER = 0.05, 0.8
_SMALL = ("a city's day",)
_TOLD = 20
"""Worlds in which a band must be said for its coverage to have a goal."""
_UTC = "UTC"


def run(size: str) -> list[Verdict]:
    worlds = {name: shared for name, shared in WORLDS.items() if size == "full" or name in _SMALL}
    bands = [v for name, shared in worlds.items() for days in SPANS[size] for v in _bands(name, shared, days, size)]
    finds = [
        v for name, shared in worlds.items() for days in SEARCH_SPANS[size] for v in _finds(name, shared, days, size)
    ]
    return bands + finds


def differences(world: World, inside: Bools, together: Buckets | None) -> dict[str, Metric]:
    """ROC AUC and log-loss of a segment less those of the rest."""
    groups, losses = np.where(inside, 0, 1), log_losses(world.score, world.positive)
    return {
        "ROC AUC": compare_ranking(groups, 1, world.score, world.positive, together)[0][2],
        "log-loss": compare_means(groups, 1, losses, together)[0][2],
    }


def _bands(name: str, shared: Shared, days: int, size: str) -> Iterator[Verdict]:
    held: dict[str, list[tuple[bool, bool | None]]] = defaultdict(list)
    for seed in range(SEEDS[size]):
        world = make(shared, days, np.random.default_rng([11, days, seed]))
        together = Buckets(by="days", places=world.day)
        for segment, rows_of in SEGMENTS.items():
            inside = rows_of(world.columns)
            if not inside.any():
                continue
            by_rows, by_days = differences(world, inside, None), differences(world, inside, together)
            for metric, plain in by_rows.items():
                held[f"{segment}, {metric}"].append((bool(_inside(plain)), _inside(by_days[metric])))
    for told, found in held.items():
        said = [inside for _, inside in found if inside is not None]
        if not said:
            continue
        yield Verdict(
            name=f"{name}, {days} days: {told}", seeds=len(said), value=float(np.mean(said)),
            unit="of worlds", goal=COVERAGE[size] if len(said) >= _TOLD or size == "small" else None,
            detail=f"{np.mean([plain for plain, _ in found]):.3f} by rows; said in {len(said)} of {len(found)}",
        )  # fmt: skip


def _inside(gap: Metric) -> bool | None:
    """Whether the band holds the truth, which is 0; None without a band."""
    return None if gap.low is None or gap.high is None else gap.low <= 0 <= gap.high


def find(world: World) -> Found:
    """As `weak_segments` searches a model's labelled rows."""
    rule = SliceRule()
    cuts = cut_columns(world.columns, rule)
    searched, together = halves_of(world.times, cuts, world.columns, _UTC)
    return find_slices(cuts, world.columns, log_losses(world.score, world.positive), searched, rule, together=together)


def _finds(name: str, shared: Shared, days: int, size: str) -> Iterator[Verdict]:
    quiet, hits, strays = [], [], []
    for seed in range(SEARCH_SEEDS[size]):
        quiet.append(len(find(make(shared, days, np.random.default_rng([12, days, seed]))).slices))
        names = [_told(found) for found in find(_failing(shared, days, seed)).slices]
        hits.append(f"shop = {FAILING}" in names)
        strays.append(sum(FAILING not in told for told in names))
    few = size == "small"
    said = f"{name}, {days} days searched"
    yield Verdict(
        name=f"{said}: something found where nothing fails", seeds=len(quiet), value=float(np.mean(np.array(quiet) > 0)),
        unit="of worlds", goal=0.5 if few else FALSE, at_most=True,
    )  # fmt: skip
    yield Verdict(
        name=f"{said}: the failing shop found", seeds=len(hits), value=float(np.mean(hits)), unit="of worlds",
        goal=None if few or days < 28 else POWER, detail=f"beside it {np.mean(strays):.2f} false finds a world",
    )  # fmt: skip


def _failing(shared: Shared, days: int, seed: int) -> World:
    return make(shared, days, np.random.default_rng([13, days, seed]), fails=True)


def _told(found: Slice) -> str:
    return " and ".join(map(str, found.conditions))
