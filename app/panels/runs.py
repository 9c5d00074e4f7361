"""A run, step by step, and the runs before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from pilothouse.app import formats, markup
from pilothouse.data.state.runs import LogLine, Run, RunState, Step, StepState
from pilothouse.ops.reports.report import FAILED

_LISTED = 8
_STEP_SHAPE = {
    StepState.WAITING: "○", StepState.RUNNING: "◐", StepState.DONE: "✓",
    StepState.FAILED: "●", StepState.CANCELLED: "–", StepState.SKIPPED: "–",
}  # fmt: skip
_RUN_TONE = {RunState.SUCCEEDED: "healthy", RunState.FAILED: "critical", RunState.CANCELLED: "plain"}
_RUN_SHAPE = {RunState.SUCCEEDED: "✓", RunState.FAILED: "●", RunState.CANCELLED: "–"}


def run_chip(run: Run) -> markup.Html:
    shape, tone = _RUN_SHAPE.get(run.state, "◐"), _RUN_TONE.get(run.state, "current")
    return markup.badge(f"{shape} {run.state.value.capitalize()}", tone)


def progress(steps: Sequence[Step]) -> float:
    """How far a run is, 0 to 1: finished steps count whole, a running one by its own progress."""
    if not steps:
        return 0.0
    finished = {StepState.DONE, StepState.SKIPPED}
    done = sum(
        1.0 if s.state in finished else (s.progress or 0.0) if s.state is StepState.RUNNING else 0.0 for s in steps
    )
    return min(1.0, done / len(steps))


def progress_sentence(run: Run, steps: Sequence[Step]) -> str:
    """Where a run stands, in words."""
    running = next((s for s in steps if s.state is StepState.RUNNING), None)
    if run.state is RunState.QUEUED:
        return "Waiting for a worker."
    if run.state is RunState.CANCELLING:
        return "Stopping after the step at hand."
    if running is not None:
        return f"Step {running.position + 1} of {len(steps)}: {running.name}."
    return run.state.value.capitalize() + "."


def step_list(steps: Sequence[Step], now: datetime) -> markup.Html:
    """Every step with its state, its message and the time it took."""
    return markup.tag("ol", markup.join(_step(step, now) for step in steps), kind="ph-steps")


def _message(step: Step) -> str:
    """What a step says of itself; the gate's reason stands on the scorecard, so here its verdict is enough."""
    if step.name == "gate" and step.state is StepState.DONE:
        return step.message.partition(":")[0]
    if step.state is StepState.RUNNING and step.progress is not None:
        return " · ".join(filter(None, (formats.share(step.progress, 0), step.message)))
    return step.message or step.state.value


def _step(step: Step, now: datetime) -> markup.Html:
    took = (step.finished_at or now) - step.started_at if step.started_at else None
    cells = [
        markup.tag("i", _STEP_SHAPE[step.state], title=step.state.value),
        markup.tag("span", step.name.replace("_", " ").capitalize(), kind="ph-stepname"),
        markup.tag("span", _message(step), kind="ph-message"),
        markup.tag("span", formats.duration(took) if took is not None else "", kind="ph-took"),
    ]
    return markup.tag("li", markup.join(cells), kind=f"ph-{step.state.value}")


def log(lines: Sequence[LogLine], zone: tzinfo, last: int = 60) -> markup.Html:
    """The newest lines of a run's log, newest last."""
    shown = "\n".join(f"{line.at.astimezone(zone):%H:%M:%S}  {line.text}" for line in lines[-last:])
    return markup.tag("pre", shown or "Nothing logged yet.", kind="ph-log")


def table(runs: Sequence[Run], zone: tzinfo) -> markup.Html:
    """Runs, newest first."""
    head = ("Asked for", "By", "State", "Verdict", "Version", "Took", "What came of it")
    return markup.table(head, [_run_row(run, zone) for run in runs])


def _run_row(run: Run, zone: tzinfo) -> list[object]:
    took = run.finished_at - run.started_at if run.finished_at and run.started_at else None
    version = f"v{run.version}" if run.version is not None else formats.NOTHING
    outcome = run.error or _outcome(run)
    return [
        formats.moment(run.requested_at, zone), run.requested_by, run_chip(run), run.verdict or formats.NOTHING,
        version, formats.duration(took), markup.tag("span", outcome, kind="ph-quiet"),
    ]  # fmt: skip


def _outcome(run: Run) -> str:
    """A finished run in a line; its scorecard has the rest."""
    card = run.outcome or {}
    old, new = (_auc(card, side) for side in ("champion", "challenger"))
    if old is None or new is None:
        return formats.NOTHING
    return f"ROC AUC {formats.number(new)} against the champion's {formats.number(old)}, {formats.signed(new - old)}"


def _auc(card: Mapping[str, Any], side: str) -> float | None:
    found = (card.get(side) or {}).get("roc_auc")
    return found.get("value") if isinstance(found, Mapping) else found


def checked(steps: Sequence[Step]) -> markup.Html:
    """What the values to learn from were found to break, and the tests of Evidently that failed; nothing where none were."""
    output = next((step.output for step in steps if step.name == "validate" and step.output), None)
    found = (output or {}).get("checked") or {}
    broken = [f"{formats.share(share)} of the rows: {words}" for words, share in found.get("broken", ())]
    tests = found.get("tests", ())
    failed = [test["detail"] for test in tests if test["status"] in FAILED]
    said = [
        _listed(f"{len(broken)} rules are broken by more rows than are tolerated.", broken) if broken else "",
        _listed(f"{len(failed)} of {len(tests)} tests of Evidently failed.", failed) if tests else "",
    ]
    return markup.join(said)


def _listed(sentence: str, lines: Sequence[str]) -> markup.Html:
    items = markup.tag("ul", markup.join(markup.tag("li", line, kind="ph-quiet") for line in lines[:_LISTED]))
    return markup.join([markup.tag("p", sentence, kind="ph-quiet"), items if lines else ""])
