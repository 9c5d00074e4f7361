"""Changing the champion: prepare on every service worker, then flip with one row.

The decision rests on the epoch that the person saw. If the model has moved on since, nothing happens and she is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.errors import AlreadyChampion, NothingToRollBack
from pilothouse.data.state import catalog, deployments, epochs, processes
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.releases.preparing import Preparing


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchProof:
    """What a switch is known to have done on one service worker: when it began to answer with the new version."""

    process: str
    at: datetime
    ms_after_flip: float


@dataclass(frozen=True, slots=True)
class Releases:
    """Promote and roll back the models of one workspace."""

    workspace: Workspace
    state: State
    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep

    def promote(
        self, actor: Actor, model: str, version: int, *, reason: str, expected_epoch: int | None = None
    ) -> Deployment:
        """Make `version` the champion of `model`; returns what was written, audit row included.

        expected_epoch : the epoch on which the decision was made; None decides on the present one.
        Raises AlreadyChampion, StaleDecision, WorkersNotReady (a live service worker could not load it), NotAllowed.
        """
        require(self.state, actor, Right.OPERATOR, "promote", model, self.clock)
        return self._switch(actor, model, version, "promote", reason, expected_epoch)

    def roll_back(
        self,
        actor: Actor,
        model: str,
        to: int | None = None,
        *,
        reason: str,
        expected_epoch: int | None = None,
    ) -> Deployment:
        """Return to `to`, or to the champion before the present one. Raises NothingToRollBack, and what `promote` does."""
        require(self.state, actor, Right.OPERATOR, "roll back", model, self.clock)
        target = to if to is not None else self.rollback_target(model)
        if target is None:
            raise NothingToRollBack(model)
        return self._switch(actor, model, target, "rollback", reason, expected_epoch)

    def rollback_target(self, model: str) -> int | None:
        """The version that a roll back returns to: the champion before the present one that was not itself rolled back."""
        with self.state.read() as conn:
            history = deployments.history(conn, model)
        undone: set[int] = set()
        for row in history:
            if row.act == "rollback" and row.previous is not None:
                undone.add(row.previous)
        if not history:
            return None
        champion = history[0].version
        earlier = [row.version for row in history if row.version != champion and row.version not in undone]
        return earlier[0] if earlier else None

    def proof(self, deployment_seq: int) -> tuple[SwitchProof, ...]:
        """When each worker that was running then first answered with the deployment's version."""
        with self.state.read() as conn:
            flipped_at = deployments.get(conn, deployment_seq).at
            found = processes.switches(conn, deployment_seq)
        return tuple(
            SwitchProof(process=s.process_id, at=s.at, ms_after_flip=(s.at - flipped_at).total_seconds() * 1000)
            for s in found
        )

    def _switch(
        self, actor: Actor, model: str, version: int, act: str, reason: str, expected_epoch: int | None
    ) -> Deployment:
        clicked_at = self.clock()
        with self.state.read() as conn:
            asked = catalog.get_version(conn, model, version)
            before, seen = deployments.current(conn, model), epochs.epoch_of(conn, model)
        if before and before.version == version:
            raise AlreadyChampion(model, version)
        epoch = seen if expected_epoch is None else expected_epoch
        if asked.artifact_sha256 is not None:
            Preparing(self.state, self.clock, self.sleep).prepare(model, version)
        with self.state.write() as conn:
            written = deployments.append(
                conn, model=model, version=version, expected_epoch=epoch, act=act, actor=actor.name,
                reason=reason, clicked_at=clicked_at, at=self.clock(),
            )  # fmt: skip
        publish_epoch(self.workspace.epoch_file, written.seq)
        return written


def champion_version(state: State, model: str) -> int:
    """The version of `model` that answers now. Raises UnknownModel or NoChampion."""
    with state.read() as conn:
        catalog.get_model(conn, model)
        return deployments.in_force(conn, model).version
