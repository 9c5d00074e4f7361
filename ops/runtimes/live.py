"""Live rows that an ONNX form has answered, scored again by the original: in the worker, from the log, off every request.

A share of the rows is chosen by a hash of their ids. What a version's form and its original say to them is compared in
a process of its own; how many were, and how far apart they were, stands in the state store.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from pilothouse.data.errors import FormsDiffer
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.policies import ALTERED
from pilothouse.data.settings import Settings
from pilothouse.data.state import catalog, checks, deployments
from pilothouse.data.state.catalog import Conversion, ModelRow, VersionRow
from pilothouse.data.state.checks import LiveCheck
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, Window
from pilothouse.data.workspace import Workspace
from pilothouse.ops.holdings import Holdings
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.runtimes import tasks
from pilothouse.ops.runtimes.agree import Agreement
from pilothouse.ops.runtimes.originals import Artifact

EVERY_S = 300.0
_UNDER_WAY = timedelta(seconds=10)
"""Rows younger than this may still be on their way into the log."""
_logger = logging.getLogger("pilothouse.worker")


@dataclass(slots=True)
class LiveChecks:
    """Checks the champions of one workspace that answer with an ONNX form. To be called from one thread."""

    workspace: Workspace
    state: State
    settings: Settings
    holdings: Holdings
    children: Children
    clock: Clock
    _looked: dict[tuple[str, int], datetime] = field(default_factory=dict)

    def turn(self) -> None:
        """Check what was logged since the last turn. Raises FormsDiffer while a champion's forms are known to."""
        if not self.settings.check_share:
            return
        with self.state.read() as conn:
            models = {model.name: model for model in catalog.list_models(conn)}
            due = [(d, catalog.get_version(conn, d.model, d.version)) for d in deployments.all_current(conn).values()]
        for deployed, version in due:
            told = version.conversion
            if told is not None and told.sha256 is not None and self.holdings.hold(f"check {version.model}"):
                self._check(models[version.model], version, told, deployed.at)

    def _check(self, model: ModelRow, version: VersionRow, told: Conversion, deployed_at: datetime) -> None:
        with self.state.read() as conn:
            before = checks.live_check(conn, model.name, version.version)
        key, until = (model.name, version.version), self.clock() - _UNDER_WAY
        since = self._looked.get(key) or (before.checked_to if before else deployed_at)
        if since < until:
            rows = self._rows(model, version, Window(since, until))
            if not rows.is_empty():
                before = self._keep(version, self._compared(version, told, rows), before, until)
            self._looked[key] = until
        if before is not None and before.beyond:
            raise FormsDiffer(model.name, version.version, before.beyond, before.rows, before.largest)

    def _rows(self, model: ModelRow, version: VersionRow, logged: Window) -> pl.DataFrame:
        """The chosen rows, features by their names; none where the log does not keep them as they came."""
        features = version.signature.features
        if any(model.classes.get(f.name) in ALTERED for f in features):
            return pl.DataFrame()
        log = PredictionLog(
            self.workspace, model.name, model.signature, model.label_policy, settings=self.settings, clock=self.clock
        )
        columns = {f.column: f.name for f in features} | tasks.ANSWERED
        return log.share([*columns], logged, version.version, self.settings.check_share).rename(columns)

    def _compared(self, version: VersionRow, told: Conversion, rows: pl.DataFrame) -> Agreement:
        with tempfile.NamedTemporaryFile(dir=self.workspace.run, prefix="check-", suffix=".parquet") as file:
            rows.write_parquet(file.name)
            original = tasks.Original(
                artifact=Artifact.of(version), signature=version.signature,
                threshold=version.threshold, rows_file=file.name,
            )  # fmt: skip
            task = tasks.CheckTask(original=original, unit=told.unit, tolerance=told.tolerance)
            return self.children.run(f"check {version.model}", "check", task, Agreement, _logger.info)

    def _keep(self, version: VersionRow, found: Agreement, before: LiveCheck | None, until: datetime) -> LiveCheck:
        together = LiveCheck(
            model=version.model, version=version.version, checked_to=until, at=self.clock(),
            rows=found.rows + (before.rows if before else 0),
            beyond=found.beyond + (before.beyond if before else 0),
            largest=max(found.largest, before.largest if before else 0.0),
        )  # fmt: skip
        with self.state.write() as conn:
            checks.keep(conn, together)
        return together
