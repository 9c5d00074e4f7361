"""How a model is watched, in words and as a table."""

from __future__ import annotations

from pilothouse.app import markup, metric_words
from pilothouse.data.measures.health import HEALTH_RULES
from pilothouse.data.measures.plan import Plan
from pilothouse.data.policies import WatchTerms

_HEAD = ("Choice", "Value", "Why")


def agreed(terms: WatchTerms | None) -> str:
    """What the model's health is judged by."""
    if terms is None:
        return (
            f"By the usual rules, over {HEALTH_RULES.recent.days} days: nobody has agreed on a plan for this model's own "
            "traffic yet."
        )
    return (
        f"{metric_words.title(terms.metric)} over {terms.days} days; an alarm is {terms.margin:.1f} standard errors worse than "
        f"{metric_words.value(terms.metric, terms.expected)} on the reference. Made for a loss of {_loss(terms)} and "
        f"{terms.budget:g} false alarms a month."
    )


def _loss(terms: WatchTerms) -> str:
    return metric_words.change(terms.metric, terms.loss).lstrip("+")


def choices(found: Plan) -> markup.Html:
    """What was chosen, and why."""
    return markup.table(_HEAD, [(c.name, c.value, markup.tag("span", c.why, kind="ph-quiet")) for c in found.choices])
