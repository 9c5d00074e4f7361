"""How good estimates were, once the labels had come; and when they say that what a score means has changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cache

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.bands import Z
from pilothouse.data.measures.estimate import Expected
from pilothouse.data.windows import Window

LEAST_BUCKETS = 4
"""Buckets with all labels below which nothing is said of the estimates."""
ALLOWANCE, MOST, LIMIT = 0.5, 3.0, 6.0
_CHANCE = 0.001
JUDGED = ("roc_auc", "macro_roc_auc", "log_loss", "mae")
"""The metrics that decide, of those that a task has: is the order right, and are the sizes?"""


class Standing(StrEnum):
    """What past estimates were worth."""

    HOLDS = "the estimates hold"
    SUSPECTED = "concept drift suspected"
    TOO_FEW = "too few labelled rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """One bucket: what was to be expected of it, and what came true.

    Where labels are mature, both are of the labelled rows, so that they differ by what the scores are worth and not by
    whose labels came; else the estimate is of all rows, and nothing is realized.
    expected : as the estimates were made; metrics that could not be said are left out.
    """

    window: Window
    rows: int
    labelled: int
    mature: bool
    estimated: dict[str, Metric]
    realized: dict[str, Metric]
    expected: Mapping[str, Expected] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Estimates of one metric beside what came true, over `buckets` buckets whose labels are mature.

    bias : mean of realized - estimated. error : mean of its size. coverage : share of the buckets whose realized value
    lay within the band. mean_width : of the band. since : number of the line with which the realized values began to
    leave the estimates, None unless drift is suspected.
    """

    buckets: int
    bias: float | None
    error: float | None
    coverage: float | None
    mean_width: float | None
    standing: Standing
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoreboard:
    """Estimates beside the truth, bucket by bucket, oldest first. reason : in a sentence, why it stands so."""

    model: str
    window: Window
    every: timedelta
    lines: tuple[ScoreLine, ...]
    tracks: dict[str, Track]
    standing: Standing
    reason: str

    @property
    def trusted(self) -> bool | None:
        """Whether the estimates may be relied on; None when that cannot be said yet."""
        return None if self.standing is Standing.TOO_FEW else self.standing is Standing.HOLDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Estimates of buckets whose labels are still arriving, oldest first, each of all rows of its bucket.

    lines : none where there is no such bucket, or where nothing can be estimated. trusted : whether past estimates held
    once the labels had come; None when that cannot be said yet. reason : why there are none, why they are not to be
    relied on, or why that cannot be said.
    """

    lines: tuple[ScoreLine, ...]
    trusted: bool | None
    reason: str = ""


def judge_metric(lines: Sequence[ScoreLine], name: str) -> Track:
    """What the estimates of the metric `name` were worth."""
    both = [(place, line) for place, line in enumerate(lines) if name in line.expected and name in line.realized]
    pairs = [(place, line.expected[name], line.realized[name].value) for place, line in both if line.mature]
    known = [(place, expected, value) for place, expected, value in pairs if value is not None]
    if not known:
        return Track(buckets=0, bias=None, error=None, coverage=None, mean_width=None, standing=Standing.TOO_FEW)
    gaps = [value - expected.value for _, expected, value in known]
    widths = [2 * Z * math.hypot(e.noise, e.doubt) for _, e, _ in known]
    inside = [abs(gap) <= width / 2 for gap, width in zip(gaps, widths, strict=True)]
    began = drift_since([excess(gap, e) for gap, (_, e, _) in zip(gaps, known, strict=True)])
    standing = Standing.HOLDS if began is None else Standing.SUSPECTED
    return Track(
        buckets=len(known),
        bias=sum(gaps) / len(gaps),
        error=sum(map(abs, gaps)) / len(gaps),
        coverage=sum(inside) / len(inside),
        mean_width=sum(widths) / len(widths),
        standing=standing if len(known) >= LEAST_BUCKETS else Standing.TOO_FEW,
        since=None if began is None or len(known) < LEAST_BUCKETS else known[began][0],
    )


def worst_of(tracks: Mapping[str, Track]) -> tuple[Standing, str | None]:
    """The standing of a model, and the metric that made it so: suspicion first, and nothing is said while all are new."""
    judged = {name: tracks[name] for name in JUDGED if name in tracks}
    for standing in (Standing.SUSPECTED, Standing.HOLDS):
        name = next((name for name, track in judged.items() if track.standing is standing), None)
        if name is not None:
            return standing, name
    return Standing.TOO_FEW, None


def excess(gap: float, expected: Expected) -> float:
    """By how many standard deviations of chance a realized value lies beyond what the reference leaves in doubt.

    The doubt is the same in every bucket, so buckets do not average it out. It is forgiven in full, at its 95 % point:
    what is left is, under no drift and but for one reference in twenty, at most a standard normal value in size,
    independent from bucket to bucket.
    """
    beyond = max(0.0, abs(gap) - Z * expected.doubt)
    return math.copysign(beyond / expected.noise, gap) if expected.noise > 0 else 0.0


def drift_since(excesses: Sequence[float]) -> int | None:
    """Where the realized values began to leave the estimates for good; None while they hold.

    Two rules, and either is enough.

    In one direction: a cumulative sum (Page 1954) to either side. S = max(0, S + x - 0.5) with each excess x cut at 3,
    and drift is suspected while S >= 6; S is cut at 9, so that six buckets without excess end the suspicion. The cut at 3
    means that it takes three buckets at least, however far out one lies. For standard normal excesses the mean number of
    buckets until a false alarm on one side is (exp(b) - b - 1) / 0.5 with b = 6 + 1.166 (Siegmund 1985, ch. 2), which is
    2,574; on both sides 1,287, so of weekly buckets one false alarm in 24 years.

    In both directions: so many of the buckets lie beyond 1.96 that chance alone would bring it about once in a thousand
    times (binomial with a chance of 0.05). Then the band promises more than it keeps.
    """
    up, down = _run(excesses), _run([-x for x in excesses])
    ends = [began for reached, began in (up, down) if reached >= LIMIT]
    if ends:
        return min(ends)
    outside = [place for place, x in enumerate(excesses) if abs(x) > Z]
    return outside[0] if len(outside) >= most_outside(len(excesses)) else None


def _run(excesses: Sequence[float]) -> tuple[float, int]:
    """The cumulative sum at the end, and where it last left 0."""
    total, began = 0.0, 0
    for place, x in enumerate(excesses):
        if total == 0:
            began = place
        total = min(LIMIT + 3, max(0.0, total + min(x, MOST) - ALLOWANCE))
    return total, began


@cache
def most_outside(buckets: int) -> int:
    """The least number of buckets outside a 95 % band that chance brings about at most once in a thousand times.

    >>> most_outside(26)
    7
    """
    tail = 1.0
    for outside in range(buckets + 1):
        if tail <= _CHANCE:
            return outside
        tail -= math.comb(buckets, outside) * 0.05**outside * 0.95 ** (buckets - outside)
    return buckets + 1
