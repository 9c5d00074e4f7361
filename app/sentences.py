"""The sentences that answer a page's question, made from results; pure."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.data.history.results import Health, Performance, State, Watermark
from pilothouse.data.policies import GatePolicy, LabelPolicy, Silence
from pilothouse.data.state.processes import ProcessRow

_OPENING = {
    State.CRITICAL: "No, not as it stands.",
    State.WATCH: "Mostly, but keep an eye on it.",
    State.HEALTHY: "Yes.",
    State.NO_DATA: "It cannot be said yet.",
}


def is_it_right(health: Health, performance: Performance) -> str:
    """The answer to the model page's question: is it right? The reasons themselves stand below it."""
    opening = _OPENING[health.state]
    grave = sum(reason.state is State.CRITICAL for reason in health.reasons)
    watch = sum(reason.state is State.WATCH for reason in health.reasons)
    if grave or watch:
        both = " and " if grave and watch else ""
        reasons = f"{grave} critical reason{'s' if grave > 1 else ''}" if grave else ""
        watched = f"{watch} {'' if grave else 'reasons ' if watch > 1 else 'reason '}to watch" if watch else ""
        return f"{opening} {reasons}{both}{watched}:"
    return f"{opening} {_main_metric(performance)}"


def _main_metric(performance: Performance) -> str:
    name = words.main_of(performance.metrics)
    main = performance.metrics.get(name)
    if not performance.rows:
        return "There are no predictions in this range."
    if main is None or not performance.labelled:
        return "Predictions arrive, labels do not yet."
    title, labelled = words.in_sentence(name), formats.count(performance.labelled)
    if main.value is None:
        return f"Its {title} cannot be said for this range: {main.reason}."
    return f"Its {title} is {words.value(name, main.value)} on {labelled} labelled rows of this range."


def how_to_send(model: str, service_url: str | None, *, here: bool) -> str:
    """Where predictions and labels are sent to. here : whether the model answers here, or elsewhere."""
    where = f"{service_url or 'http://127.0.0.1:PORT'}/models/{model}"
    running = "" if service_url else " Start the service with `pilothouse up`."
    if not here:
        return (
            f"It is served elsewhere: its predictions come by `pilothouse import {model} FILE`, the client or "
            f"`POST {where}/log`, labels by `POST {where}/feedback`.{running}"
        )
    return (
        f"Rows are scored at `POST {where}/predict`, labels follow at `POST {where}/feedback`; "
        f"`GET {where}` gives an example. Clients of Triton, TensorFlow Serving and TorchServe need only the address "
        f"(docs/protocols.md).{running}"
    )


def maturity(performance: Performance, policy: LabelPolicy) -> str:
    """For whom the metrics speak."""
    silence = "counts as the negative class" if policy.silence is Silence.NEGATIVE else "stays unknown"
    due = f"Labels are due within {formats.duration(policy.horizon)}; silence after that {silence}."
    return (
        due
        if performance.mature or not performance.rows
        else f"The newest labels of this range are still arriving. {due}"
    )


def not_retrained(model: str) -> str:
    """Why there is no retraining of a model that is not binary, and what to do instead."""
    return (
        "Only binary models are retrained and judged here so far. Train it where it was made, and register the new version: "
        f"`pilothouse add-version {model}`."
    )


def gate(policy: GatePolicy) -> str:
    """What the gate asks of a challenger."""
    return (
        f"The gate asks for a ROC AUC at least {formats.number(policy.min_gain, 2)} above the champion's, with "
        f"the whole 95 % band of the gain above 0 and a log-loss at most {formats.number(policy.max_log_loss_increase, 2)} "
        f"higher, on at least {formats.count(policy.min_labelled)} labelled rows."
    )


def data_note(watermark: Watermark, zone: tzinfo, name: str) -> str:
    """The zone, and how far the data reach."""
    if watermark.data_to is None:
        return f"Times in {name}. No data yet."
    behind = f", {formats.count(watermark.unsealed_rows)} rows being taken in" if watermark.unsealed_rows else ""
    return f"Times in {name}. Data to {formats.moment(watermark.data_to, zone)}{behind}."


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
        words = "No worker is running: rows wait in the spool and runs are not taken up. Start it with `pilothouse up`."
        return State.CRITICAL, words
    workers = f"{service} service worker{'s' if service > 1 else ''}"
    return State.HEALTHY, f"{workers} and {worker} background worker{'s' if worker > 1 else ''} running."
