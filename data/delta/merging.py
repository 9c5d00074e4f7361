"""Keeping a table small while it is read: files merged, what nobody needs any more deleted, the rest looked over."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pilothouse.data.delta import checks, quarantine
from pilothouse.data.delta.checks import Damage
from pilothouse.data.delta.files import DataFile, FileWriter, Layout
from pilothouse.data.delta.journal import KEPT_HOURS
from pilothouse.data.errors import CommitConflict

if TYPE_CHECKING:
    from pilothouse.data.delta.folder import DeltaFolder

FULL_FILE = 128 * 1024 * 1024
"""Bytes up to which files are merged; one of half that size is left alone."""

_ATTEMPTS = 20


def merge(folder: DeltaFolder, partitions: Collection[str] | None = None) -> int:
    """Merge the small files of each partition, or of those named; returns how many files there are fewer.

    One row group is in memory at a time. Rows that arrive meanwhile are in nobody's way. Raises DamagedFile before
    anything is merged that is not what was written, and CommitConflict when somebody else replaced the same files.
    """
    fewer = 0
    for group in _groups(folder.files(check=False), folder, partitions):
        merged = _merged(folder, folder.checked(group))
        exchange(folder, [merged], group)
        fewer += len(group) - 1
    return fewer


def tidy(folder: DeltaFolder) -> None:
    """Write a checkpoint; delete data files out of use, and log entries, once they are older than KEPT_HOURS."""
    _checkpoint(folder)
    for path in _out_of_use(folder):
        path.unlink(missing_ok=True)
    folder.journal.clean()


def purge(folder: DeltaFolder) -> list[str]:
    """Delete at once every data file that the newest version does not hold, and the log before it; which files went.

    For what must not be readable any more. Nobody else may write to the table meanwhile, since a file that is not
    committed yet would go too; a reader of an older version fails, and finds the newest one when it asks again.
    """
    folder.refresh()
    if folder.table() is None:
        return []
    _checkpoint(folder)
    needed = set(folder.files(check=False))
    unneeded = [path for path in _data_files(folder) if str(path) not in needed]
    for path in unneeded:
        path.unlink(missing_ok=True)
    folder.journal.clean(kept_hours=0)
    return [str(path.relative_to(folder.path)) for path in unneeded]


def verify_table(folder: DeltaFolder, files: Collection[str] | None = None) -> list[Damage]:
    """Hash the table's log, and its data files or those of them in `files`, and count their rows; what is damaged.

    Nothing is taken on trust that was seen before, so this costs reading it all: callers spread it over time by giving
    a few files a call. Damage is noted in the table's quarantine, and the note of a file that is whole again is dropped.
    """
    asked = folder.files(check=False) if files is None else sorted(files)
    rows = rows_in(folder)
    found = checks.damaged(folder.path, asked, again=True)
    whole = [path for path in asked if path not in {str(folder.path / d.file) for d in found}]
    found += [d for path in whole if (d := _miscounted(folder.path, path, rows.get(path))) is not None]
    found += folder.journal.damage()
    _forget_mended(folder, {str(Path(path).relative_to(folder.path)) for path in asked}, found)
    for damage in found:
        quarantine.note(folder.path, damage, folder.clock())
    return found


def _forget_mended(folder: DeltaFolder, looked_at: Collection[str], found: Sequence[Damage]) -> None:
    broken = {damage.file for damage in found}
    for noted in quarantine.damages(folder.path):
        in_log = noted.file.startswith(f"{folder.journal.folder.name}/")
        if noted.file not in broken and (in_log or noted.file in looked_at):
            quarantine.forget(folder.path, noted.file)


def _groups(paths: Sequence[str], folder: DeltaFolder, partitions: Collection[str] | None) -> Iterator[list[str]]:
    """Files of one partition each, oldest first, that make one file of at most FULL_FILE."""
    by_partition: dict[str, list[tuple[float, str, int]]] = {}
    for path in paths:
        value = folder.partition_value(path)
        status = Path(path).stat()
        if status.st_size < FULL_FILE // 2 and (partitions is None or value in partitions):
            by_partition.setdefault(value, []).append((status.st_mtime, path, status.st_size))
    for small in by_partition.values():
        yield from (group for group in _filled(sorted(small)) if len(group) > 1)


def _filled(files: Sequence[tuple[float, str, int]]) -> Iterator[list[str]]:
    group: list[str] = []
    filled = 0
    for _, path, size in files:
        if group and filled + size > FULL_FILE:
            yield group
            group, filled = [], 0
        group.append(path)
        filled += size
    if group:
        yield group


def _merged(folder: DeltaFolder, paths: Sequence[str]) -> DataFile:
    layout = folder.layout()
    partition = {folder.partition_by[0]: folder.partition_value(paths[0])}
    with FileWriter(folder.path, layout, partition, rows=_rows(folder, paths)) as writer:
        for rows in _row_groups(paths, layout):
            writer.write(rows)
        return writer.finish()


def _rows(folder: DeltaFolder, paths: Sequence[str]) -> int:
    known = rows_in(folder)
    return sum(known[path] for path in paths)


def _row_groups(paths: Sequence[str], layout: Layout) -> Iterator[pa.Table]:
    """The files' rows, gathered into row groups; a column that an older file lacks is null there."""
    import pyarrow.parquet as pq

    from pilothouse.data.delta.files import ROWS_AT_ONCE

    held: list[pa.Table] = []
    for path in paths:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                held.append(fitted(file.read_row_group(number), layout.in_files))
                if sum(part.num_rows for part in held) >= ROWS_AT_ONCE:
                    yield pa.concat_tables(held)
                    held = []
    if held:
        yield pa.concat_tables(held)


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` in the columns of `schema`, with nulls for those that they do not have."""
    columns = [rows[f.name] if f.name in rows.schema.names else pa.nulls(rows.num_rows, f.type) for f in schema]
    return pa.table([column.cast(f.type) for column, f in zip(columns, schema, strict=True)], schema=schema)


def exchange(folder: DeltaFolder, added: Sequence[DataFile], removed: Sequence[str]) -> None:
    """Put files that stand on disk in the place of others, in a commit that brings no new rows: `added` passes over it.

    Commits again when only rows came in between. Raises CommitConflict when somebody else has replaced one of `removed`.
    """
    for attempt in range(_ATTEMPTS):
        try:
            folder.commit_files(added, removed, {}, data_change=False)
            return
        except CommitConflict:
            folder.refresh()
            if attempt == _ATTEMPTS - 1 or not set(removed) <= set(folder.files(check=False)):
                raise


def _out_of_use(folder: DeltaFolder) -> list[Path]:
    """Data files, finished or not, that no version of the last KEPT_HOURS holds and no writer may still be at."""
    needed = set(folder.files(check=False)) | folder.journal.recently_removed()
    since = folder.clock().timestamp() - KEPT_HOURS * 3600
    return [path for path in _data_files(folder) if str(path) not in needed and _is_older(path, since)]


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        # A writer has just given the file its name.
        return False


def _data_files(folder: DeltaFolder) -> list[Path]:
    folders = [path for path in folder.path.glob(f"{folder.partition_by[0]}=*") if path.is_dir()]
    return [path for inside in folders for path in inside.rglob("*") if path.is_file()]


def _checkpoint(folder: DeltaFolder) -> None:
    folder.refresh()
    handle = folder.table()
    version = int(handle.version())
    if not folder.journal.checkpoint(version).exists():
        handle.create_checkpoint()
        folder.journal.keep_checkpoint(version)


def rows_in(folder: DeltaFolder) -> dict[str, int]:
    """Rows of each data file, by its path, as the table's log has them; reads no file."""
    handle: Any = folder.table()
    if handle is None:
        return {}
    listed = pa.table(handle.get_add_actions(flatten=True))
    paths = [str(folder.path / path) for path in listed["path"].to_pylist()]
    return dict(zip(paths, listed["num_records"].to_pylist(), strict=True))


def _miscounted(table: Path, path: str, rows: int | None) -> Damage | None:
    import pyarrow.parquet as pq

    file = str(Path(path).relative_to(table))
    try:
        found = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        return Damage(file=file, reason=f"the file cannot be read: {error}")
    if rows is not None and found != rows:
        return Damage(file=file, reason=f"it holds {found} rows; the log says {rows}")
    return None
