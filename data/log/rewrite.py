"""Rows of a sealed log that change their files, or leave: in commits that the fold does not take for new rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from pilothouse.data.delta import DeltaFolder, exchange
from pilothouse.data.delta.files import write_files
from pilothouse.data.errors import CommitConflict
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.rollups.fold import fold
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.store import Cursor, rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Clock
from pilothouse.data.workspace import Workspace

_ATTEMPTS = 20

Change = Callable[[str, pa.Table], pa.Table]
"""From a file's path and rows to the rows to stand in their place. The very same table leaves the file alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLog:
    """A model's log in the hands of whoever holds the model's fold lease."""

    workspace: Workspace
    model: ModelRow
    profile: Profile
    settings: Settings
    clock: Clock
    crash: Callable[[str], None] = lambda point: None

    @property
    def today(self) -> date:
        """The UTC day, as partitions have it."""
        return self.clock().date()

    def predictions(self) -> DeltaFolder:
        return prediction_folder(self.workspace, self.model.name, self.model.signature)

    def labels(self) -> DeltaFolder:
        return label_folder(self.workspace, self.model.name, self.model.signature)

    def rollups(self) -> DeltaFolder:
        return rollup_folder(self.workspace, self.model.name)

    def fold(self) -> None:
        """Take what has been sealed into the roll-ups."""
        model = self.model
        fold(
            self.workspace, model.name, model.signature, self.profile, model.label_policy, self.settings,
            clock=self.clock, crash=self.crash,
        )  # fmt: skip

    def folded(self) -> tuple[DeltaFolder, DeltaFolder, DeltaFolder]:
        """Predictions, labels and roll-ups at versions of which the roll-ups have counted every row.

        Rows that are sealed later come in files of their own. Raises CommitConflict when sealing never pauses.
        """
        for _ in range(_ATTEMPTS):
            self.fold()
            labels, predictions, rollups = self.labels(), self.predictions(), self.rollups()
            cursor = Cursor.of(rollups)
            if (cursor.predictions, cursor.labels) == (predictions.version, labels.version):
                return predictions, labels, rollups
        raise CommitConflict(self.model.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What a rewrite came to. files : paths that are out of the table now. rows_before, rows_after : of those files."""

    files: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    rows_before: int = 0
    rows_after: int = 0

    def plus(self, other: Rewritten) -> Rewritten:
        return Rewritten(
            files=self.files + other.files,
            written=self.written + other.written,
            rows_before=self.rows_before + other.rows_before,
            rows_after=self.rows_after + other.rows_after,
        )


def rewrite(folder: DeltaFolder, paths: Sequence[str], change: Change, *, write: bool = True) -> Rewritten:
    """Put what `change` makes of each file in its place, in one commit; one file is in memory at a time.

    write : False tells what would happen. Files whose rows stay as they are stay too. Raises DamagedFile before
    anything is changed that is not what was written.
    """
    done, files = Rewritten(), []
    for path in folder.checked(paths):
        rows = read_file(folder, path)
        changed = change(path, rows)
        if changed is not rows:
            new = write_files(folder.path, folder.layout(), changed) if write else []
            files += new
            written = tuple(file.path for file in new)
            done = done.plus(
                Rewritten(files=(path,), written=written, rows_before=rows.num_rows, rows_after=changed.num_rows)
            )
    if write and done.files:
        exchange(folder, files, done.files)
    return done


def read_file(folder: DeltaFolder, path: str) -> pa.Table:
    """All rows of a data file in the table's columns, the partition's too; a column that it lacks is null."""
    import pyarrow.parquet as pq

    schema = folder.layout().schema
    rows = pq.ParquetFile(path).read()
    day = pa.scalar(date.fromisoformat(folder.partition_value(path)), pa.date32())
    known = {name: rows[name] for name in rows.schema.names} | {"day": pa.repeat(day, rows.num_rows)}
    columns = [known.get(f.name, pa.nulls(rows.num_rows, f.type)) for f in schema]
    return pa.table([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
