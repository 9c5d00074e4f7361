"""What happened to a model, as it stands on its charts."""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.data.history.results import Event, EventKind
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.runs import Run, RunState


def deployment_event(row: Deployment) -> Event:
    kind = EventKind.ROLLBACK if row.act == "rollback" else EventKind.PROMOTE
    title = f"back to v{row.version}" if kind is EventKind.ROLLBACK else f"v{row.version} promoted"
    return Event(
        at=row.at, kind=kind, title=title, actor=row.actor, detail=row.reason,
        audit_seq=row.audit_seq, version=row.version,
    )  # fmt: skip


def retrain_events(found: Sequence[Run]) -> list[Event]:
    return [
        Event(
            at=run.finished_at, kind=EventKind.RETRAIN, title=f"retrained: {run.verdict}", actor=run.requested_by,
            version=run.version,
        )
        for run in found
        if run.state is RunState.SUCCEEDED and run.finished_at is not None
    ]  # fmt: skip
