"""A feature's distribution for drawing: at most some thirty bars, current over reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pilothouse.data.history.results import Bin
from pilothouse.data.measures.drift import Counts, Floats
from pilothouse.data.rollups.bins import CategoryBins, NumberBins
from pilothouse.data.rollups.profile import FeatureProfile

BARS = 30
OTHER, NEW = "other", "new"


def draw_bins(feature: FeatureProfile, counts: Counts) -> tuple[Bin, ...]:
    """Bars of the values that are not missing, as shares of them.

    counts : int64, shape (slots,). Numbers rise, with the values outside the reference's range at either end. Categories
    fall by their share in the reference; then come "other", which adds up the rest, and "new", where there are any.
    """
    reference, current = _shares(feature.counts[:-1]), _shares(counts[:-1])
    if isinstance(feature.bins, CategoryBins):
        return tuple(_category_bars(feature.bins, reference, current))
    return tuple(_number_bars(feature.bins, reference, current))


def mean_of(counts: Counts, sums: Floats) -> float | None:
    """Mean of the values that are not missing, None without any."""
    present = counts[:-1].sum()
    return float(sums[:-1].sum() / present) if present else None


def _shares(counts: Counts) -> Floats:
    shares: Floats = counts / max(int(counts.sum()), 1)
    return shares


def _category_bars(bins: CategoryBins, reference: Floats, current: Floats) -> list[Bin]:
    shown = min(len(bins.values), BARS)
    bars = [_bar(bins.values[i], reference[i], current[i]) for i in range(shown)]
    rest = slice(shown, bins.other + 1)
    ends = [(OTHER, reference[rest].sum(), current[rest].sum()), (NEW, reference[bins.new], current[bins.new])]
    return bars + [_bar(label, was, is_) for label, was, is_ in ends if was or is_]


def _bar(label: str, reference: float, current: float) -> Bin:
    return Bin(label=label, left=None, right=None, reference=float(reference), current=float(current))


def _number_bars(bins: NumberBins, reference: Floats, current: Floats) -> list[Bin]:
    first = float(bins.lefts[0])
    edges = np.append(bins.lefts, bins.top)
    if bins.discrete and len(bins.lefts) <= BARS:
        inner = [
            Bin(label=f"{v:g}", left=float(v), right=float(v), reference=float(reference[i]), current=float(current[i]))
            for i, v in enumerate(bins.lefts, start=1)
        ]
    else:
        inner = [
            _span(edges, begin, end, bins.discrete, reference, current)
            for begin, end in _merged(reference[1:-1], edges)
        ]
    below = Bin(
        label=f"below {first:g}", left=None, right=first, reference=float(reference[0]), current=float(current[0])
    )
    above = Bin(
        label=f"above {bins.top:g}",
        left=bins.top,
        right=None,
        reference=float(reference[-1]),
        current=float(current[-1]),
    )
    return [b for b in (below,) if b.current] + inner + [a for a in (above,) if a.current]


def _span(edges: Floats, begin: int, end: int, discrete: bool, reference: Floats, current: Floats) -> Bin:
    # A bin that is one value ends at that value, not where the next begins.
    left, right = float(edges[begin]), float(edges[end - 1 if discrete else end])
    held = slice(begin + 1, end + 1)
    return Bin(
        label=f"{left:.4g}" if left == right else f"{left:.4g} to {right:.4g}",
        left=left,
        right=right,
        reference=float(reference[held].sum()),
        current=float(current[held].sum()),
    )


def _merged(shares: Floats, edges: Floats) -> list[tuple[int, int]]:
    """Runs of neighbouring bins, (first, one past the last): steps of equal width, wide where bins are.

    Bars of equal width show a shape as people know it; quantile bins at the tails are wider than a step and stay whole.
    """
    width = (edges[-1] - edges[0]) / BARS or 1.0
    step_of: npt.NDArray[np.int64] = np.minimum(((edges[:-1] - edges[0]) / width).astype(np.int64), BARS - 1)
    starts = np.flatnonzero(np.diff(step_of, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(shares)], strict=True))
