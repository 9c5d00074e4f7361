"""Store and forward: what the log of a site takes in is told to a central house, in order, whenever that can be reached.

The spool is the store: an entry stays there until it is sealed here and durable there. How far it was told is a mark in
the state store, moved after the answer. So whoever dies in between tells the same rows again, under the same ids.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from pilothouse.data.errors import CentralAway
from pilothouse.data.log.decode import LabelDecoder, PredictionDecoder, decode
from pilothouse.data.log.pending import Budget, SpoolFile, Stored, pending
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.settings import NOWHERE, Settings
from pilothouse.data.signature import Signature
from pilothouse.data.state import catalog, forwards
from pilothouse.data.state.forwards import Counted
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.forward.bodies import label_batches, prediction_batches, rows_in
from pilothouse.ops.forward.central import Central
from pilothouse.ops.holdings import Holdings

AT_ONCE = Budget(rows=2_000, size=4 * 1024 * 1024)
"""What is told between two moves of a mark."""
_ROWS_A_REQUEST = 1_000
EVERY_S = 1.0


_EVERYTHING = ""


class _Patience(NamedTuple):
    """What failed so many times in a row, for which reason, and is not tried before a time."""

    failures: int
    not_before: datetime
    away: CentralAway


class Forwarder:
    """One process's part: who holds the lease for this host's spools sends them. Only made where `central_url` is set.

    stopping : set when the process is about to end. crash : called at "forward:told" (taken there, not marked here) and "forward:marked".
    """

    def __init__(
        self,
        workspace: Workspace,
        state: State,
        settings: Settings,
        holdings: Holdings,
        clock: Clock,
        stopping: threading.Event,
        crash: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._workspace, self._state, self._settings = workspace, state, settings
        self._holdings, self._clock, self._crash = holdings, clock, crash
        self._stopping = stopping
        self._central: Central | None = None
        self._patience: dict[str, _Patience] = {}

    def turn(self) -> None:
        """Tell all that waits. Raises CentralAway; then it is tried again after a while, a little longer each time."""
        if held := self._put_off_for(_EVERYTHING):
            raise held
        if not self._holdings.hold(f"forward {socket.gethostname()}"):
            return
        try:
            self._central = self._central or Central(self._settings)
            refused = self._tell(self._central)
        except CentralAway as away:
            self._put_off(_EVERYTHING, away)
            # A new connection next time: the key, or where the name leads, may be another by then.
            self.close()
            raise
        self._patience.pop(_EVERYTHING, None)
        if refused:
            raise refused[0]

    def close(self) -> None:
        if self._central is not None:
            self._central.close()
            self._central = None

    def _put_off_for(self, what: str) -> CentralAway | None:
        """Why this is not to be tried yet; None where it is."""
        held = self._patience.get(what)
        return held.away if held is not None and self._clock() < held.not_before else None

    def _put_off(self, what: str, away: CentralAway) -> None:
        from pilothouse_client.verdicts import delay_s

        failures = self._patience[what].failures + 1 if what in self._patience else 1
        wait = timedelta(seconds=delay_s(failures, away.wait_s, random.random()))
        self._patience[what] = _Patience(failures, self._clock() + wait, away)

    def _tell(self, central: Central) -> list[CentralAway]:
        """Tell what waits; why some models could not be told: they hold no other up. Raises CentralAway when none can."""
        with self._state.read() as conn:
            signatures = {model.name: model.signature for model in catalog.list_models(conn)}
        refused: dict[str, CentralAway] = {}
        with pending(self._workspace.spool, left_out=[]) as spools:
            for spool in spools:
                for model, kind in sorted(spool.waiting()):
                    if model in signatures and model not in refused:
                        away = self._tell_model(central, spool, model, kind, signatures[model])
                        refused |= {model: away} if away else {}
        return list(refused.values())

    def _tell_model(
        self, central: Central, spool: SpoolFile, model: str, kind: EntryKind, has: Signature
    ) -> CentralAway | None:
        """Tell one kind of entry of a model; why it cannot be told, where that is about this model alone."""
        if held := self._put_off_for(model):
            return held
        try:
            self._tell_stream(central, spool, model, kind, has)
        except CentralAway as refusal:
            if not refusal.answered:
                raise
            self._put_off(model, refusal)
            return refusal
        self._patience.pop(model, None)
        return None

    def _tell_stream(self, central: Central, spool: SpoolFile, model: str, kind: EntryKind, has: Signature) -> None:
        """All entries of one model and kind in one spool, oldest first."""
        while not self._stopping.is_set():
            with self._state.read() as conn:
                after = forwards.mark(conn, spool.id, model, kind)
            read = spool.read(model, kind, after=after, budget=AT_ONCE)
            # The number of an altered entry may be altered too; the sealer sets it aside.
            whole = [entry for entry in read if entry.fault is None]
            if not whole:
                return
            counted = _told(central, model, kind, has, whole)
            self._crash("forward:told")
            with self._state.write() as conn:
                forwards.move(
                    conn, spool.id, model, kind, seq=whole[-1].seq, counted=counted, at=self._clock()
                )  # fmt: skip
            self._crash("forward:marked")


def _told(central: Central, model: str, kind: EntryKind, signature: Signature, entries: list[Stored]) -> Counted:
    decoder = PredictionDecoder(signature) if kind is EntryKind.PREDICTIONS else LabelDecoder(signature)
    table = decode(decoder, entries, "").table
    if kind is EntryKind.PREDICTIONS:
        batches = prediction_batches(table, signature, _ROWS_A_REQUEST)
    else:
        batches = label_batches(table, _ROWS_A_REQUEST)
    kept = sum(entry.rows for entry in entries) - rows_in(batches)
    return central.tell(model, batches).plus(Counted(kept=kept))


def sent_of(state: State, settings: Settings) -> Callable[[str, str, EntryKind], int] | None:
    """How far each stream of a spool was told, for the sealer; None where nothing is sent on."""
    if settings.central_url == NOWHERE:
        return None

    def sent(spool: str, model: str, kind: EntryKind) -> int:
        with state.read() as conn:
            return forwards.mark(conn, spool, model, kind)

    return sent
