"""What is said of bands whose rows go together by the day: how much wider that makes them, or why it is not known."""

from __future__ import annotations

from collections.abc import Collection

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.together import LEAST_BUCKETS

ROWS = "rows"
_ONE = {"days": "day", "hours": "hour", "weeks": "week"}


def of_metric(metric: Metric) -> str:
    """For a tooltip over a band; empty where there is none.

    >>> of_metric(Metric(value=0.7, low=0.6, high=0.8, by="days", wider=1.42))
    'Rows of a day counted together: 1.4 times as wide as with each row by itself.'
    >>> of_metric(Metric(value=0.7, low=0.6, high=0.8))
    'Each row taken by itself.'
    """
    if metric.low is None:
        return ""
    if metric.by == ROWS:
        return "Each row taken by itself."
    together = f"Rows of {_article(metric.by)} counted together"
    if metric.wider < 1.05:
        return f"{together}: no wider than with each row by itself."
    return f"{together}: {metric.wider:.1f} times as wide as with each row by itself."


def of_main(metric: Metric, name: str) -> str:
    """One sentence beneath the figures. metric : the first of them that has a band; name : what it is called.

    >>> of_main(Metric(value=0.7, low=0.6, high=0.8, by="days", wider=1.42), "ROC AUC")
    'Rows of a day share something, so the band of ROC AUC is 1.4 times as wide as rows alone would make it.'
    """
    if metric.low is None:
        return ""
    if metric.by == ROWS:
        return (
            "Bands take each row by itself: with labelled rows on fewer than "
            f"{LEAST_BUCKETS} days it cannot be told how alike rows of one day are."
        )
    if metric.wider < 1.05:
        return f"Rows of {_article(metric.by)} are no more alike than others, so bands are as wide as rows alone make them."
    return (
        f"Rows of {_article(metric.by)} share something, so the band of {name} is {metric.wider:.1f} times as wide "
        "as rows alone would make it."
    )


def of_bands(by: Collection[str]) -> str:
    """One sentence beneath a table with bands. by : what each of them is told apart by; empty where there is none.

    >>> of_bands({"days"}), of_bands({"rows"}), of_bands(())
    ('Bands count the rows of a day together.', 'Bands take each row by itself.', '')
    """
    together = sorted(set(by) - {ROWS})
    if not together:
        return "Bands take each row by itself." if by else ""
    return f"Bands count the rows of {_article(together[0])} together."


def of_impact(summed: Metric) -> str:
    """What bands of impact take as one draw. summed : of all effects."""
    if summed.by == ROWS:
        return "as if each row stood alone"
    return f"with rows of {_article(summed.by)} counted together, as far as the labels of this range tell"


def _article(by: str) -> str:
    one = _ONE[by]
    return f"an {one}" if one == "hour" else f"a {one}"
