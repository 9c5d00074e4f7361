"""How a model is watched, in words and as a table."""

from __future__ import annotations

from pilothouse.app import formats, markup
from pilothouse.data.measures.health import HEALTH_RULES
from pilothouse.data.measures.plan import METRIC_NAMES, Plan
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
        f"{METRIC_NAMES[terms.metric]} over {terms.days} days; an alarm is {terms.margin:.1f} standard errors worse than "
        f"{formats.number(terms.expected)} on the reference. Made for a loss of {terms.loss:.3g} and "
        f"{terms.budget:g} false alarms a month."
    )


def choices(found: Plan) -> markup.Html:
    """What was chosen, and why."""
    return markup.table(_HEAD, [(c.name, c.value, markup.tag("span", c.why, kind="ph-quiet")) for c in found.choices])
