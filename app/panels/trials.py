"""Canary, shadows and the proof of a switch as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from pilothouse.app import formats, markup
from pilothouse.app import trial_words as words
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import Colour
from pilothouse.data.state.trials import Trial
from pilothouse.ops.releases.loading import FailedLoad
from pilothouse.ops.releases.proof import Proof
from pilothouse.ops.releases.trying import Shadowed, Tried

_HEIGHT = 220


def tried_table(tried: Tried) -> markup.Html:
    """Champion and canary side by side, each on the rows that it answered since the canary began."""
    head = ("Since it began", f"Champion v{tried.champion.version}", f"Canary v{tried.canary.version}")
    return markup.table(head, words.tried_lines(tried), right=(1, 2))


def shadow_table(shadowed: Shadowed) -> markup.Html:
    """The answers and a shadow on the same labelled rows."""
    head = (f"On {formats.count(shadowed.labelled)} labelled rows", "Answers", f"Shadow v{shadowed.trial.version}")
    return markup.table(head, words.shadow_lines(shadowed), right=(1, 2))


def failed_table(failed: Sequence[FailedLoad]) -> markup.Html:
    """Versions that a worker could not load, and why."""
    rows = [
        [f"v{f.version}", markup.tag("span", f.process, kind="ph-mono"), markup.tag("span", f.fault, kind="ph-wrap")]
        for f in failed
    ]
    return markup.table(("Version", "Service worker", "What stood against it"), rows)


def trials_table(acts: Sequence[Trial], zone: tzinfo) -> markup.Html:
    """Every act on canaries and shadows, newest first."""
    rows: list[list[object]] = [
        [
            formats.second(act.at, zone),
            words.trial_act(act),
            markup.tag("span", f"v{act.version}", kind="ph-name"),
            act.actor,
            markup.tag("span", act.reason, kind="ph-wrap"),
            f"#{act.audit_seq}",
        ]
        for act in acts
    ]
    return markup.table(("When", "Act", "Version", "By", "Reason", "Audit row"), rows)


def proof_workers(proof: Proof, zone: tzinfo) -> markup.Html:
    """When each service worker had the new version, and gave its first answer with it."""
    rows: list[list[object]] = [
        [
            markup.tag("span", worker.process, kind="ph-mono"),
            formats.milliseconds(worker.ready_ms),
            markup.tag(
                "span", formats.milliseconds(worker.answered_ms), title=formats.second(worker.answered_at, zone)
            ),
        ]
        for worker in proof.workers
    ]
    head = ("After the flip", "Ready", f"First answer of v{proof.deployment.version}")
    return markup.table(head, rows, right=(1, 2))


def proof_phases(proof: Proof) -> markup.Html:
    """Requests, failures and latency before, during and after."""
    rows = [words.phase_line(phase) for phase in proof.phases]
    return markup.table(("Requests that began", "Requests", "Failed", "p50", "p99"), rows, right=(1, 2, 3, 4))


def proof_panel(proof: Proof, model: str) -> Panel:
    """Requests in each second around the flip, by the version that answered."""
    deployment = proof.deployment
    table = Table(
        columns=("second", "version", "requests", "failed"),
        rows=tuple((s.second, s.version, s.requests, s.failed) for s in proof.seconds),
    )
    return Panel(
        name=f"{model}-switch-{deployment.seq}",
        title="Requests by second, and who answered",
        answer=words.last_before_sentence(proof),
        rows=table,
        code=f'house["{model}"].proof({deployment.seq})',
        empty="" if proof.seconds else "No request came in the seconds around this switch.",
        spec=_seconds(proof) if proof.seconds else None,
        alt=words.proof_sentence(proof),
    )


def _seconds(proof: Proof) -> charts.Trace:
    bars = [
        {
            "type": "bar", "x": [second + 0.5 for second, _ in counted], "y": [requests for _, requests in counted],
            "name": f"version {version}", "marker": {"color": _colour(version, proof)}, "width": 0.86,
        }
        for version, counted in sorted(words.seconds_by_version(proof).items())
    ]  # fmt: skip
    flip = {
        "type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1,
        "line": {"color": Colour.MUTED, "width": 1, "dash": "dot"},
    }  # fmt: skip
    layout = charts.frame(
        height=_HEIGHT, barmode="stack", shapes=[flip],
        xaxis=charts.axis(showgrid=False, title={"text": "seconds after the flip"}),
        yaxis=charts.value_axis(tickformat="~s", rangemode="tozero"),
    )  # fmt: skip
    return {"data": bars, "layout": layout}


def _colour(version: int, proof: Proof) -> str:
    return Colour.CURRENT if version == proof.deployment.version else Colour.REFERENCE
