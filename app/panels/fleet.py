"""All models at once: who needs a person, and the four numbers of the fleet. Inbox and table come from one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pilothouse.app import formats, markup
from pilothouse.app import metric_words as words
from pilothouse.data.history.results import Drift, Health, Metric, Performance, Reason, State, TrafficPoint, TrendPoint
from pilothouse.data.signature import Task

NEEDS_A_PERSON = frozenset({State.CRITICAL, State.WATCH})
_WORST_FIRST = list(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model of the fleet. metric : the main one of its task; trend : it by week, oldest first."""

    model: str
    task: Task
    champion: int | None
    health: Health
    metric: Metric
    trend: tuple[float | None, ...]
    rows: int
    labelled: int
    max_psi: float | None
    worst_feature: str
    p95_latency_ms: float | None
    last_at: datetime | None

    @property
    def measured(self) -> str:
        """The main metric in words: models of several tasks stand in one table."""
        name = words.MAIN[self.task][0]
        said = words.value(name, self.metric.value)
        return said if self.metric.value is None else f"{words.title(name)} {said}"

    @property
    def needs_a_person(self) -> bool:
        return self.health.state in NEEDS_A_PERSON


def line(
    *,
    model: str,
    task: Task,
    champion: int | None,
    health: Health,
    performance: Performance,
    trend: Sequence[TrendPoint],
    drift: Drift,
    traffic: Sequence[TrafficPoint],
    last_at: datetime | None,
) -> Line:
    """A model's line from the answers about it."""
    main = words.MAIN[task][0]
    worst = max((f for f in drift.features if f.psi is not None), key=lambda f: f.psi or 0.0, default=None)
    timed = [p for p in traffic if p.p95_latency_ms is not None]
    return Line(
        model=model,
        task=task,
        champion=champion,
        health=health,
        metric=performance.metrics.get(main, Metric(value=None, reason="not measured")),
        trend=tuple(p.metrics[main].value if main in p.metrics else None for p in trend),
        rows=performance.rows,
        labelled=performance.labelled,
        max_psi=worst.psi if worst else None,
        worst_feature=worst.name if worst else "",
        p95_latency_ms=timed[-1].p95_latency_ms if timed else None,
        last_at=last_at,
    )


def worst_first(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda one: (_WORST_FIRST.index(one.health.state), one.model))


def inbox_sentence(lines: Sequence[Line]) -> str:
    """
    >>> inbox_sentence([])
    'No model is registered yet.'
    """
    if not lines:
        return "No model is registered yet."
    waiting = sum(one.needs_a_person for one in lines)
    silent = sum(one.health.state is State.NO_DATA for one in lines)
    if waiting:
        beside = f"; {silent} {'has' if silent == 1 else 'have'} no data to judge by" if silent else ""
        return f"{waiting} model{'s' if waiting > 1 else ''} need{'' if waiting > 1 else 's'} you{beside}."
    if silent:
        if len(lines) == 1:
            return "Nothing needs you, but there are no data yet to judge the model by."
        have = "has" if silent == 1 else "have"
        return f"Nothing needs you, but {silent} of {len(lines)} models {have} no data to judge by."
    return (
        f"Nothing needs you: all {len(lines)} models are healthy."
        if len(lines) > 1
        else "Nothing needs you: the model is healthy."
    )


def tiles(lines: Sequence[Line], range_text: str) -> list[tuple[str, str, str]]:
    """The fleet's four numbers: label, value, and what stands beside it."""
    critical = sum(one.health.state is State.CRITICAL for one in lines)
    watch = sum(one.health.state is State.WATCH for one in lines)
    rows, labelled = sum(one.rows for one in lines), sum(one.labelled for one in lines)
    timed = [one for one in lines if one.p95_latency_ms is not None]
    slowest = max(timed, key=lambda one: one.p95_latency_ms or 0.0, default=None)
    coverage = formats.share(labelled / rows) if rows else formats.NOTHING
    return [
        ("Models needing attention", f"{critical + watch} of {len(lines)}", f"{critical} critical, {watch} on watch"),
        ("Predictions", formats.compact(rows), f"in {range_text}"),
        ("Labels known", coverage, f"{formats.count(labelled)} labelled rows"),
        (
            "p95 latency",
            formats.milliseconds(slowest.p95_latency_ms if slowest else None),
            f"slowest model: {slowest.model}" if slowest else "no answers over HTTP in range",
        ),
    ]


def asks_for_drift(found: Sequence[Reason]) -> bool:
    """Whether some reason is one to look at the drift for."""
    return any(reason.rule == "drift" for reason in found)


def rest_on_labels(found: Sequence[Reason]) -> bool:
    """Whether some reason is about how right the model was, which is judged where all labels are due."""
    return any(reason.rule.endswith(("_decay", "_reference", "plan")) for reason in found)


def reasons(found: Sequence[Reason]) -> markup.Html:
    """Why a model stands as it does, and what to do next, each in a line."""
    return markup.tag("ul", markup.join(_reason(reason) for reason in found), kind="ph-reasons")


def _reason(reason: Reason) -> markup.Html:
    shape, word = markup.state_words(reason.state).split(" ", 1)
    mark = markup.tag("i", shape, kind=f"ph-mark-{markup.TONE[reason.state]}", title=word)
    act = markup.tag("span", f" → {reason.act}", kind="ph-act") if reason.act else ""
    return markup.tag("li", markup.join([mark, markup.tag("span", markup.join([reason.sentence, act]))]))
