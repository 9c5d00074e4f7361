"""Having a version converted to ONNX, in a process of its own, and compared on rows like those it will be asked about."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from pilothouse.data.errors import StepFailed
from pilothouse.data.policies import ALTERED
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.settings import WHERE_EQUAL, Settings
from pilothouse.data.signature import Signature
from pilothouse.data.state.catalog import Conversion, ModelRow, VersionRow
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.context import Heavy, Result
from pilothouse.ops.runtimes import tasks
from pilothouse.ops.runtimes.originals import Artifact

ROWS_COMPARED = 20_000


def silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """Converts versions of one workspace, and records what they say. heavy : does the work elsewhere. say : told how.

    wanted : whether ONNX forms are; without, versions are only recorded.
    """

    workspace: Workspace
    heavy: Heavy
    say: Callable[[str], None] = silent
    wanted: bool = True

    def examine(self, version: VersionRow, rows: pl.DataFrame | None, sample: tasks.Sample | None) -> tasks.Examined:
        """What was found. rows : with every feature of `version` as its callers send them; None where none are kept.

        sample : where to record; None for not at all. Whatever goes wrong is a reason why the original answers, and no
        error.
        """
        if self.wanted and (rows is None or rows.is_empty()):
            return tasks.Examined(conversion=Conversion(reason="no rows are kept on which both could be compared"))
        with tempfile.NamedTemporaryFile(dir=self.workspace.run, prefix="convert-", suffix=".parquet") as file:
            if rows is not None:
                _some(rows).select(version.signature.names).write_parquet(file.name)
            original = tasks.Original(
                artifact=Artifact.of(version), signature=version.signature, threshold=version.threshold,
                rows_file=file.name,
            )  # fmt: skip
            try:
                task = tasks.ExamineTask(original=original, convert=self.wanted, sample=sample)
                return self.heavy("convert", task, tasks.Examined)
            except StepFailed as error:
                # A run that is called off, or whose worker ends, is broken off here and not registered half.
                self.say(str(error))
                broken = Conversion(reason=f"its conversion broke off ({error.why})")
                return tasks.Examined(conversion=broken if self.wanted else None)


def converter_of(workspace: Workspace, settings: Settings) -> Converter | None:
    """One with processes of its own; None where the settings want no conversion."""

    def heavy(task: str, request: object, gives: type[Result]) -> Result:
        return Children(workspace.store).run(task, task, request, gives, silent)

    return Converter(workspace=workspace, heavy=heavy) if settings.onnx == WHERE_EQUAL else None


def rows_kept(
    workspace: Workspace, store: Store, model: ModelRow, signature: Signature, snapshot_sha256: str | None
) -> pl.DataFrame | None:
    """Rows by feature name: those that a version was trained on, else the model's reference.

    None where not all features are kept as they came.
    """
    from pilothouse.ops.pipeline import snapshot

    if any(model.classes.get(name) in ALTERED for name in signature.names):
        return None
    if snapshot_sha256 is not None:
        kept = snapshot.read(store, snapshot_sha256)
    else:
        kept = Profile.load_sample(workspace.reference(model.name, model.profile_id))
    if any(f.column not in kept.columns for f in signature.features):
        return None
    return kept.select(pl.col(f.column).alias(f.name) for f in signature.features)


def _some(rows: pl.DataFrame) -> pl.DataFrame:
    """All of `rows`, or as many of them as are compared, evenly spread."""
    return rows.gather_every(-(-rows.height // ROWS_COMPARED))
