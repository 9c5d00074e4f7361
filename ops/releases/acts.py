"""The releases of one model: what is live, what is on trial, and the acts that change it. A part of its handle."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pilothouse.data.errors import BadData
from pilothouse.data.state import catalog, deployments, epochs
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.trials import Trial
from pilothouse.data.windows import as_utc
from pilothouse.ops.releases.loading import FailedLoad, failed_loads
from pilothouse.ops.releases.switch import SwitchProof

if TYPE_CHECKING:
    from pilothouse.ops.house import House


class ReleaseActs:
    """What a model's handle knows and does of releases."""

    house: House
    row: ModelRow

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """Every change of champion, newest first."""
        with self.house.state.read() as conn:
            return tuple(deployments.history(conn, self.row.name))

    @property
    def champion(self) -> VersionRow | None:
        with self.house.state.read() as conn:
            live = deployments.current(conn, self.row.name)
            return catalog.get_version(conn, self.row.name, live.version) if live else None

    @property
    def epoch(self) -> int:
        """The number a decision rests on: it changes with every promotion, roll back, canary and shadow. 0 at first."""
        with self.house.state.read() as conn:
            return epochs.epoch_of(conn, self.row.name)

    def at(self, time: datetime) -> Deployment | None:
        """Which version was live at `time`, since when, by whom and why; None when none was."""
        with self.house.state.read() as conn:
            return deployments.live_at(conn, self.row.name, as_utc(time))

    def promote(self, version: int, *, reason: str, expected_epoch: int | None = None) -> Deployment:
        """Make `version` the champion. See `Releases.promote`."""
        return self.house.releases.promote(
            self.house.actor, self.row.name, version, reason=reason, expected_epoch=expected_epoch
        )

    def rollback(self, to: int | None = None, *, reason: str, expected_epoch: int | None = None) -> Deployment:
        """Return to the champion before this one, or to `to`. See `Releases.roll_back`."""
        return self.house.releases.roll_back(
            self.house.actor, self.row.name, to, reason=reason, expected_epoch=expected_epoch
        )

    def rollback_target(self) -> int | None:
        return self.house.releases.rollback_target(self.row.name)

    def canary(
        self,
        version: int | None = None,
        *,
        share: str = "1%",
        end: bool = False,
        reason: str,
        expected_epoch: int | None = None,
    ) -> Trial:
        """Have `version` answer a share of the requests, or change that share; with `end` the champion answers all again.

        See `Trials.canary` and `Trials.end_canary`. Raises BadData when neither a version nor `end` is given.
        """
        house, name = self.house, self.row.name
        if end:
            return house.trials.end_canary(house.actor, name, reason=reason, expected_epoch=expected_epoch)
        if version is None:
            raise BadData("A canary is a version: name it, or end the one there is with `end`.")
        return house.trials.canary(
            house.actor, name, version, share=share, reason=reason, expected_epoch=expected_epoch
        )  # fmt: skip

    def shadow(self, version: int, *, end: bool = False, reason: str, expected_epoch: int | None = None) -> Trial:
        """Ask `version` too about every answered row, or with `end` no longer. See `Trials.shadow` and `Trials.end_shadow`."""
        act = self.house.trials.end_shadow if end else self.house.trials.shadow
        return act(self.house.actor, self.row.name, version, reason=reason, expected_epoch=expected_epoch)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The canary and the shadows that run now."""
        return self.house.trials.running(self.row.name)

    @property
    def trial_acts(self) -> tuple[Trial, ...]:
        """Every act on canaries and shadows, newest first."""
        return self.house.trials.history(self.row.name)

    @property
    def failed_loads(self) -> tuple[FailedLoad, ...]:
        """Versions that a running service worker could not load, and why. It goes on with the version before."""
        return failed_loads(self.house.processes(), self.row.name)

    def switch_proof(self, deployment_seq: int) -> tuple[SwitchProof, ...]:
        """When each worker was ready to answer with the deployment's version."""
        return self.house.releases.proof(deployment_seq)
