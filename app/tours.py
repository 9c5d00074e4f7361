"""The demo's tour: what to look at and what to press next, in whatever state the demo's model stands; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilothouse.app import markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How far a visitor has come.

    needs_a_person : whether the model's card stands on the page. running : a run is under way.
    verdict : the gate's word in the newest run that ended well, empty without one.
    promoted, rolled_back : whether that has been done at least once.
    """

    needs_a_person: bool
    running: bool
    verdict: str
    promoted: bool
    rolled_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One step of the tour: what to do, and whether it is done."""

    words: str
    done: bool = False


def stops(way: Way) -> list[Stop]:
    """The five steps, worded for where the visitor stands."""
    judged = bool(way.verdict) or way.promoted
    return [
        Stop(words=_look(way), done=judged),
        Stop(
            words="Open **its page** and look at ROC AUC by week: the model was right once, and has gone stale.",
            done=judged,
        ),
        Stop(words=_retrain(way), done=judged),
        Stop(words=_judge(way), done=way.promoted),
        Stop(words=_after(way), done=way.rolled_back),
    ]


def _look(way: Way) -> str:
    if way.needs_a_person:
        return "Read the card above: it says which model needs you and the rule that made it so."
    return "The model needs nobody now; before, a card above said which rule it had broken."


def _retrain(way: Way) -> str:
    if way.running:
        return "A run is under way on **Retrain**: watch its steps, reload the page in the middle if you like."
    return "Press **Retrain**. It takes about a minute; reload the page in the middle if you like."


def _judge(way: Way) -> str:
    same = "Read the scorecard on **Releases**: both versions on the same rows that neither has seen."
    if way.verdict == "promote" or way.promoted:
        return f"{same} The gate says promote: promote the challenger."
    if way.verdict:
        return f"{same} Here the gate does not recommend the challenger, and says why: the champion stays."
    return f"{same} Then follow the gate."


def _after(way: Way) -> str:
    if way.verdict in ("keep", "wait") and not way.promoted:
        return "To see a challenger win, start `pilothouse demo --workspace september`: there the model is stale."
    return "Watch *since the switch* fill with flights that land after it. Then roll back: one button."


def listing(found: Sequence[Stop]) -> markup.Html:
    """The steps as a list; the first that is open stands out."""
    following = next((place for place, stop in enumerate(found) if not stop.done), None)
    return markup.tag(
        "ol", markup.join(_item(stop, place, following) for place, stop in enumerate(found)), kind="ph-tour"
    )


def _item(stop: Stop, place: int, following: int | None) -> markup.Html:
    mark, spoken = ("✓", "done") if stop.done else (str(place + 1), "")
    kind = "ph-tour-done" if stop.done else "ph-tour-next" if place == following else ""
    return markup.tag(
        "li",
        markup.join([markup.tag("i", mark, title=spoken), markup.tag("span", markup.emphasised(stop.words))]),
        kind=kind,
    )
