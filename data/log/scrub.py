"""Looking over every file of a model's tables: whatever is not what was written is found before a figure needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pilothouse.data.delta import DeltaFolder, damages, forget, rows_in, verify_table
from pilothouse.data.errors import NothingDamaged
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.rollups.gaps import mark_gaps
from pilothouse.data.rollups.store import rollup_folder
from pilothouse.data.signature import Signature
from pilothouse.data.store import write_durably
from pilothouse.data.windows import parse_time
from pilothouse.data.workspace import Workspace

_LOG_TABLES = ("predictions", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedPart:
    """A damaged file: which table, what the file held (day or month, rows; None where it cannot be told), what is wrong."""

    model: str
    table: str
    file: str
    reason: str
    period: str | None
    rows: int | None

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        held = "" if self.rows is None else f" It holds {self.rows:,} rows of {self.period}."
        found = f"{self.table}/{self.model}/{self.file} is damaged: {self.reason}.{held}"
        if self.table not in _LOG_TABLES:
            return f"{found} Put it back from a backup, or count anew with `pilothouse rebuild {self.model}`."
        return (
            f"{found} Put it back from a backup; or give its rows up with "
            f"`pilothouse quarantine drop {self.model} {Path(self.file).name} --reason ...`."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubReport:
    """files : looked at. of : files there are. oldest : when the file that waited longest was looked at last, if ever."""

    model: str
    files: int
    of: int
    size: int
    damage: tuple[DamagedPart, ...]
    oldest: datetime | None


def scrub(
    workspace: Workspace,
    model: str,
    signature: Signature,
    now: datetime,
    *,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScrubReport:
    """Hash files of the model's tables, those first that were looked at longest ago, and note what is damaged.

    budget : bytes to read, at least one file; None reads all. progress : told bytes read and bytes there are.
    """
    seen, files = _read_times(_notes(workspace, model)), list(_files(workspace, model, signature))
    waiting = sorted(files, key=lambda found: seen.get(found.key, datetime.min.replace(tzinfo=now.tzinfo)))
    total, done, looked = sum(found.size for found in files), 0, 0
    for found in waiting:
        if budget is not None and looked and done + found.size > budget:
            break
        verify_table(found.folder, [found.path])
        seen[found.key] = now
        done, looked = done + found.size, looked + 1
        progress(done, total)
    times = {found.key: seen[found.key] for found in files if found.key in seen}
    _write_times(_notes(workspace, model), times)
    return ScrubReport(
        model=model,
        files=looked,
        of=len(files),
        size=done,
        damage=known_damage(workspace, model, signature),
        oldest=min(times.values()) if len(times) == len(files) and times else None,
    )


def last_scrub(workspace: Workspace, model: str) -> datetime | None:
    """When a file of the model was last looked over."""
    return max(_read_times(_notes(workspace, model)).values(), default=None)


def known_damage(workspace: Workspace, model: str, signature: Signature) -> tuple[DamagedPart, ...]:
    """Every file of the model's tables that was found damaged; reads none."""
    found = []
    for name, folder in tables_of(workspace, model, signature).items():
        for damage in damages(folder.path):
            path = str(folder.path / damage.file)
            data = damage.file.endswith(".parquet") and "=" in damage.file
            found.append(
                DamagedPart(
                    model=model, table=name, file=damage.file, reason=damage.reason,
                    period=folder.partition_value(path) if data else None, rows=_rows(folder, path) if data else None,
                )
            )  # fmt: skip
    return tuple(found)


def drop_damaged(workspace: Workspace, model: str, signature: Signature, file: str) -> DamagedPart:
    """Take a damaged data file of the log out of its table; its rows are lost, and roll-ups keep their counts.

    file : its name, as the damage was told. To be called under the model's fold lease. Raises NothingDamaged.
    """
    known = [d for d in known_damage(workspace, model, signature) if d.table in _LOG_TABLES and d.period is not None]
    part = next((d for d in known if Path(d.file).name == Path(file).name), None)
    if part is None:
        raise NothingDamaged(model, file, [Path(d.file).name for d in known])
    folder = tables_of(workspace, model, signature)[part.table]
    path = str(folder.path / part.file)
    if part.table == "predictions" and part.period is not None:
        mark_gaps(rollup_folder(workspace, model), _business_days(date.fromisoformat(part.period)))
    if path in folder.files(check=False):
        folder.commit_files([], [path], {}, data_change=True)
    forget(folder.path, part.file)
    return part


def tables_of(workspace: Workspace, model: str, signature: Signature) -> Mapping[str, DeltaFolder]:
    """The model's tables by name."""
    return {
        "predictions": prediction_folder(workspace, model, signature),
        "labels": label_folder(workspace, model, signature),
        "rollups": rollup_folder(workspace, model),
    }


@dataclass(frozen=True, slots=True)
class _File:
    folder: DeltaFolder
    path: str
    size: int

    @property
    def key(self) -> str:
        return f"{self.folder.path.parent.name}/{Path(self.path).name}"


def _files(workspace: Workspace, model: str, signature: Signature) -> Iterator[_File]:
    for folder in tables_of(workspace, model, signature).values():
        for path in folder.files(check=False):
            yield _File(folder, path, Path(path).stat().st_size if Path(path).exists() else 0)


def _rows(folder: DeltaFolder, path: str) -> int | None:
    return rows_in(folder).get(path)


def _business_days(day: date) -> list[date]:
    """Days of any business zone on which the UTC day falls."""
    return [date.fromordinal(day.toordinal() + shift) for shift in (-1, 0, 1)]


def _notes(workspace: Workspace, model: str) -> Path:
    return workspace.root / "scrub" / f"{model}.json"


def _read_times(notes: Path) -> dict[str, datetime]:
    return {k: parse_time(v) for k, v in json.loads(notes.read_text()).items()} if notes.exists() else {}


def _write_times(notes: Path, times: Mapping[str, datetime]) -> None:
    write_durably(notes, json.dumps({name: time.isoformat() for name, time in times.items()}).encode())
