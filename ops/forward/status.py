"""How far a site's log is from its central house: what waits, since when, and what was sent so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pilothouse.data.log.pending import SpoolFile, pending
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.log.waiting import first_logged_at
from pilothouse.data.settings import NOWHERE, Settings
from pilothouse.data.signature import Signature
from pilothouse.data.state import catalog, forwards
from pilothouse.data.state.forwards import Counted
from pilothouse.data.state.store import State
from pilothouse.data.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pilothouse.ops.house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One model's rows and labels. waiting : not sent yet. since : when the oldest of them came; None where none waits.

    counted : what became of those before. sent_at : when the last were settled; None before the first.
    """

    model: str
    waiting: int
    since: datetime | None
    counted: Counted
    sent_at: datetime | None

    @property
    def sentence(self) -> str:
        """
        >>> Lag(model="m", waiting=0, since=None, counted=Counted(sent=3), sent_at=None).sentence
        '3 sent, nothing waits'
        """
        waits = f"{self.waiting:,} wait since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else "nothing waits"
        refused = f", {self.counted.refused:,} refused there ({self.counted.reason})" if self.counted.refused else ""
        kept = f", {self.counted.kept:,} of shadows or failures stay here" if self.counted.kept else ""
        return f"{self.counted.sent:,} sent, {waits}{refused}{kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardStatus:
    """url : of the central house; None where nothing is sent on."""

    url: str | None
    models: tuple[Lag, ...]

    @property
    def waiting(self) -> int:
        return sum(lag.waiting for lag in self.models)

    def of(self, model: str) -> Lag | None:
        """The lag of one model; None where nothing is sent on."""
        return next((lag for lag in self.models if lag.model == model), None)


def forward_status(house: House) -> ForwardStatus:
    """What this host's spools still have to send."""
    return status_of(house.workspace, house.state, house.settings)


def status_of(workspace: Workspace, state: State, settings: Settings) -> ForwardStatus:
    """What `forward_status` gives, where there is no house."""
    if settings.central_url == NOWHERE:
        return ForwardStatus(url=None, models=())
    with state.read() as conn, pending(workspace.spool, left_out=[]) as spools:
        done = forwards.by_model(conn)
        lags = [_lag(conn, spools, model.name, model.signature, done) for model in catalog.list_models(conn)]
    return ForwardStatus(url=settings.central_url, models=tuple(lags))


def unsent(workspace: Workspace, state: State, settings: Settings, model: str) -> int:
    """Rows and labels of one model that a central house has yet to be told."""
    found = status_of(workspace, state, settings).of(model)
    return 0 if found is None else found.waiting


def _lag(
    conn: Connection, spools: list[SpoolFile], model: str, signature: Signature, done: dict[str, forwards.Forwarded]
) -> Lag:
    waiting, oldest = 0, []
    for spool in spools:
        for kind in EntryKind:
            after = forwards.mark(conn, spool.id, model, kind)
            rows = spool.count(model, kind, after=after)
            waiting += rows
            oldest += first_logged_at(spool, model, kind, after, signature) if rows else []
    before = done.get(model)
    return Lag(
        model=model, waiting=waiting, since=min(oldest, default=None),
        counted=before.counted if before else Counted(), sent_at=before.at if before else None,
    )  # fmt: skip
