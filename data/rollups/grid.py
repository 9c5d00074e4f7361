"""A look-up table over a feature's range: the bin of a double in a few nanoseconds, where a search takes fifty.

Each value goes to a cell by a map that never falls (a subtraction and a multiplication, or the upper bits of the float).
So a cell without an edge lies in one bin, and a cell with one edge takes one comparison; only the values of cells with
several edges are searched for. Whatever the map rounds, the bins are those of a search: a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.uint8]

CELLS = 4096
"""Small enough that both tables stay in the first cache."""
_SEVERAL = 255
_LINEAR, _BITS = "linear", "bits"


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """From a value to its cell. linear: (x - start) * scale. bits: of a positive double, (its bits - start) * scale."""

    kind: str
    start: float
    scale: float

    def cells(self, values: Floats) -> npt.NDArray[np.intp]:
        held = values if self.kind == _LINEAR else values.view(np.int64).astype(np.float64)
        # An infinity may become NaN here, and a huge value an infinity: both have their cell at an end.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (held - self.start) * self.scale
        # NaN goes to the first cell; the caller looks after it.
        np.fmax(scaled, 0.0, out=scaled)
        np.fmin(scaled, CELLS - 1, out=scaled)
        return scaled.astype(np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The table for one set of edges.

    below : uint8, shape (CELLS,): the edges up to and including those left of a cell, or 255 where it holds several.
    edge : float64, same shape: the one edge inside a cell, infinity where there is none.
    """

    edges: Floats
    below: Slots
    edge: Floats
    way: _Map

    @classmethod
    def of(cls, edges: Floats) -> Grid:
        """The table for rising, finite `edges`, at most 254 of them."""
        ways = [way for way in _ways(edges) if np.isfinite(way.scale) and way.scale > 0]
        # The way that gives most edges a cell of their own leaves the fewest values to be searched for.
        best = max(ways, key=lambda way: len(np.unique(way.cells(edges))), default=_Map(_LINEAR, 0.0, 0.0))
        return cls(edges, *_tables(edges, best), best)

    def count_below(self, values: Floats) -> Slots:
        """How many edges are at most each value: uint8, shape of `values`. Whatever for NaN.

        values : contiguous float64.
        """
        cells = self.way.cells(values)
        below = self.below[cells]
        several = np.flatnonzero(below == _SEVERAL)
        below += values >= self.edge[cells]
        if len(several):
            below[several] = np.searchsorted(self.edges, values[several], side="right")
        return below


def _ways(edges: Floats) -> list[_Map]:
    """Over the whole range, over its middle (the ends of heavy tails go to the search), and by powers of two."""
    inner = edges[1:-1] if len(edges) > 2 else edges
    ways = [_linear(edges[0], edges[-1]), _linear(inner[0], inner[-1])]
    # Bits of a negative double fall as it rises, and all of them lie below those of positive ones: the first cell.
    if inner[0] > 0:
        low, high = (float(bits) for bits in inner[[0, -1]].view(np.int64))
        ways.append(_Map(_BITS, low, _scale(low, high)))
    return ways


def _linear(low: float, high: float) -> _Map:
    return _Map(_LINEAR, float(low), _scale(float(low), float(high)))


def _scale(low: float, high: float) -> float:
    with np.errstate(over="ignore", divide="ignore"):
        return float(np.float64(CELLS - 1) / (np.float64(high) - np.float64(low)))


def _tables(edges: Floats, way: _Map) -> tuple[Slots, Floats]:
    cells = way.cells(edges)
    held = np.bincount(cells, minlength=CELLS)
    below = np.searchsorted(cells, np.arange(CELLS), side="left").astype(np.uint8)
    below[held > 1] = _SEVERAL
    inside = np.full(CELLS, np.inf)
    inside[cells[held[cells] == 1]] = edges[held[cells] == 1]
    # A comparison with infinity adds nothing; only +infinity itself would, in the last cell.
    inside[held != 1] = np.nan
    return below, inside
