"""Commands that ask: they change nothing."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
    span_text,
)
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle

ExactOption = Annotated[bool, typer.Option("--exact", help="Read every row instead of the counts by bin.")]

audit = typer.Typer(help="The audit trail.", no_args_is_help=True)


def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """How every model stands, and what is running."""
    house = open_house(workspace)
    models = [_model_status(house[name]) for name in house.models()]
    if as_json:
        print_json({"models": models, "processes": house.processes()})
        return
    print_table(
        "Models",
        ("model", "state", "champion", "challengers", "last prediction", "why"),
        [
            (m["name"], m["state"], m["champion"], m["challengers"] or None, m["last_prediction_at"], m["reason"])
            for m in models
        ],
    )
    print_table(
        "Running",
        ("process", "kind", "pid", "last beat"),
        [(p.id, p.kind, str(p.pid), p.beat_at) for p in house.processes()],
    )


def _model_status(handle: ModelHandle) -> dict[str, Any]:
    champion, health = handle.champion, handle.health()
    live = champion.version if champion else None
    return {
        "name": handle.name,
        "champion": live,
        "challengers": [v.version for v in handle.versions if live is None or v.version > live],
        "state": health.state,
        "reason": health.reasons[0].sentence if health.reasons else None,
        "last_prediction_at": handle.history.watermark().data_to,
    }


def performance(
    name: str,
    window: WindowOption = "7d",
    exact: ExactOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """How right NAME was, on the rows that have labels."""
    handle = open_house(workspace)[name]
    found = handle.history.performance(handle.window(window), exact=exact)
    if as_json:
        print_json(found)
        return
    coverage = "no rows" if found.coverage is None else f"{found.coverage:.1%} of {found.rows:,} rows labelled"
    print_table(
        f"{name}: {coverage}, {span_text(found.window)}",
        ("metric", "value", "low", "high", "kind", "note"),
        [(key, m.value, m.low, m.high, m.kind, m.reason or None) for key, m in found.metrics.items()],
    )


def runs(
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One run, with its steps and log.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Past and present runs, or one of them with its steps and its log."""
    house = open_house(workspace)
    if run_id is not None:
        _print_run(house, run_id, as_json)
    elif as_json:
        print_json({"runs": house.runs()})
    else:
        print_table(
            "Runs",
            ("id", "model", "kind", "state", "verdict", "version", "asked for", "by"),
            [
                (r.id, r.model, r.kind, r.state, r.verdict, r.version, r.requested_at, r.requested_by)
                for r in house.runs()
            ],
        )


def _print_run(house: House, run_id: str, as_json: bool) -> None:
    found, steps, log = house.run(run_id), house.steps(run_id), house.run_log(run_id)
    if as_json:
        print_json({"run": found, "steps": steps, "log": log})
        return
    print_table(
        f"{found.model} {found.kind}: {found.state}" + (f", {found.verdict}" if found.verdict else ""),
        ("step", "state", "started", "seconds", "message"),
        [
            (
                s.name, s.state, s.started_at,
                (s.finished_at - s.started_at).total_seconds() if s.started_at and s.finished_at else None, s.message,
            )
            for s in steps
        ],
    )  # fmt: skip
    for line in log:
        print(f"{line.at:%H:%M:%S}  {line.text}")
    if found.error:
        print(found.error)
    print_scorecard(found.outcome)


def print_scorecard(outcome: dict[str, Any] | None) -> None:
    """Champion and challenger side by side, and what the gate said."""
    if not outcome or "decision" not in outcome:
        return
    champion, challenger = outcome["champion"], outcome["challenger"]
    metrics = [m for m in champion if isinstance(champion[m], dict) and m in challenger]
    print_table(
        f"{outcome['rows']:,} untouched rows, {outcome['window']['start']} to {outcome['window']['end']}",
        ("metric", f"champion v{champion['version']}", "challenger", "95 % bands"),
        [
            (m, champion[m]["value"], challenger[m]["value"], f"{_band(champion[m])} | {_band(challenger[m])}")
            for m in metrics
        ],
    )
    gain = outcome["gain"]
    print(f"gain in ROC AUC {gain['value']:+.4f} ({_band(gain)})")
    print(f"the gate says: {outcome['decision']['verdict']}. {outcome['decision']['reason']}")


def _band(metric: dict[str, Any]) -> str:
    low, high = metric.get("low"), metric.get("high")
    return "–" if low is None or high is None else f"{low:.4f} to {high:.4f}"


@audit.command("list")
def list_audit(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[str | None, typer.Option("--model", help="Only this model's acts.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The newest acts: who did what, and why."""
    found = open_house(workspace).audit(model)
    if as_json:
        print_json({"audit": found})
        return
    rows = [(str(r.seq), r.at, r.actor, r.act, r.target, msgspec.json.encode(r.details).decode()) for r in found]
    print_table("Audit trail", ("seq", "at", "actor", "act", "target", "details"), rows)


@audit.command("verify")
def verify_audit(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Recompute the chain of hashes; ends with 6 and the row's number when one does not fit."""
    bad = open_house(workspace).verify_audit()
    if bad is not None:
        print(f"The audit trail does not fit from row {bad} on: it was changed, removed or inserted there.")
        raise typer.Exit(6)
    print("The audit trail is whole.")
