"""The gate: what a comparison and a policy together say about a challenger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilothouse.data.measures.compare import Comparison, Measured
from pilothouse.data.policies import GatePolicy


class Verdict(StrEnum):
    """`promote`: the challenger is recommended. `keep`: the champion stays. `wait`: too few labels to say."""

    PROMOTE = "promote"
    KEEP = "keep"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict with its reason in one sentence, numbers included."""

    verdict: Verdict
    reason: str


def decide(comparison: Comparison, policy: GatePolicy) -> Decision:
    """Judge the challenger. Promote asks for all of: enough labelled rows, the gain in ROC AUC that the policy wants,
    a paired band of that gain above 0, and a log-loss that rises by no more than the policy's margin.
    """
    if comparison.rows < policy.min_labelled:
        return Decision(
            verdict=Verdict.WAIT,
            reason=f"{comparison.rows:,} labelled rows to judge on; the policy asks for {policy.min_labelled:,}. "
            "Wait for more labels, or judge on a longer part.",
        )
    objections = _objections(comparison, policy)
    facts = _facts(comparison)
    if objections:
        return Decision(verdict=Verdict.KEEP, reason=f"{facts}; {', and '.join(objections)}.")
    asked = f"the policy asks for {policy.min_gain:.3f}"
    return Decision(verdict=Verdict.PROMOTE, reason=f"{facts}; {asked}.")


def _objections(comparison: Comparison, policy: GatePolicy) -> list[str]:
    gain, change = comparison.gain, comparison.log_loss_change
    found = []
    if gain.value < policy.min_gain:
        found.append(f"the policy asks for a gain of {policy.min_gain:.3f}")
    elif gain.low <= 0:
        found.append("the band reaches 0, so chance may have made it")
    if change.value > policy.max_log_loss_increase:
        found.append(f"log-loss rises by {change.value:.3f}, the policy allows {policy.max_log_loss_increase:.3f}")
    return found


def _facts(comparison: Comparison) -> str:
    new, old = comparison.challenger.roc_auc.value, comparison.champion.roc_auc.value
    change = "gains" if comparison.gain.value >= 0 else "loses"
    return (
        f"On the same {comparison.rows:,} untouched rows the challenger's ROC AUC is {new:.3f} against {old:.3f}: "
        f"it {change} {abs(comparison.gain.value):.3f} ({_band(comparison.gain)})"
    )


def _band(gain: Measured) -> str:
    return f"95 % band {gain.low:+.3f} to {gain.high:+.3f}"
