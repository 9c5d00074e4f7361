"""Rules, violations and volume keep their word on rows that nobody would send on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.data.errors import BadPolicy, UnknownColumn
from pilothouse.data.history.results import State
from pilothouse.data.measures import rule_forms
from pilothouse.data.measures.quality import Volume
from pilothouse.data.measures.rules import ColumnTerms, Demand, Rule, Terms, changed
from pilothouse.data.measures.violations import AT, ID, count_all, count_violations, examples, line_of, points_of
from pilothouse.data.measures.volume import Hour, measure_volume
from pilothouse.data.windows import Window

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR, ZONE = timedelta(hours=1), ZoneInfo("UTC")
TERMS = Terms(
    columns=(
        ColumnTerms(name="age", type="Float64", nullable=False, at_least=0.0, at_most=120.0),
        ColumnTerms(name="plan", type="String", one_of=("free", "plüs"), matches="[a-z]"),
    )
)
NUMBERS = st.one_of(st.none(), st.floats(), st.just(float(2**80)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.one_of(st.none(), st.text(max_size=5))), max_size=30), st.randoms())
def test_counts_are_those_of_plain_python_whatever_the_order(
    rows: list[tuple[float | None, str | None]], mix: Random
) -> None:
    mix.shuffle(rows)
    ages = [None if a is None or a != a else a for a, _ in rows]
    plans = [p for _, p in rows if p is not None]
    frame = pl.DataFrame(
        {"age": [a for a, _ in rows], "plan": [p for _, p in rows]}, {"age": pl.Float64, "plan": pl.String}
    )
    assert count_all(frame, TERMS.rules) == {
        "age: type": 0,
        "age: present": ages.count(None),
        "age: at least": sum(a < 0 for a in ages if a is not None),
        "age: at most": sum(a > 120 for a in ages if a is not None),
        "plan: type": 0,
        "plan: one of": sum(p not in ("free", "plüs") for p in plans),
        "plan: matches": sum(not ("a" <= p[:1] <= "z") for p in plans),
    }


@pytest.mark.parametrize(
    "values", [[], [None], [float("nan")] * 3, [float("inf"), -float("inf")], [2.0**70], [1.0, 1.0]]
)
def test_whatever_was_inferred_holds_for_its_own_rows(values: list[float | None]) -> None:
    rows = pl.DataFrame({"x": values}, {"x": pl.Float64})
    terms = rule_forms.infer(rows)
    held = count_all(rows.filter(~pl.col("x").is_infinite() | pl.col("x").is_null()), terms.rules)
    assert sum(held.values()) == 0
    assert rule_forms.from_json(rule_forms.to_json(terms)) == terms.columns


def test_inferred_ranges_have_slack_and_do_not_pass_zero() -> None:
    rows = pl.DataFrame({"temp": np.linspace(10, 20, 500), "size": np.linspace(1, 101, 500), "day": [1.0, 7.0] * 250,
                         "who": [f"u{i}" for i in range(500)], "kind": ["a", None] * 250})  # fmt: skip
    temp, size, day, who, kind = rule_forms.infer(rows).columns
    assert (temp.at_least, temp.at_most) == (5.0, 25.0)
    assert (size.at_least, size.at_most) == (0.0, 151.0)
    assert (day.at_least, day.at_most, day.nullable) == (1.0, 7.0, False)
    assert who.one_of is None
    assert (kind.one_of, kind.nullable) == (("a",), True)


def test_three_hundred_columns_of_the_wrong_type_or_absent_break_their_type_rule_alone() -> None:
    columns = tuple(ColumnTerms(name=f"x{i}", type="Float64", nullable=False, at_most=1.0) for i in range(300))
    frame = pl.DataFrame({f"x{i}": ["a", "b"] for i in range(299)})
    counts = count_all(frame, Terms(columns=columns).rules)
    assert {name for name, n in counts.items() if n} == {f"x{i}: type" for i in range(300)}


@pytest.mark.parametrize(
    ("edit", "rules"),
    [
        ("age <= 99", {"age: present", "age: at least", "age: at most"}),
        ("age off", set()),
        ("age may be missing", {"age: at least", "age: at most"}),
        ("age no minimum", {"age: present", "age: at most"}),
    ],
)
def test_edits_of_a_column(edit: str, rules: set[str]) -> None:
    found = changed(TERMS, [edit], "loans").columns[0].rules
    assert {rule.name for rule in found if rule.demand is not Demand.TYPE} == rules


@pytest.mark.parametrize("edit", ["age in a,b", "plan <= 3", "age", "age <=", "plan matches (", "plan matches (?=a)",
                                  "age >= 500", "age <= nan", "plan matches " + "a" * 300])  # fmt: skip
def test_an_edit_that_makes_no_sense_is_refused(edit: str) -> None:
    with pytest.raises((BadPolicy, UnknownColumn)):
        changed(TERMS, [edit], "loans")


def test_an_edit_of_an_unknown_column_names_those_there_are() -> None:
    with pytest.raises(UnknownColumn, match="age, plan"):
        changed(TERMS, ["wage <= 3"], "loans")


def frame_of(hours: int, broken: range) -> pl.DataFrame:
    """A hundred rows an hour, all of them too old in the broken hours."""
    at = [NOW + i * HOUR + timedelta(seconds=j) for i in range(hours) for j in range(100)]
    ages = [130.0 if i in broken else 30.0 for i in range(hours) for _ in range(100)]
    return pl.DataFrame({AT: at, ID: [str(i) for i in range(len(at))], "age": ages, "plan": ["free"] * len(at)})


@pytest.mark.parametrize(
    ("broken", "state"),
    [(range(0), State.HEALTHY), (range(3, 5), State.WATCH), (range(47, 48), State.CRITICAL)],
)
def test_a_rule_is_broken_since_its_last_stretch_began(broken: range, state: State) -> None:
    rule = Rule(column="age", demand=Demand.AT_MOST, bound=120.0)
    rows = frame_of(48, broken)
    points = points_of(count_violations(rows, [rule], HOUR, ZONE), [rule], HOUR, 0.01, ZONE)
    line = line_of(rule, points, 0.01, examples(rows, [rule]))
    assert (line.state, line.broken) == (state, len(broken))
    assert line.since == (NOW + broken[0] * HOUR if broken else None)
    assert len(line.examples) == (10 if broken else 0)


def test_days_begin_at_midnight_of_the_business_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rule = Rule(column="age", demand=Demand.PRESENT)
    points = points_of(
        count_violations(frame_of(48, range(0)), [rule], timedelta(days=1), berlin),
        [rule],
        timedelta(days=1),
        0.01,
        berlin,
    )
    assert [p.window.start.hour for p in points] == [22, 22, 22]
    assert sum(p.rows for p in points) == 4800


def hours(counts: list[int]) -> list[Hour]:
    return [Hour(window=Window(NOW + i * HOUR, NOW + (i + 1) * HOUR), rows=n, errors=0) for i, n in enumerate(counts)]


def volume(counts: list[int], judged: int, later: timedelta = timedelta(0)) -> Volume:
    end = NOW + len(counts) * HOUR
    last = max((i for i, n in enumerate(counts) if n), default=None)
    at = None if last is None else NOW + last * HOUR + timedelta(minutes=59)
    return measure_volume(hours(counts), Window(end - judged * HOUR, end), at, end + later, ZONE)


def test_too_little_history_says_so_and_how_much_would_do() -> None:
    found = volume([100] * (3 * 168), 24)
    assert found.state is State.NO_DATA
    assert found.reason == "too little history: 2 past weeks, and 4 would do"


@pytest.mark.parametrize("counts", [[], [0] * 2000, [5]])
def test_hours_without_rows_are_no_fault(counts: list[int]) -> None:
    assert volume(counts, 24).state in (State.NO_DATA, State.HEALTHY)


def test_an_empty_hour_is_too_few_and_silence_is_late() -> None:
    counts = [100] * (6 * 168)
    counts[-5] = 0
    found = volume(counts, 24)
    assert [h.odd for h in found.odd_hours] == ["too few"]
    assert (found.state, found.late) == (State.WATCH, False)
    silent = volume(counts, 24, later=timedelta(hours=3))
    assert (silent.state, silent.late) == (State.CRITICAL, True)
    assert silent.missed == pytest.approx(300, abs=5)


def test_an_hour_that_is_not_over_is_not_judged() -> None:
    counts = [100] * (6 * 168) + [3]
    found = volume(counts, 24, later=-timedelta(minutes=30))
    assert found.hours[-1].expected is None
    assert found.odd_hours == ()
