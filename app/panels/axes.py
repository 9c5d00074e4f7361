"""The value axis of a metric, and its ends where a few odd buckets should not set them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pilothouse.app import metric_words as words
from pilothouse.app.panels import charts
from pilothouse.data.history.results import Metric, TrendPoint

Ends = tuple[float, float]
_FEW = 10
"""How many times fewer labels than usual make a bucket too thin to set the ends of an axis."""
_ROOM = 0.06
_LARGE = 10_000


def is_thin(labelled: int, usual: int) -> bool:
    """Whether a bucket of so many labels is far below the usual one."""
    return labelled * _FEW < usual


def of_metric(name: str, values: Iterable[float | None], **given: object) -> dict[str, Any]:
    """An axis for `values` of the metric: percent for a share, thousands as such where they are large."""
    if words.is_share(name):
        return charts.value_axis(tickformat=".0%", hoverformat=".1%", **given)
    large = any(value is not None and abs(value) >= _LARGE for value in values)
    ticks, hover = ("~s", ",.1f") if large else (".3~f", ".3f")
    return charts.value_axis(tickformat=ticks, hoverformat=hover, **given)


def reach(points: Sequence[TrendPoint], metric: str) -> Ends | None:
    """The ends of the axis, where a bucket with far fewer labels than usual would stretch it; else None.

    They leave room for the values and bands of all other buckets; what goes beyond is cut at the edge.
    """
    known = [
        (p.labelled, p.metrics[metric]) for p in points if metric in p.metrics and p.metrics[metric].value is not None
    ]
    if not known:
        return None
    usual = sorted(labelled for labelled, _ in known)[len(known) // 2]
    low, high = around([found for labelled, found in known if not is_thin(labelled, usual)])
    lowest, highest = _ends([found for _, found in known])
    return (low, high) if lowest < low or highest > high else None


def around(found: Sequence[Metric]) -> Ends:
    """The ends of an axis for these values and their bands, with a little room; it does not go below 0 for their sake."""
    low, high = _ends(found)
    room = _ROOM * (high - low) or 0.01
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _ends(found: Sequence[Metric]) -> Ends:
    numbers = [end for m in found for end in (m.value, m.low, m.high) if end is not None]
    return min(numbers), max(numbers)
