"""The worker's standing work: sealing spools, folding roll-ups, merging files, letting old rows go, looking for damage."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.data.errors import DamagedFile, FiguresDiffer
from pilothouse.data.settings import Settings
from pilothouse.data.state import catalog
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace
from pilothouse.ops.faults import Faults, logger
from pilothouse.ops.holdings import Holdings

if TYPE_CHECKING:
    from pilothouse.data.log.seal import Sealer
    from pilothouse.data.rollups.profile import Profile

Stamp = tuple[int, int, str]

_REST = 4
"""Time that passes between two turns, as a multiple of what the last one took: upkeep costs a fifth of a core."""


def pause_s(worked: timedelta, settings: Settings) -> float:
    """How long rows are gathered before the next turn: shortly while little waits, in larger batches while much does.

    A commit costs the same for one row and for thousands, so what takes long is done less often.

    >>> [pause_s(timedelta(seconds=took), Settings()) for took in (0.05, 3, 40)]
    [2.0, 12.0, 60.0]
    """
    longest = max(settings.seal_at_most_s, settings.seal_every_s)
    return min(max(_REST * worked.total_seconds(), settings.seal_every_s), longest)


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
        self._sealer: Sealer | None = None
        self._folded: dict[str, Stamp] = {}
        self._kept: dict[str, date] = {}
        self._profiles: dict[tuple[str, str, tuple[str, ...]], Profile] = {}

    def turn(self) -> bool:
        """Seal this host's spools, then fold every model whose tables have changed; whether anything was done."""
        self.holdings.lend()
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

    def recount(self) -> None:
        """Compare the roll-ups of one day of each model, chosen at random, with its rows; a difference is a fault."""
        with self.state.read() as conn:
            models = catalog.list_models(conn)
        for model in models:
            with self.faults.watch(f"recount {model.name}"):
                self._recount(model)

    def keep_logs(self) -> None:
        """Once a day for each model, let go of the single rows that its log policy no longer keeps."""
        with self.state.read() as conn:
            models = catalog.list_models(conn)
        for model in models:
            with self.faults.watch(f"retention of {model.name}"):
                self._keep(model)

    def scrub(self, budget: int) -> None:
        """Look over about `budget` bytes of the tables' files, shared among the models; damage is a fault until mended."""
        from pilothouse.data.log.scrub import scrub

        with self.state.read() as conn:
            models = catalog.list_models(conn)
        for model in models:
            with self.faults.watch(f"verify {model.name}"):
                found = scrub(
                    self.workspace, model.name, model.signature, self.clock(), budget=budget // len(models)
                ).damage
                if found:
                    raise DamagedFile(f"{found[0].table}/{model.name}", found[0].file, found[0].reason)

    def _seal(self, models: list[ModelRow]) -> bool:
        from pilothouse.data.log.seal import Sealer
        from pilothouse.ops.forward.forwarder import sent_of

        if not self.holdings.hold(f"seal {socket.gethostname()}"):
            return False
        signatures = {model.name: model.signature for model in models}
        if self._sealer is None:
            sent = sent_of(self.state, self.settings)
            self._sealer = Sealer(self.workspace, self.settings, clock=self.clock, crash=self.crash, sent=sent)
        report = self._sealer.seal(signatures)
        if report.set_aside:
            logger.error("%d logged rows could not be read and were set aside in their spool", report.set_aside)
        if report.damaged:
            raise report.damaged[0]
        return report.predictions + report.labels > 0

    def _fold(self, model: ModelRow) -> bool:
        from pilothouse.data.rollups.fold import fold

        stamp = self._stamp(model)
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

    def _keep(self, model: ModelRow) -> None:
        from pilothouse.data.log.retention import keep
        from pilothouse.data.log.rewrite import ModelLog

        today = self.clock().date()
        if self._kept.get(model.name) == today or not self.holdings.hold(f"fold {model.name}"):
            return
        log = ModelLog(
            workspace=self.workspace, model=model, profile=self._profile(model), settings=self.settings,
            clock=self.clock, crash=self.crash,
        )  # fmt: skip
        done = keep(log, model.log_policy)
        if not done.nothing:
            logger.info(
                "%s: %d rows removed and %d thinned by the log policy", model.name, done.rows_removed, done.rows_thinned
            )
        self._kept[model.name] = today

    def _recount(self, model: ModelRow) -> None:
        from pilothouse.data.rollups.recount import counted_days, keep_recount, recount

        days = counted_days(self.workspace, model.name, self.settings)
        if not days or not self.holdings.hold(f"fold {model.name}"):
            return
        report = recount(
            self.workspace, model.name, model.signature, self._profile(model), model.label_policy, self.settings,
            random.choice(days),
        )  # fmt: skip
        keep_recount(self.workspace, model.name, report, self.clock())
        if report.differing:
            raise FiguresDiffer(model.name, report.day, report.differing, report.cells)

    def _profile(self, model: ModelRow) -> Profile:
        from pilothouse.data.rollups.profile import Profile

        key = model.name, model.profile_id, model.segments
        if key not in self._profiles:
            self._profiles[key] = Profile.load(self.workspace.reference(model.name, model.profile_id))
        return self._profiles[key]

    def _stamp(self, model: ModelRow) -> Stamp:
        """Changes whenever a commit reaches one of the model's tables, or its rows are to be counted by more columns."""
        tables = self.workspace.predictions(model.name), self.workspace.labels(model.name)
        return _changed(tables[0]), _changed(tables[1]), model.profile_id


def _changed(table: Path) -> int:
    try:
        return (table / "_delta_log").stat().st_mtime_ns
    except FileNotFoundError:
        return 0
