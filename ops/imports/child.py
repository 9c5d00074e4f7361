"""The process that reads what somebody has uploaded: `python -m pilothouse.ops.imports.child WORKSPACE JOB`.

A file from a browser is parsed here, with a ceiling on memory and time, and never in the dashboard's own process. The job
is a folder: `job.json` says what to do, `state.json` what has come of it; a file named `stop` ends it after a chunk.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pilothouse.data.errors import AmbiguousColumns, ImportStopped, PilothouseError

if TYPE_CHECKING:
    from pilothouse.ops.house import House
    from pilothouse.ops.imports.report import ImportReport, Progress
    from pilothouse.ops.imports.run import Order
    from pilothouse.ops.imports.sources import Source

MEMORY_BYTES = 4 * 1024**3
CPU_S = 1800
_NICENESS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with an upload. act : "look" for a preview, "import" for the thing itself.

    called : the name that the file of predictions had in the browser, to speak of it. rows : how many it has, if known.
    """

    act: str
    model: str
    source: str
    labels: str | None = None
    called: str = ""
    rows: int | None = None
    mapping: Mapping[str, str | list[str]] = field(default_factory=dict)
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What has come of a job.

    stage : what is being read, rows or labels. error : its sentence when it failed. found : of a preview, or of an
    import that is done.
    """

    state: str = "running"
    read: int = 0
    rows: int | None = None
    stage: str = "rows"
    error: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)


def main(workspace: str, folder: str) -> int:
    """Do one job. The exit code is 0 also for one that failed: its state says so."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    job_folder = Path(folder)
    try:
        found = _work(workspace, job_folder, read_job(job_folder))
        write_state(job_folder, JobState(state="done", found=found))
    except PilothouseError as error:
        write_state(job_folder, JobState(state="failed", error=str(error)))
    except Exception as error:
        traceback.print_exc()
        write_state(job_folder, JobState(state="failed", error=f"The file could not be read: {type(error).__name__}."))
    return 0


def read_job(folder: Path) -> Job:
    return msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)


def read_state(folder: Path) -> JobState:
    """The job's state; running while nothing has been said."""
    file = folder / "state.json"
    return msgspec.json.decode(file.read_bytes(), type=JobState) if file.exists() else JobState()


def write_state(folder: Path, state: JobState) -> None:
    part = folder / "state.part"
    part.write_bytes(msgspec.json.encode(state))
    os.replace(part, folder / "state.json")


def _work(workspace: str, folder: Path, job: Job) -> Mapping[str, Any]:
    from pilothouse.ops.house import House
    from pilothouse.ops.imports.entry import order_of
    from pilothouse.ops.imports.run import run_import

    house = House.open(workspace)
    order = order_of(
        house, job.model, folder / job.source, labels=folder / job.labels if job.labels else None,
        mapping=job.mapping, resume=job.resume,
    )  # fmt: skip
    if job.act == "look":
        return _looked(house, order, job)
    return _imported(run_import(house, order, tell=_teller(folder, job)), folder, job)


def _looked(house: House, order: Order, job: Job) -> Mapping[str, Any]:
    """The preview; or the mapping with the question that keeps it from being made."""
    from pilothouse.ops.imports.report import mapping_frame
    from pilothouse.ops.imports.run import guess_of, preview

    rows = order.source.rows
    found: dict[str, Any] = {"rows": _counted(order.source) if rows is None else rows}
    try:
        seen = preview(house, order)
    except AmbiguousColumns:
        guess = guess_of(house, order)
        if not guess.questions:
            raise
        asked = [f"{q.part} could be {' or '.join(map(repr, q.sources))}" for q in guess.questions]
        return found | {"questions": asked, "mapping": mapping_frame(guess).to_dict(as_series=False)}
    return found | {
        "sentence": replace(seen, source=job.called, rows=found["rows"]).sentence, "notes": list(seen.notes),
        "set_aside": seen.set_aside, "mapping": mapping_frame(seen.mapping).to_dict(as_series=False),
        "bad": seen.bad.select("bad_line", "bad_reasons").to_dict(as_series=False),
        "label_bad": seen.label_bad.select("bad_line", "bad_reasons").to_dict(as_series=False),
    }  # fmt: skip


def _counted(source: Source) -> int:
    """Rows of a source that does not say how many it has: one column is read, so that progress has an end."""
    first = source.sample().columns[:1]
    return sum(chunk.rows for chunk in source.chunks(first))


def _teller(folder: Path, job: Job) -> Callable[[Progress], None]:
    """Writes the job's state after each chunk; a file named `stop` ends the import there."""

    def tell(progress: Progress) -> None:
        if (folder / "stop").exists():
            raise ImportStopped(job.model)
        labels = progress.stage != job.source
        stage = "labels" if labels else "rows"
        write_state(folder, JobState(read=progress.read, rows=progress.rows if labels else job.rows, stage=stage))

    return tell


def _imported(report: ImportReport, folder: Path, job: Job) -> Mapping[str, Any]:
    """What came of it. The uploaded files are not needed any more; those of the rows set aside stay to be fetched."""
    for name in (job.source, job.labels):
        if name is not None:
            (folder / name).unlink()
    # The page gives the files of bad rows itself: a path of this machine is none of a browser's business.
    told = replace(report, source=job.called, bad_rows=None, labels=replace(report.labels, bad_rows=None))
    return {
        "sentence": told.sentence, "registered": report.registered.replace(job.source, job.called),
        "bad_rows": str(report.bad_rows or ""), "bad_labels": str(report.labels.bad_rows or ""),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
