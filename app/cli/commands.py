"""All commands, gathered."""

from __future__ import annotations

import typer

from pilothouse.app.cli import (
    ask,
    batch,
    change,
    deploy,
    forward,
    imports,
    keeping,
    keys,
    log,
    look,
    objective,
    preflight,
    releases,
    run,
    safety,
    schedules,
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
app.command()(ask.drift)
app.command()(ask.performance)
app.command()(look.rows)
app.command()(look.labels)
app.command()(look.segments)
app.command()(look.columns)
app.command()(log.recount)
app.command()(log.rebuild)
app.command()(keeping.retention)
app.command()(keeping.erase)
app.command()(keeping.verify)
app.command()(ask.report)
app.command()(ask.runs)
app.command()(change.retrain)
app.command()(change.cancel)
app.command()(change.promote)
app.command()(change.rollback)
app.command()(releases.releases)
app.command()(releases.canary)
app.command()(releases.shadow)
app.command()(objective.objective)
app.command()(safety.backup)
app.command()(safety.restore)
app.add_typer(ask.audit, name="audit")
app.add_typer(forward.forward, name="forward")
app.add_typer(keys.keys, name="keys")
app.add_typer(schedules.schedules, name="schedules")
app.add_typer(keeping.quarantine, name="quarantine")
