"""How a model is to be watched: what its reference and its traffic suggest, each choice with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from pilothouse.data.measures.health import YARDSTICKS
from pilothouse.data.measures.power import Expected, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing that was chosen. value : as people say it. why : one sentence. change : how to choose otherwise."""

    name: str
    value: str
    why: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentGain:
    """How much of the differences in loss between rows the values of a column explain on the reference.

    share : omega squared, 0 to 1. p : chance of so much where the column says nothing. values : how many there are.
    """

    column: str
    share: float
    p: float
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is suggested for one model.

    metric : the one that is watched. expected : it on the reference. watch : the span and the margin; None where
    nothing can be said, and `reason` says why. budget : false alarms a month. drift_days : the shortest span whose drift
    may be read. segments : columns worth watching, best first. labelled_a_day, rows_a_day : the traffic it rests on.
    """

    model: str
    metric: str
    expected: Expected | None
    watch: Watch | None
    budget: float
    drift_days: int | None
    segments: tuple[SegmentGain, ...]
    labelled_a_day: float
    rows_a_day: float
    reason: str = ""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Each thing that was chosen, why, and how to choose otherwise."""
        return (*self._performance(), self._drift(), self._segments())

    def _performance(self) -> tuple[Choice, ...]:
        change = f"pilothouse plan {self.model} --loss X --budget X, --days N with --accept"
        if self.watch is None or self.expected is None:
            return (Choice(name="span", value="none yet", why=self.reason, change=change),)
        w, judged = self.watch, next(y for y in YARDSTICKS if y.metric == self.metric)
        seen = f"shows a loss of {judged.difference(w.loss)} with a chance of {w.power:.0%}"
        rows = f"{w.rows:,} labelled rows at {self.labelled_a_day:,.0f} a day"
        side = "below" if self.expected.high_is_good else "above"
        shortest = "The shortest of whole weeks that" if w.sees else "No span shows it surely; this one"
        allowed = f"{w.margin:.1f} standard errors from {judged.figure(self.expected.value)} on the reference"
        return (
            Choice(name="span", value=f"{w.days} days", why=f"{shortest} {seen}: {rows}.", change=change),
            Choice(
                name="alarm", value=f"{judged.title} {side} {judged.figure(w.threshold)}",
                why=f"{allowed}: {_often(w.alarms)} by chance.", change=change,
            ),
        )  # fmt: skip

    def _drift(self) -> Choice:
        value = "none" if self.drift_days is None else f"{self.drift_days} day{'s' if self.drift_days > 1 else ''}"
        why = (
            f"The shortest span in which {self.rows_a_day:,.0f} rows a day are enough for every feature's PSI."
            if self.drift_days
            else f"At {self.rows_a_day:,.0f} rows a day even four weeks are too few for every feature's PSI."
        )
        return Choice(name="drift span", value=value, why=why, change="the time range of a page, --window of a command")

    def _segments(self) -> Choice:
        value = ", ".join(gain.column for gain in self.segments) or "none"
        shares = ", ".join(f"{gain.column} {gain.share:.1%}" for gain in self.segments)
        why = (
            f"Their values explain most of the differences in loss between reference rows: {shares}."
            if self.segments
            else "No column's values tell rows that the model gets right from rows that it gets wrong."
        )
        return Choice(name="segments", value=value, why=why, change=f'house["{self.model}"].watch_segments(...)')


def _often(alarms: float) -> str:
    """
    >>> _often(0.1), _often(2.0)
    ('one false alarm in 10 months', '2.0 false alarms a month')
    """
    return f"one false alarm in {1 / alarms:.0f} months" if alarms < 1 else f"{alarms:.1f} false alarms a month"
