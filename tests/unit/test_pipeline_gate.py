"""The gate's verdicts and the sentences that go with them."""

from __future__ import annotations

from pilothouse.data.measures.compare import Comparison, Measured, Scores
from pilothouse.data.policies import GatePolicy
from pilothouse.ops.pipeline.gate import Verdict, decide

POLICY = GatePolicy()


def scores(auc: float, log_loss: float) -> Scores:
    return Scores(roc_auc=exact(auc), log_loss=exact(log_loss), brier=exact(0.1))


def exact(value: float) -> Measured:
    return Measured(value=value, low=value, high=value)


def comparison(
    champion: float, challenger: float, *, rows: int = 9_000, half: float = 0.008, log_loss: float = 0.0
) -> Comparison:
    gain = challenger - champion
    return Comparison(
        rows=rows,
        positives=rows // 5,
        champion=scores(champion, 0.4),
        challenger=scores(challenger, 0.4 + log_loss),
        gain=Measured(value=gain, low=gain - half, high=gain + half),
        log_loss_change=exact(log_loss),
    )


def test_a_clear_gain_is_promoted_with_its_numbers() -> None:
    decision = decide(comparison(0.676, 0.734), POLICY)
    assert decision.verdict is Verdict.PROMOTE
    assert decision.reason == (
        "On the same 9,000 untouched rows the challenger's ROC AUC is 0.734 against 0.676: "
        "it gains 0.058 (95 % band +0.050 to +0.066); the policy asks for 0.010."
    )


def test_a_loss_keeps_the_champion() -> None:
    decision = decide(comparison(0.672, 0.663), POLICY)
    assert decision.verdict is Verdict.KEEP
    assert "it loses 0.009 (95 % band -0.017 to -0.001); the policy asks for a gain of 0.010." in decision.reason


def test_a_gain_that_chance_may_have_made_keeps_the_champion() -> None:
    decision = decide(comparison(0.70, 0.72, half=0.03), POLICY)
    assert decision.verdict is Verdict.KEEP
    assert "the band reaches 0, so chance may have made it" in decision.reason


def test_a_worse_log_loss_is_a_reason_of_its_own() -> None:
    decision = decide(comparison(0.676, 0.734, log_loss=0.02), POLICY)
    assert decision.verdict is Verdict.KEEP
    assert decision.reason.endswith("log-loss rises by 0.020, the policy allows 0.010.")


def test_every_objection_is_named() -> None:
    decision = decide(comparison(0.70, 0.69, log_loss=0.05), POLICY)
    assert "asks for a gain of 0.010, and log-loss rises by 0.050" in decision.reason


def test_too_few_labels_wait_whatever_the_gain() -> None:
    decision = decide(comparison(0.6, 0.9, rows=999), POLICY)
    assert decision.verdict is Verdict.WAIT
    assert decision.reason.startswith("999 labelled rows to judge on; the policy asks for 1,000.")


def test_the_policy_is_met_at_its_very_threshold() -> None:
    assert decide(comparison(0.5, 0.5 + POLICY.min_gain + 1e-12), POLICY).verdict is Verdict.PROMOTE
