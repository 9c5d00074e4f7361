"""Latency objectives in words and figures: the same for page and command line."""

from __future__ import annotations

from datetime import tzinfo

from pilothouse.app import formats
from pilothouse.data.history.results import State
from pilothouse.data.measures.objective import LEAST_REQUESTS, Kept
from pilothouse.data.policies import Objective
from pilothouse.ops.objectives import HOUR, Standing

HEAD = ("span", "requests", "in time", "budget left", "kept")


def within_text(objective: Objective) -> str:
    """
    >>> within_text(Objective(within_ms=25)), within_text(Objective(within_ms=2.5))
    ('25 ms', '2.5 ms')
    """
    return f"{round(objective.within_ms, 3):.7g} ms"


def share_text(objective: Objective) -> str:
    """
    >>> share_text(Objective(within_ms=25, share=0.999))
    '99.9%'
    """
    return f"{round(objective.share * 100, 5):g}%"


def objective_sentence(objective: Objective) -> str:
    return f"{share_text(objective)} of the requests are to be answered within {within_text(objective)}."


def state_now(standing: Standing) -> State:
    """How it stands in the last hour, or where that says too little, in the other span."""
    kept = standing.window if standing.hour.few else standing.hour
    return State.NO_DATA if kept.few else State.WATCH if kept.missed else State.HEALTHY


def kept_word(kept: Kept) -> str:
    return f"too few requests; {LEAST_REQUESTS} would do" if kept.few else "no" if kept.missed else "yes"


def kept_line(kept: Kept, zone: tzinfo) -> tuple[str, str, str, str, str]:
    """A span: its name, requests, share in time, error budget left, and whether the objective was kept."""
    name = "The last hour" if kept.window.length == HOUR else formats.span(kept.window, zone)
    shown = formats.share(kept.share, 2), formats.share(kept.budget_left, 0)
    return name, formats.count(kept.requests), *shown, kept_word(kept)


def lines(standing: Standing, zone: tzinfo) -> list[tuple[str, str, str, str, str]]:
    return [kept_line(kept, zone) for kept in (standing.window, standing.hour)]
