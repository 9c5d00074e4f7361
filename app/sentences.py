"""The sentences that answer a page's question, made from results; pure."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from pilothouse.app import formats
from pilothouse.data.history.results import Health, Performance, State, Watermark
from pilothouse.data.policies import LabelPolicy, Silence
from pilothouse.data.state.processes import ProcessRow

_OPENING = {
    State.CRITICAL: "No, not as it stands.",
    State.WATCH: "Mostly, but keep an eye on it.",
    State.HEALTHY: "Yes.",
    State.NO_DATA: "It cannot be said yet.",
}


def is_it_right(health: Health, performance: Performance) -> str:
    """The answer to the model page's question: is it right?"""
    opening = _OPENING[health.state]
    if health.reasons:
        return f"{opening} {health.reasons[0].sentence}"
    auc = performance.metrics.get("roc_auc")
    if auc is not None and auc.value is not None:
        return f"{opening} Its ROC AUC is {formats.number(auc.value)} on {formats.count(performance.labelled)} labelled rows."
    return (
        f"{opening} {performance.rows and 'Predictions arrive, labels do not yet.' or 'No predictions in this range.'}"
    )


def maturity(performance: Performance, policy: LabelPolicy) -> str:
    """For whom the metrics speak."""
    silence = "counts as the negative class" if policy.silence is Silence.NEGATIVE else "stays unknown"
    due = f"Labels are due within {formats.duration(policy.horizon)}; silence after that {silence}."
    return due if performance.mature else f"The newest labels of this range are still arriving. {due}"


def data_note(end: datetime | None, watermark: Watermark, zone: tzinfo, name: str) -> str:
    """The zone, and how far the data reach."""
    if end is None:
        return f"Times in {name}. No data yet."
    behind = f", {formats.count(watermark.unsealed_rows)} rows being taken in" if watermark.unsealed_rows else ""
    return f"Times in {name}. Data to {formats.moment(end, zone)}{behind}."


def processes(rows: tuple[ProcessRow, ...], now: datetime) -> tuple[State, str]:
    """Whether what must run is running, in one line, with the way out when it is not."""
    kinds = [row.kind for row in rows if now - row.beat_at < timedelta(seconds=30)]
    service, worker = kinds.count("service"), kinds.count("worker")
    if not service and not worker:
        return State.CRITICAL, "Neither the service nor the worker is running. Start both with `pilothouse up`."
    if not service:
        return (
            State.CRITICAL,
            "The service is not running, so nobody answers predictions. Start it with `pilothouse up`.",
        )
    if not worker:
        return (
            State.CRITICAL,
            "No worker is running: rows wait in the spool and runs are not taken up. Start it with `pilothouse up`.",
        )
    workers = f"{service} service worker{'s' if service > 1 else ''}"
    return State.HEALTHY, f"{workers} and {worker} background worker{'s' if worker > 1 else ''} running."
