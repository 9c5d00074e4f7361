"""All commands, gathered."""

from __future__ import annotations

import typer

from pilothouse.app.cli import (
    ask,
    batch,
    change,
    deploy,
    drift,
    estimate,
    explain,
    forward,
    impact,
    imports,
    keeping,
    keys,
    log,
    look,
    metrics,
    objective,
    plan,
    preflight,
    quality,
    releases,
    reports,
    run,
    safety,
    schedules,
    segments,
    setup,
    versions,
)

app = typer.Typer(
    name="pilothouse",
    help="The room a model is steered from: serve, log, watch, retrain, prove, promote, roll back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(setup.demo)
app.command()(setup.init)
app.command()(setup.register)
app.command()(setup.add_version)
app.command()(versions.versions)
app.command()(preflight.convert)
app.command()(preflight.preflight)
app.command(name="import")(imports.import_)
app.command(epilog=batch.EXAMPLES)(batch.score)
app.command(epilog=deploy.EXAMPLES)(deploy.package)
app.command()(run.up)
app.command()(run.serve)
app.command()(run.worker)
app.command()(run.dashboard)
app.command()(ask.status)
app.command()(drift.drift)
app.command()(drift.drift_thresholds)
app.command()(impact.impact)
app.command()(ask.performance)
app.command()(estimate.estimate)
app.command()(metrics.metrics)
app.command()(metrics.thresholds)
app.command()(metrics.costs)
app.command()(metrics.lending)
app.command()(metrics.metric)
app.command()(explain.explain)
app.command()(explain.importance)
app.command()(quality.quality)
app.command()(look.rows)
app.command()(look.labels)
app.command()(segments.segments)
app.command()(segments.weak_segments)
app.command()(segments.fairness)
app.command()(look.columns)
app.command()(log.recount)
app.command()(log.rebuild)
app.command()(keeping.retention)
app.command()(keeping.erase)
app.command()(keeping.verify)
app.command()(reports.report)
app.command()(ask.runs)
app.command()(change.retrain)
app.command()(change.cancel)
app.command()(change.promote)
app.command()(change.rollback)
app.command()(releases.releases)
app.command()(releases.canary)
app.command()(releases.shadow)
app.command()(objective.objective)
app.command()(plan.plan)
app.command()(safety.backup)
app.command()(safety.restore)
app.add_typer(ask.audit, name="audit")
app.add_typer(forward.forward, name="forward")
app.add_typer(keys.keys, name="keys")
app.add_typer(schedules.schedules, name="schedules")
app.add_typer(keeping.quarantine, name="quarantine")
app.add_typer(quality.schema, name="schema")
