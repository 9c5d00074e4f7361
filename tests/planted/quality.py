"""Weeks in which nothing is wrong, and hours with rows that break rules or with too few rows: what is found, what is not.

Traffic has a shape by hour and weekday, days that are busier or quieter than others, and chance. A few rows break rules
all the time, fewer than are tolerated. Frozen: it does not change to please a measure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pilothouse.data.measures.quality import QualityPoint, Volume
from pilothouse.data.measures.rules import ColumnTerms, Terms
from pilothouse.data.measures.violations import AT, count_violations, points_of
from pilothouse.data.measures.volume import Hour, measure_volume
from pilothouse.data.windows import Window
from tests.planted.verdict import Verdict

SEEDS = {"small": 3, "full": 30}
WEEKS, JUDGED = 13, 4
A_DAY, DAY_SPREAD, WEEKEND = 4_800, 0.08, 0.6
NATURAL, PLANTED = 0.003, 0.15
"""Share of rows that break a rule: always, and in an hour where something is wrong."""
BROKEN_HOURS, DROP_HOURS = 10, 10
DROP_TO = 0.2
"""What is left of the rows of an hour with a drop."""
HOUR, START = timedelta(hours=1), datetime(2026, 6, 1, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
TERMS = Terms(
    columns=(
        ColumnTerms(name="age", type="Float64", nullable=False, at_least=0.0, at_most=120.0),
        ColumnTerms(name="plan", type="String", nullable=False, one_of=("free", "plus"), matches="^[a-z]+$"),
    )
)
MONTH_HOURS = 30 * 24


def run(size: str) -> list[Verdict]:
    """Each seed lives through the weeks once quietly and once with planted hours."""
    lives = [life(seed) for seed in range(SEEDS[size])]
    seeds, months = len(lives), len(lives) * JUDGED * 7 / 30
    quiet_hours, quiet_rules, drops, hits, wrong = (float(sum(found)) for found in zip(*lives, strict=True))
    asked = f"{len(TERMS.rules)} rules; {NATURAL:.1%} of the rows break them always, {TERMS.tolerated:.0%} is tolerated"
    return [
        Verdict(name="quiet weeks: odd hours a month", seeds=seeds, value=quiet_hours / months, unit="hours",
                goal=1.0, at_most=True, detail=f"days differ by {DAY_SPREAD:.0%}"),
        Verdict(name="quiet weeks: broken rules by hour a month", seeds=seeds, value=quiet_rules / months,
                unit="hours", goal=0.1, at_most=True, detail=asked),
        Verdict(name=f"hours with {DROP_TO:.0%} of their rows: found", seeds=seeds,
                value=drops / (seeds * DROP_HOURS), unit="share of hours", goal=0.95, detail="by day, 8 to 20 h"),
        Verdict(name=f"hours with {PLANTED:.0%} violations: found", seeds=seeds,
                value=hits / (seeds * BROKEN_HOURS), unit="share of hours", goal=0.95, detail="by day, 8 to 20 h"),
        Verdict(name="other rules called broken in those hours", seeds=seeds, value=wrong, unit="hours", goal=0.0,
                at_most=True),
    ]  # fmt: skip


def life(seed: int) -> tuple[int, int, int, int, int]:
    """Odd hours and broken rules of quiet weeks; drops and violations found; other rules called broken."""
    rng = np.random.default_rng(seed)
    counts = traffic(rng)
    judged = range(len(counts) - JUDGED * 7 * 24, len(counts))
    quiet = len(volume(counts).odd_hours)
    busy = [hour for hour in judged if 8 <= (START + hour * HOUR).hour < 20]
    dropped = rng.choice(busy, DROP_HOURS, replace=False)
    fewer = counts.copy()
    fewer[dropped] = rng.binomial(counts[dropped], DROP_TO)
    seen = {hour.window.start for hour in volume(fewer).odd_hours if hour.odd == "too few"}
    broken = rng.choice(busy, BROKEN_HOURS, replace=False)
    quiet_points = points(rows(rng, counts, judged, ()))
    with_planted = points(rows(rng, counts, judged, broken))
    at = {START + int(hour) * HOUR for hour in broken}
    return (
        quiet,
        sum(len(p.broken) for p in quiet_points),
        sum(START + int(hour) * HOUR in seen for hour in dropped),
        sum("age: at most" in p.broken for p in with_planted if p.window.start in at),
        sum(len(p.broken - {"age: at most"}) for p in with_planted),
    )


def traffic(rng: np.random.Generator) -> np.ndarray:
    """Rows of each hour of the weeks."""
    hours = np.arange(WEEKS * 7 * 24)
    shape = np.exp(-(((hours % 24) - 14) ** 2) / 40)
    weekend = np.where((hours // 24) % 7 >= 5, WEEKEND, 1.0)
    days = rng.lognormal(0, DAY_SPREAD, WEEKS * 7)[hours // 24]
    return rng.poisson(A_DAY * shape / shape[:24].sum() * weekend * days)


def volume(counts: np.ndarray) -> Volume:
    hours = [
        Hour(window=Window(START + i * HOUR, START + (i + 1) * HOUR), rows=int(n), errors=0)
        for i, n in enumerate(counts)
    ]
    end = START + len(counts) * HOUR
    window = Window(end - timedelta(weeks=JUDGED), end)
    return measure_volume(hours, window, end - timedelta(seconds=1), end, ZONE)


def rows(rng: np.random.Generator, counts: np.ndarray, judged: range, broken: object) -> pl.DataFrame:
    """Rows of the judged weeks: a share of them breaks each rule, and in broken hours more are too old."""
    hour = np.repeat(np.array(judged), counts[list(judged)])
    n = len(hour)
    old = rng.random(n) < np.where(np.isin(hour, np.array(broken)), PLANTED, NATURAL)
    plan = rng.choice(["free", "plus"], n).astype(object)
    plan[rng.random(n) < NATURAL / 2] = "Gold!"
    plan[rng.random(n) < NATURAL] = None
    age = np.where(old, 130.0, np.where(rng.random(n) < NATURAL, np.nan, rng.uniform(18, 90, n)))
    at = np.datetime64(START.replace(tzinfo=None), "us") + (hour * 3600 + rng.random(n) * 3599).astype("timedelta64[s]")
    return pl.DataFrame({AT: pl.Series(at).dt.replace_time_zone("UTC"), "age": age, "plan": plan.tolist()})


def points(frame: pl.DataFrame) -> tuple[QualityPoint, ...]:
    counted = count_violations(frame, TERMS.rules, HOUR, ZONE)
    return points_of(counted, TERMS.rules, HOUR, TERMS.tolerated, ZONE)
