"""Canaries, shadows and switches in words and figures: the same for page, command line and notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from pilothouse.app import formats
from pilothouse.data.history.results import Metric
from pilothouse.data.state.trials import Trial, TrialAct, TrialKind, share_text
from pilothouse.ops.releases.proof import Phase, Proof
from pilothouse.ops.releases.trying import Shadowed, Tried

Line = tuple[str, str, str]

METRICS = {
    "roc_auc": "ROC AUC", "log_loss": "log-loss", "brier": "Brier score", "accuracy": "accuracy",
    "macro_f1": "macro F1", "mae": "mean absolute error", "rmse": "root mean square error", "bias": "bias",
}  # fmt: skip
PHASES = {
    "before": "Before the click", "preparing": "While workers loaded it", "flip": "The second after the flip",
    "after": "After that",
}  # fmt: skip


def trial_sentence(trial: Trial, zone: tzinfo) -> str:
    """Who has what since when, by whom and why."""
    since, why = formats.moment(trial.began_at, zone), trial.reason.rstrip(".")
    if trial.kind is TrialKind.SHADOW:
        return f"Version {trial.version} has been a shadow since {since} ({trial.actor}: {why})."
    share = share_text(trial.basis_points)
    return f"Version {trial.version} has been a canary since {since}, now with {share} ({trial.actor}: {why})."


def trial_act(trial: Trial) -> str:
    """What one act did, in a few words: `canary started with 1%`."""
    if trial.act is TrialAct.END:
        return f"{trial.kind} ended"
    if trial.kind is TrialKind.SHADOW:
        return "shadow started"
    return f"canary {'started with' if trial.act is TrialAct.START else 'changed to'} {share_text(trial.basis_points)}"


def tried_lines(tried: Tried) -> list[Line]:
    """Figure by figure: its name, the champion's and the canary's, each on its own rows."""
    champion, canary = tried.champion, tried.canary
    figures = [
        ("rows answered", formats.count(champion.rows), formats.count(canary.rows)),
        ("errors", formats.count(champion.errors), formats.count(canary.errors)),
        ("mean score", formats.number(champion.mean), formats.number(canary.mean)),
        ("positive share", formats.share(champion.positive), formats.share(canary.positive)),
        ("p50 latency", formats.milliseconds(champion.p50_ms), formats.milliseconds(canary.p50_ms)),
        ("p99 latency", formats.milliseconds(champion.p99_ms), formats.milliseconds(canary.p99_ms)),
        ("labelled rows", formats.count(champion.labelled), formats.count(canary.labelled)),
    ]
    return [*figures, *metric_lines(champion.metrics, canary.metrics)]


def shadow_lines(shadowed: Shadowed) -> list[Line]:
    """Metric by metric on the same labelled rows: its name, that of the answers and the shadow's."""
    return metric_lines(shadowed.answers, shadowed.shadow)


def shadow_sentence(shadowed: Shadowed) -> str:
    """How far a shadow is from what was answered, and what became of the rows that it was to be asked about."""
    if not shadowed.rows:
        said = "It has been asked about no row yet."
    else:
        said = (
            f"On {formats.count(shadowed.rows)} rows it agrees with {formats.share(shadowed.agreement)} of the answers"
        )
        if shadowed.difference is not None:
            said += f"; its score is {formats.signed(shadowed.difference)} away on average"
        said += "."
    return f"{said} {queue_sentence(shadowed)}"


def queue_sentence(shadowed: Shadowed) -> str:
    """Rows that were not asked about, or failed, in the workers that run now."""
    queue, lost = shadowed.queue, []
    if queue.dropped:
        lost.append(f"{formats.count(queue.dropped)} rows were dropped because the queue was full")
    if queue.failed:
        lost.append(f"it failed on {formats.count(queue.failed)} rows ({', '.join(queue.faults)})")
    return f"{'; '.join(lost).capitalize()}." if lost else "No row was dropped, and it failed on none."


def metric_lines(old: Mapping[str, Metric], new: Mapping[str, Metric]) -> list[Line]:
    """Metrics that one of both has a value for."""
    return [
        (words, _metric(old.get(name)), _metric(new.get(name)))
        for name, words in METRICS.items()
        if any(found is not None and found.value is not None for found in (old.get(name), new.get(name)))
    ]


def _metric(found: Metric | None) -> str:
    if found is None or found.value is None:
        return formats.NOTHING
    band = formats.band(found.low, found.high)
    return formats.number(found.value) if band == formats.NOTHING else f"{formats.number(found.value)} ({band})"


def few_words(found: Tried | Shadowed) -> str:
    """Why nothing should be decided yet, as a sentence; empty where there is enough."""
    return f"{found.few[0].upper()}{found.few[1:]}." if found.few else ""


def phase_line(phase: Phase) -> tuple[str, str, str, str, str]:
    """A phase of a switch: its name, requests, failed ones, p50 and p99."""
    return (
        PHASES[phase.name], formats.count(phase.requests), formats.count(phase.failed),
        formats.milliseconds(phase.p50_ms), formats.milliseconds(phase.p99_ms),
    )  # fmt: skip


def proof_sentence(proof: Proof) -> str:
    """What a switch did to the requests around it, in a line or two."""
    new, failed = proof.deployment.version, sum(phase.failed for phase in proof.phases)
    requests = sum(phase.requests for phase in proof.phases)
    parts = [f"From click to flip {formats.milliseconds(proof.prepared_ms)}"]
    answered = [worker.answered_ms for worker in proof.workers if worker.answered_ms is not None]
    if answered:
        parts.append(f"the first answer of version {new} came {formats.milliseconds(min(answered))} after the flip")
    if len(answered) > 1:
        parts.append(
            f"the last of {len(answered)} workers gave its first one after {formats.milliseconds(max(answered))}"
        )
    if silent := len(proof.workers) - len(answered):
        parts.append(f"{silent} of {len(proof.workers)} workers had not been asked by then")
    parts.append(f"of {formats.count(requests)} requests around it {formats.count(failed)} failed")
    return "; ".join(parts) + "."


def last_before_sentence(proof: Proof) -> str:
    """When the last request that got the old version's answer had begun."""
    if proof.last_before_ms is None:
        return ""
    when = formats.milliseconds(abs(proof.last_before_ms))
    side = "after" if proof.last_before_ms > 0 else "before"
    return f"The last request answered by version {proof.deployment.previous} began {when} {side} the flip."


def seconds_by_version(proof: Proof) -> Mapping[int, Sequence[tuple[int, int]]]:
    """Requests by version: (second after the flip, requests), oldest first."""
    found: dict[int, list[tuple[int, int]]] = {}
    for second in proof.seconds:
        found.setdefault(second.version, []).append((second.second, second.requests))
    return found
