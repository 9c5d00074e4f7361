"""Finding out about a version before it is registered, or later: whether it converts, and what it says to the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from pilothouse.data.errors import BadData, PilothouseError
from pilothouse.data.policies import ALTERED
from pilothouse.data.state.catalog import Conversion, ModelRow, Recorded, VersionRow
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops.runtimes.conversion import Converter
from pilothouse.ops.runtimes.originals import OBJECT, Artifact
from pilothouse.ops.runtimes.tasks import Sample
from pilothouse.ops.scoring import SklearnScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """converter : None leaves every version as it is."""

    workspace: Workspace
    store: Store
    converter: Converter | None

    def of(
        self,
        version: VersionRow,
        row: ModelRow,
        rows: Callable[[], pl.DataFrame | None],
        scorer: SklearnScorer | None = None,
    ) -> VersionRow:
        """`version` with what was found. rows : to compare both forms on. scorer : its original, if it is loaded here.

        row : the model, whose reference is recorded. Raises BadData when the original cannot score that.
        """
        if version.artifact_sha256 is None:
            return version
        sample = self._sample(version, row)
        found = replace(version, recorded=version.recorded or self._record(version, sample, scorer))
        if self.converter is None:
            return found
        if version.runtime == OBJECT:
            return replace(found, conversion=Conversion(reason="an object of its own code has none"))
        examined = self.converter.examine(version, rows(), None if found.recorded else sample)
        return replace(
            found, conversion=examined.conversion or version.conversion, recorded=found.recorded or examined.recorded
        )

    def _sample(self, version: VersionRow, row: ModelRow) -> Sample | None:
        """Where reference rows are kept as they came; None where they are not."""
        if any(row.classes.get(name) in ALTERED for name in version.signature.names):
            return None
        folder = self.workspace.reference(row.name, row.profile_id)
        return Sample(folder=str(folder), profile_id=row.profile_id)

    def _record(self, version: VersionRow, sample: Sample | None, scorer: SklearnScorer | None) -> Recorded | None:
        """What the original says to the reference; None where that is not kept, or another process loads the original."""
        from pilothouse.ops.runtimes.recorded import record_sample

        if sample is None or (scorer is None and self.converter is not None):
            return None
        by = scorer or SklearnScorer(Artifact.of(version).load(self.store), version.signature, version.threshold)
        try:
            return record_sample(self.store, by, sample, version.signature)
        except PilothouseError:
            raise
        except Exception as error:
            # A model fails in whatever way it likes.
            raise BadData(f"The model cannot score the reference: {error}") from error
