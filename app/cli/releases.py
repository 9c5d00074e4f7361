"""Commands for releases: what is live and on trial, the proof of a switch, canary and shadow."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer

from pilothouse.app import formats
from pilothouse.app import trial_words as words
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    cell_text,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.state.trials import Trial
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.releases.proof import Proof
from pilothouse.ops.releases.trying import Shadowed, Tried

VersionArgument = Annotated[int | None, typer.Argument(help="The version; left out, what runs is shown.")]
EndOption = Annotated[bool, typer.Option("--end", help="End it.")]
ReasonToo = Annotated[str, typer.Option("--reason", help="Why; an act needs it, and it is written to the audit trail.")]


def releases(
    name: str,
    proof: Annotated[int | None, typer.Option("--proof", help="The number of a switch, for its proof.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Every change of champion of NAME, what is on trial, and what a worker could not load; or the proof of a switch."""
    handle = open_house(workspace)[name]
    if proof is not None:
        _print_proof(handle.proof(proof), as_json)
        return
    if as_json:
        found = {
            "model": name, "epoch": handle.epoch, "deployments": handle.deployments, "trials": handle.trials,
            "failed_loads": handle.failed_loads,
        }  # fmt: skip
        print_json(found)
        return
    rows = [(d.seq, d.at, d.act, d.version, d.previous, d.actor, d.reason) for d in handle.deployments]
    print_table(f"{name}: changes of champion", ("number", "when", "act", "version", "before", "by", "reason"), rows)
    for trial in handle.trials:
        print(words.trial_sentence(trial, UTC))
    for failed in handle.failed_loads:
        print(f"{failed.process} could not load version {failed.version}: {failed.fault}")


def canary(
    name: str,
    version: VersionArgument = None,
    share: Annotated[str, typer.Option("--share", help="Of the requests: 0.01% to 50%.")] = "1%",
    end: EndOption = False,
    reason: ReasonToo = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Let VERSION answer a share of the requests to NAME, change that share, or show how it does beside the champion."""
    handle = open_house(workspace)[name]
    if end or version is not None:
        _say(handle, handle.canary(version, share=share, end=end, reason=reason), as_json)
    elif as_json:
        print_json(handle.tried())
    else:
        _print_tried(name, handle.tried())


def shadow(
    name: str,
    version: VersionArgument = None,
    end: EndOption = False,
    reason: ReasonToo = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Ask VERSION too about every row that NAME answers, without telling anybody; or show how the shadows do."""
    handle = open_house(workspace)[name]
    if version is not None:
        _say(handle, handle.shadow(version, end=end, reason=reason), as_json)
        return
    if end:
        raise typer.BadParameter("Say which version is no longer to be asked: pilothouse shadow NAME VERSION --end")
    found = handle.shadowed()
    if as_json:
        print_json({"model": name, "shadows": found})
        return
    for shadowed in found:
        _print_shadowed(shadowed)
    if not found:
        print(f"{name} has no shadow. Start one with: pilothouse shadow {name} VERSION --reason ...")


def _say(handle: ModelHandle, written: Trial, as_json: bool) -> None:
    if as_json:
        print_json(written)
        return
    took = formats.milliseconds((written.at - written.clicked_at).total_seconds() * 1000)
    print(
        f"{handle.name}: {words.trial_act(written)}, version {written.version}; in force after {took}; "
        f"audit row {written.audit_seq}."
    )


def _print_tried(name: str, tried: Tried | None) -> None:
    if tried is None:
        print(f"{name} has no canary. Start one with: pilothouse canary {name} VERSION --share 1% --reason ...")
        return
    print(words.trial_sentence(tried.trial, UTC))
    columns = ("since then", f"champion v{tried.champion.version}", f"canary v{tried.canary.version}")
    print_table("", columns, words.tried_lines(tried))
    if tried.few:
        print(words.few_words(tried))


def _print_shadowed(shadowed: Shadowed) -> None:
    print(words.trial_sentence(shadowed.trial, UTC))
    print(words.shadow_sentence(shadowed))
    lines = words.shadow_lines(shadowed)
    if lines:
        on = f"on {formats.count(shadowed.labelled)} labelled rows"
        print_table("", (on, "answers", f"shadow v{shadowed.trial.version}"), lines)
    if shadowed.few:
        print(words.few_words(shadowed))


def _print_proof(proof: Proof, as_json: bool) -> None:
    if as_json:
        print_json(proof)
        return
    deployment = proof.deployment
    print(f"{deployment.model}: {deployment.act} of version {deployment.version}, {cell_text(deployment.at)}")
    print(words.proof_sentence(proof))
    if last := words.last_before_sentence(proof):
        print(last)
    workers = [
        (w.process, formats.milliseconds(w.ready_ms), formats.milliseconds(w.answered_ms)) for w in proof.workers
    ]
    print_table("", ("worker", "ready after", "first answer after"), workers)
    phases = [words.phase_line(phase) for phase in proof.phases]
    print_table("", ("requests that began", "requests", "failed", "p50", "p99"), phases)
    seconds = [(s.second, s.version, s.requests, s.failed) for s in proof.seconds]
    print_table("", ("second after the flip", "version", "requests", "failed"), seconds)
