"""The process that reads what somebody has uploaded: `python -m pilothouse.ops.imports.child WORKSPACE JOB`.

A file from a browser is parsed here, with a ceiling on memory and time, and never in the dashboard's own process. The job
is a folder: `job.json` says what to do, `state.json` what has come of it; a file named `stop` ends it after a chunk.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from pilothouse.data.errors import ImportStopped, PilothouseError

MEMORY_BYTES = 4 * 1024**3
CPU_S = 1800
_NICENESS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with an upload. act : "look" for a preview, "import" for the thing itself."""

    act: str
    model: str
    source: str
    labels: str | None = None
    mapping: Mapping[str, str | list[str]] = field(default_factory=dict)
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What has come of a job. error : its sentence when it failed. found : of a preview, or of an import that is done."""

    state: str = "running"
    read: int = 0
    rows: int | None = None
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
    from pilothouse.ops.imports.report import Progress, mapping_frame

    house = House.open(workspace)
    labels = None if job.labels is None else folder / job.labels
    if job.act == "look":
        seen = house.preview_import(job.model, folder / job.source, labels=labels, mapping=job.mapping)
        return {
            "sentence": seen.sentence, "notes": list(seen.notes), "new": seen.new, "task": seen.task,
            "rows": seen.rows, "looked_at": seen.looked_at, "set_aside": seen.set_aside,
            "mapping": mapping_frame(seen.mapping).to_dict(as_series=False),
            "bad": seen.bad.select("bad_line", "bad_reasons").to_dict(as_series=False),
        }  # fmt: skip

    def tell(progress: Progress) -> None:
        if (folder / "stop").exists():
            raise ImportStopped(job.model)
        write_state(folder, JobState(read=progress.read, rows=progress.rows))

    report = house.import_log(
        job.model, folder / job.source, labels=labels, mapping=job.mapping, resume=job.resume, tell=tell
    )
    # The page gives the file of bad rows itself: a path of this machine is none of a browser's business.
    sentence = replace(report, bad_rows=None).sentence
    return {"sentence": sentence, "registered": report.registered, "bad_rows": str(report.bad_rows or "")}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
