"""Starting, changing and ending canaries and shadows: prepared on every worker first, then put in force with one row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.errors import (
    AlreadyChampion,
    AlreadyExists,
    BadShare,
    CanaryRunning,
    NoReason,
    NoTrial,
    OtherFeatures,
    TooManyShadows,
)
from pilothouse.data.state import catalog, deployments, epochs, trials
from pilothouse.data.state.store import State
from pilothouse.data.state.trials import Asked, Trial, TrialAct, TrialKind, share_text
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right, require
from pilothouse.ops.releases.preparing import Preparing

MOST_BASIS_POINTS = 5_000
"""A canary has at most half of the requests: what has more is the champion."""
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,4})?) ?%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A model as it stands: what a decision rests on."""

    epoch: int
    champion: int
    running: tuple[Trial, ...]

    @property
    def canary(self) -> Trial | None:
        return next((trial for trial in self.running if trial.kind is TrialKind.CANARY), None)

    @property
    def shadows(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.running if trial.kind is TrialKind.SHADOW)


@dataclass(frozen=True, slots=True)
class Trials:
    """Canaries and shadows of the models of one workspace. max_shadows : of one model at a time."""

    workspace: Workspace
    state: State
    max_shadows: int
    clock: Clock = utc_now

    def canary(
        self, actor: Actor, model: str, version: int, *, share: str, reason: str, expected_epoch: int | None = None
    ) -> Trial:
        """Have `version` answer a share of the requests, or change the share of the canary that it is.

        share : such as "1%", at most "50%". expected_epoch : the epoch on which the decision was made; None for the
        present one. Raises BadShare, NoReason, NoChampion, AlreadyChampion, CanaryRunning, OtherFeatures,
        NotServedHere, WorkersNotReady, StaleDecision, NotAllowed.
        """
        points, clicked_at = basis_points(share), self._allowed(actor, "give a canary to", model, reason)
        with self.state.read() as conn:
            seen = self._candidate(conn, model, version)
        running = seen.canary
        if running is not None and running.version != version:
            raise CanaryRunning(model, running.version, share_text(running.basis_points))
        asked = Asked(
            model=model, version=version, kind=TrialKind.CANARY, basis_points=points, actor=actor.name, reason=reason,
            clicked_at=clicked_at, act=TrialAct.START if running is None else TrialAct.SHARE,
        )  # fmt: skip
        return self._put_in_force(asked, seen, expected_epoch)

    def shadow(
        self, actor: Actor, model: str, version: int, *, reason: str, expected_epoch: int | None = None
    ) -> Trial:
        """Ask `version` too about every row that is answered; nobody gets what it says.

        Raises AlreadyExists, TooManyShadows, and but for BadShare and CanaryRunning what `canary` does.
        """
        clicked_at = self._allowed(actor, "give a shadow to", model, reason)
        with self.state.read() as conn:
            seen = self._candidate(conn, model, version)
        versions = [trial.version for trial in seen.shadows]
        if version in versions:
            raise AlreadyExists(f"The shadow of version {version} of {model}", "It goes on; nothing was changed.")
        if len(versions) >= self.max_shadows:
            raise TooManyShadows(model, versions, self.max_shadows)
        asked = Asked(
            model=model, version=version, kind=TrialKind.SHADOW, act=TrialAct.START, actor=actor.name, reason=reason,
            clicked_at=clicked_at,
        )  # fmt: skip
        return self._put_in_force(asked, seen, expected_epoch)

    def end_canary(self, actor: Actor, model: str, *, reason: str, expected_epoch: int | None = None) -> Trial:
        """Have the champion answer everybody again. Raises NoTrial, NoReason, StaleDecision, NotAllowed."""
        clicked_at = self._allowed(actor, "end the canary of", model, reason)
        seen = self.picture(model)
        if seen.canary is None:
            raise NoTrial(model, TrialKind.CANARY)
        return self._end(actor, seen, seen.canary, reason, clicked_at, expected_epoch)

    def end_shadow(
        self, actor: Actor, model: str, version: int, *, reason: str, expected_epoch: int | None = None
    ) -> Trial:
        """Ask `version` no longer. Raises NoTrial, NoReason, StaleDecision, NotAllowed."""
        clicked_at = self._allowed(actor, "end a shadow of", model, reason)
        seen = self.picture(model)
        running = next((trial for trial in seen.shadows if trial.version == version), None)
        if running is None:
            raise NoTrial(model, TrialKind.SHADOW, version)
        return self._end(actor, seen, running, reason, clicked_at, expected_epoch)

    def picture(self, model: str) -> Picture:
        """How `model` stands. Raises UnknownModel or NoChampion."""
        with self.state.read() as conn:
            return _picture(conn, model)

    def running(self, model: str) -> tuple[Trial, ...]:
        """The canary and the shadows of `model`."""
        with self.state.read() as conn:
            return tuple(trials.running(conn, model))

    def history(self, model: str) -> tuple[Trial, ...]:
        """Every act on canaries and shadows of `model`, newest first."""
        with self.state.read() as conn:
            return tuple(trials.history(conn, model))

    def _allowed(self, actor: Actor, act: str, model: str, reason: str) -> datetime:
        """When the act was asked for. Raises NotAllowed or NoReason."""
        require(self.state, actor, Right.OPERATOR, act, model, self.clock)
        if not reason.strip():
            raise NoReason(f"To {act} {model}")
        return self.clock()

    def _candidate(self, conn: Connection, model: str, version: int) -> Picture:
        """How `model` stands, where `version` can be asked what its champion is asked. Raises what stands against it."""
        seen, asked = _picture(conn, model), catalog.get_version(conn, model, version)
        if seen.champion == version:
            raise AlreadyChampion(model, version)
        champion = catalog.get_version(conn, model, seen.champion)
        # Both must have an artifact: rows that are answered elsewhere pass by here when it is too late.
        _ = asked.artifact, champion.artifact
        if asked.signature.features != champion.signature.features:
            raise OtherFeatures(model, version, seen.champion)
        return seen

    def _put_in_force(self, asked: Asked, seen: Picture, expected_epoch: int | None) -> Trial:
        Preparing(self.state, self.clock).prepare(asked.model, asked.version)
        return self._write(asked, seen, expected_epoch)

    def _end(
        self, actor: Actor, seen: Picture, running: Trial, reason: str, clicked_at: datetime, expected_epoch: int | None
    ) -> Trial:
        asked = Asked(
            model=running.model, version=running.version, kind=running.kind, act=TrialAct.END, actor=actor.name,
            reason=reason, clicked_at=clicked_at,
        )  # fmt: skip
        return self._write(asked, seen, expected_epoch)

    def _write(self, asked: Asked, seen: Picture, expected_epoch: int | None) -> Trial:
        epoch = seen.epoch if expected_epoch is None else expected_epoch
        with self.state.write() as conn:
            written = trials.append(conn, asked, champion=seen.champion, expected_epoch=epoch, at=self.clock())
        publish_epoch(self.workspace.epoch_file, written.seq)
        return written


def basis_points(share: str) -> int:
    """`share` in hundredths of a percent. Raises BadShare.

    >>> basis_points("1%"), basis_points("0.01 %"), basis_points("12.5%")
    (100, 1, 1250)
    """
    found = _SHARE.fullmatch(share.strip())
    points = Decimal(found[1]) * 100 if found else Decimal(0)
    if points % 1 or not 1 <= points <= MOST_BASIS_POINTS:
        raise BadShare(share, share_text(MOST_BASIS_POINTS))
    return int(points)


def _picture(conn: Connection, model: str) -> Picture:
    catalog.get_model(conn, model)
    champion = deployments.in_force(conn, model).version
    return Picture(epoch=epochs.epoch_of(conn, model), champion=champion, running=tuple(trials.running(conn, model)))
