"""Violations by our one pass over the rows beside pandera's own count of failure cases on the same rows."""

from __future__ import annotations

import numpy as np
import polars as pl

from pilothouse.data.demo.flights import FEATURES, load_flights
from pilothouse.data.measures import rule_forms
from pilothouse.data.measures.rules import ColumnTerms, Terms, changed
from pilothouse.data.measures.violations import count_all
from tests.golden.agreement import Agreement

RIVAL = "pandera, failure cases by check"
ROWS = 60_000


def run() -> list[Agreement]:
    return [flights(), flights_edited(), planted()]


def flights() -> Agreement:
    """Rules inferred from the first weeks, asked of the summer."""
    reference, current = parts()
    return agreement("violations, inferred rules", "flights", rule_forms.infer(reference), current)


def flights_edited() -> Agreement:
    """The same with rules made tighter, so that many rows break them."""
    reference, current = parts()
    edits = ["distance <= 1000", "carrier in UA,AA", "dest matches [A-M]", "temp not missing", "wind_speed >= 8"]
    return agreement(
        "violations, edited rules", "flights", changed(rule_forms.infer(reference), edits, "flights"), current
    )


def parts() -> tuple[pl.DataFrame, pl.DataFrame]:
    frame = load_flights().select(pl.col(FEATURES))
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
    frame = frame.with_columns(pl.col(numbers).cast(pl.Float64))
    return frame.head(ROWS), frame.slice(150_000, ROWS)


def planted() -> Agreement:
    """Infinities, NaN, nulls, huge numbers, texts of other scripts."""
    rng = np.random.default_rng(0)
    n = 20_000
    odd = np.array([np.inf, -np.inf, np.nan, 1e300, 2.0**60, -1.0, 0.0, 50.0, 120.0, 121.0])
    texts = ["ок", "日本", "a", "", "A-1", None, "naïve", "💥"]
    rows = pl.DataFrame(
        {
            "age": rng.choice(odd, n),
            "plan": [texts[i] for i in rng.integers(0, len(texts), n)],
            "vip": [(True, False, None)[i] for i in rng.integers(0, 3, n)],
        }
    )
    terms = Terms(
        columns=(
            ColumnTerms(name="age", type="Float64", nullable=False, at_least=0.0, at_most=120.0),
            ColumnTerms(name="plan", type="String", nullable=False, one_of=("ок", "a", "A-1"), matches="^[a-zA-Z]"),
            ColumnTerms(name="vip", type="Boolean", nullable=False),
        )
    )
    return agreement("violations, odd values", "planted", terms, rows)


def agreement(measure: str, data: str, terms: Terms, rows: pl.DataFrame) -> Agreement:
    ours, theirs = count_all(rows, terms.rules), rule_forms.failures(terms, rows)
    apart = [abs(n - theirs.get(name, 0)) for name, n in ours.items()]
    return Agreement(
        measure=measure, rival=RIVAL, data=data, compared=len(apart), largest=float(max(apart)), allowed=0.0
    )
