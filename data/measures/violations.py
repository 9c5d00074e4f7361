"""Rows that break rules, by rule and bucket of time, counted in one pass; and which buckets break them beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import State
from pilothouse.data.measures.outcomes import Ints
from pilothouse.data.measures.quality import QualityPoint, RuleLine
from pilothouse.data.measures.rules import TYPES, Demand, Rule, without_nan
from pilothouse.data.windows import Window

CHANCE = 1e-6
"""How likely chance alone may call a bucket broken whose rows break a rule as often as is tolerated: with 60 rules and a
month of hours that is 0.04 false alarms a month, and fewer where less than is tolerated breaks it."""
EXAMPLES = 10
LATELY = timedelta(days=1)
"""A rule that was broken so short a while ago counts as broken still: values often go wrong at certain hours of the day."""
AT, ID = "__at", "__id"
"""Time and id of each row, called so that no feature or context column has the same name."""
_BUCKETS = {timedelta(hours=1): "1h", timedelta(days=1): "1d"}


def count_violations(rows: pl.DataFrame, rules: Sequence[Rule], every: timedelta, zone: ZoneInfo) -> pl.DataFrame:
    """Rows and violations by bucket, oldest first: columns `bucket` (aware UTC), `rows`, and each rule by its name.

    rows : AT and the rules' columns; NaN is missing. A column that is not there, or is of another type, breaks its type
    rule in every row and none other. every : an hour or a day, of `zone`.
    """
    plain = without_nan(rows)
    counts = [_counted(rule, plain).alias(rule.name) for rule in rules]
    local = pl.col(AT).dt.convert_time_zone(zone.key).dt.truncate(_BUCKETS[every])
    bucket = local.dt.convert_time_zone("UTC").alias("bucket")
    return plain.lazy().group_by(bucket).agg(pl.len().cast(pl.Int64).alias("rows"), *counts).sort("bucket").collect()


def count_all(rows: pl.DataFrame, rules: Sequence[Rule]) -> dict[str, int]:
    """Violations of each rule over all `rows`, by its name."""
    plain = without_nan(rows)
    counted = plain.lazy().select(_counted(rule, plain).alias(rule.name) for rule in rules).collect()
    return {rule.name: int(counted[rule.name][0] or 0) for rule in rules} if rules else {}


def _counted(rule: Rule, rows: pl.DataFrame) -> pl.Expr:
    fits = _fits(rule, rows)
    if rule.demand is Demand.TYPE:
        return pl.lit(0, pl.Int64) if fits else pl.len().cast(pl.Int64)
    return rule.broken().sum().cast(pl.Int64) if fits else pl.lit(0, pl.Int64)


def _fits(rule: Rule, rows: pl.DataFrame) -> bool:
    """Whether the rule can be asked of the column as it is."""
    held = rows.schema.get(rule.column)
    if held is None:
        return False
    if rule.demand is Demand.TYPE:
        return held == TYPES[str(rule.bound)]
    needed = {
        Demand.AT_LEAST: pl.Float64,
        Demand.AT_MOST: pl.Float64,
        Demand.ONE_OF: pl.String,
        Demand.MATCHES: pl.String,
    }
    return rule.demand not in needed or held == needed[rule.demand]


def examples(rows: pl.DataFrame, rules: Sequence[Rule], most: int = EXAMPLES) -> dict[str, tuple[str, ...]]:
    """Ids of the newest rows that break each rule, by its name. rows : oldest first, with ID."""
    plain = without_nan(rows)
    asked = [rule for rule in rules if rule.demand is not Demand.TYPE and _fits(rule, plain)]
    ids = plain.lazy().select(
        pl.col(ID).filter(rule.broken()).tail(most).reverse().implode().alias(rule.name) for rule in asked
    )
    found = ids.collect() if asked else pl.DataFrame()
    return {rule.name: tuple(map(str, found[rule.name][0])) for rule in asked}


def is_broken(violations: Ints, rows: Ints, tolerated: float) -> npt.NDArray[np.bool_]:
    """Whether more rows break a rule than `tolerated`, beyond chance: the exact binomial tail is under CHANCE.

    violations, rows : int64, the same shape. With tolerated 0 a single row is enough.
    Source: Clopper and Pearson (1934).

    >>> is_broken(np.array([0, 3, 40]), np.array([100, 100, 100]), 0.01)
    array([False, False,  True])
    """
    from scipy.special import betainc

    some = violations > 0
    tail = betainc(np.where(some, violations, 1), np.where(some, rows - violations + 1, 1), tolerated)
    return np.asarray(some & (tail < CHANCE))


def points_of(
    counted: pl.DataFrame, rules: Sequence[Rule], every: timedelta, tolerated: float, zone: ZoneInfo
) -> tuple[QualityPoint, ...]:
    """The buckets of `count_violations` as values."""
    names = [rule.name for rule in rules]
    hits = counted.select(names).to_numpy().astype(np.int64) if names else np.zeros((counted.height, 0), np.int64)
    rows = counted["rows"].to_numpy().astype(np.int64)
    broken = is_broken(hits, rows[:, None], tolerated)
    return tuple(
        QualityPoint(
            window=Window(start, _next(start, every, zone)),
            rows=int(rows[i]),
            violations=dict(zip(names, map(int, hits[i]), strict=True)),
            broken=frozenset(name for name, over in zip(names, broken[i], strict=True) if over),
        )
        for i, start in enumerate(counted["bucket"])
    )


def _next(start: datetime, every: timedelta, zone: ZoneInfo) -> datetime:
    if every < timedelta(days=1):
        return start + every
    local = start.astimezone(zone)
    return (local + every).astimezone(start.tzinfo)


def line_of(
    rule: Rule, points: Sequence[QualityPoint], tolerated: float, found: Mapping[str, tuple[str, ...]]
) -> RuleLine:
    """A rule over all buckets, with its state."""
    rows, hits = sum(p.rows for p in points), sum(p.violations[rule.name] for p in points)
    broken = [p for p in points if rule.name in p.broken]
    over = bool(rows) and bool(is_broken(np.array([hits]), np.array([rows]), tolerated)[0])
    return RuleLine(
        rule=rule,
        rows=rows,
        violations=hits,
        state=_state(points, broken, over=over),
        since=_since(broken) if broken else points[0].window.start if over else None,
        broken=len(broken),
        examples=found.get(rule.name, ()),
    )


def _state(points: Sequence[QualityPoint], broken: Sequence[QualityPoint], *, over: bool) -> State:
    if not points:
        return State.NO_DATA
    # Too few rows a bucket to call any of them broken, and enough in all of them together.
    always = over and not broken
    if always or (broken and points[-1].window.end - broken[-1].window.end < LATELY):
        return State.CRITICAL
    return State.WATCH if broken else State.HEALTHY


def _since(broken: Sequence[QualityPoint]) -> datetime:
    """Start of the newest stretch of broken buckets; less than LATELY without one, such as a night, does not end it."""
    since = broken[-1].window
    for point in reversed(broken):
        if since.start - point.window.end >= LATELY:
            break
        since = point.window
    return since.start
