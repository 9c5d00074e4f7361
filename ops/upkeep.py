"""The worker's standing work: sealing spools, folding roll-ups, merging small files. Each under a lease."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.settings import Settings
from pilothouse.data.state import catalog
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.faults import Faults, logger
from pilothouse.ops.holdings import Holdings

if TYPE_CHECKING:
    from pilothouse.data.rollups.profile import Profile

Stamp = tuple[int, int]


class Upkeep:
    """Does what there is to do in one turn. A model that fails is written to `faults` and does not stop the others."""

    def __init__(
        self,
        workspace: Workspace,
        state: State,
        settings: Settings,
        holdings: Holdings,
        faults: Faults,
        clock: Clock,
        crash: Callable[[str], None],
    ) -> None:
        self.workspace, self.state, self.settings = workspace, state, settings
        self.holdings, self.faults, self.clock, self.crash = holdings, faults, clock, crash
        self._folded: dict[str, Stamp] = {}
        self._profiles: dict[tuple[str, str], Profile] = {}

    def turn(self) -> bool:
        """Seal this host's spools, then fold every model whose tables have changed; whether anything was done."""
        with self.state.read() as conn:
            models = catalog.list_models(conn)
        busy = False
        with self.faults.watch("seal"):
            busy = self._seal(models)
        for model in models:
            with self.faults.watch(f"fold {model.name}"):
                busy = self._fold(model) or busy
        return busy

    def merge_files(self) -> None:
        """Merge the small files of every partition that has many."""
        with self.state.read() as conn:
            models = catalog.list_models(conn)
        for model in models:
            with self.faults.watch(f"merge files of {model.name}"):
                self._merge(model)

    def _seal(self, models: list[ModelRow]) -> bool:
        from pilothouse.data.log.seal import seal

        if not self.holdings.hold(f"seal {socket.gethostname()}"):
            return False
        signatures = {model.name: model.signature for model in models}
        report = seal(self.workspace, signatures, self.settings, clock=self.clock, crash=self.crash)
        if report.set_aside:
            logger.error("%d logged rows could not be read and were set aside in their spool", report.set_aside)
        return report.predictions + report.labels > 0

    def _fold(self, model: ModelRow) -> bool:
        from pilothouse.data.rollups.fold import fold

        stamp = self._stamp(model.name)
        if stamp == self._folded.get(model.name) or not self.holdings.hold(f"fold {model.name}"):
            return False
        fold(
            self.workspace, model.name, model.signature, self._profile(model), model.label_policy, self.settings,
            clock=self.clock, crash=self.crash,
        )  # fmt: skip
        self._folded[model.name] = stamp
        return True

    def _merge(self, model: ModelRow) -> None:
        from pilothouse.data.log.tables import compact_log
        from pilothouse.data.rollups.store import compact_rollups, rollup_folder

        if self.holdings.hold(f"fold {model.name}"):
            compact_log(self.workspace, model.name, model.signature)
            compact_rollups(rollup_folder(self.workspace, model.name))

    def _profile(self, model: ModelRow) -> Profile:
        from pilothouse.data.rollups.profile import Profile

        key = model.name, model.profile_id
        if key not in self._profiles:
            self._profiles[key] = Profile.load(self.workspace.reference(*key))
        return self._profiles[key]

    def _stamp(self, model: str) -> Stamp:
        """Changes whenever a commit reaches one of the model's tables."""
        return _changed(self.workspace.predictions(model)), _changed(self.workspace.labels(model))


def _changed(table: Path) -> int:
    try:
        return (table / "_delta_log").stat().st_mtime_ns
    except FileNotFoundError:
        return 0
