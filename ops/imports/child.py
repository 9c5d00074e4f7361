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

from pilothouse.data.errors import BadData, ImportStopped, PilothouseError
from pilothouse.ops.imports.said import Said

if TYPE_CHECKING:
    from pilothouse.ops.house import House
    from pilothouse.ops.imports.mapping import ColumnMap
    from pilothouse.ops.imports.plan import Guess
    from pilothouse.ops.imports.report import ImportReport, Progress
    from pilothouse.ops.imports.run import Order
    from pilothouse.ops.imports.sources import Source

LOG = "child.log"
"""Where a child's own words go, in the folder of its job."""

MEMORY_BYTES = 4 * 1024**3
CPU_S = 1800
_NICENESS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with an upload. act : "look" for a preview, "import" for the thing itself.

    files : by what they hold (predictions, labels, reference). called : the names that they had in the browser, to speak
    of them. rows : how many predictions there are, if known. said : what a person has said of the import.
    """

    act: str
    model: str
    files: Mapping[str, str]
    called: Mapping[str, str]
    said: Said = field(default_factory=Said)
    rows: int | None = None
    resume: bool = False

    def named(self, text: str) -> str:
        """`text` with the files called as in the browser."""
        for role, file in self.files.items():
            text = text.replace(file, self.called[role])
        return text


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
        write_state(job_folder, JobState(state="failed", error=read_job(job_folder).named(str(error))))
    except Exception as error:
        traceback.print_exc()
        write_state(job_folder, JobState(state="failed", error=_unexpected(error, job_folder)))
    return 0


def _unexpected(error: Exception, folder: Path) -> str:
    """An error that nobody foresaw: its kind, and where somebody who can read the workspace finds the rest."""
    log = "/".join((*folder.parts[-3:], LOG))
    return f"A fault of Pilothouse's own ({type(error).__name__}). {log} of the workspace says where; please report it."


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
    files = {role: folder / file for role, file in job.files.items()}
    order = order_of(
        house, job.model, files["predictions"], labels=files.get("labels"), reference=files.get("reference"),
        wishes=job.said.wishes(), encoding=job.said.encoding, resume=job.resume,
    )  # fmt: skip
    if job.act == "look":
        return _looked(house, order, job)
    return _imported(run_import(house, order, tell=_teller(folder, job)), folder, job)


def _looked(house: House, order: Order, job: Job) -> Mapping[str, Any]:
    """The preview; or the mapping with what keeps it from being made, so that it can be put right."""
    from pilothouse.ops.imports.run import guess_of, preview

    rows = order.source.rows
    found: dict[str, Any] = {"rows": _counted(order.source) if rows is None else rows, "new": job.model not in house}
    try:
        seen = preview(house, order)
    except BadData as error:
        guess = guess_of(house, order)
        return found | _mappings(guess.predictions, guess.labels) | {"problems": _problems(guess, error, job)}
    return found | _mappings(seen.mapping, seen.label_mapping) | {
        "sentence": job.named(replace(seen, rows=found["rows"]).sentence), "notes": [*seen.notes, *seen.first_times],
        "first_times": list(seen.first_times), "task": seen.task, "classes": list(seen.classes),
        "looked_at": seen.looked_at, "set_aside": seen.set_aside, "labels_set_aside": seen.labels_set_aside,
        "bad": seen.bad.select("bad_line", "bad_reasons").to_dict(as_series=False),
        "label_bad": seen.label_bad.select("bad_line", "bad_reasons").to_dict(as_series=False),
    }  # fmt: skip


def _mappings(predictions: ColumnMap, labels: ColumnMap | None) -> dict[str, Any]:
    """Both as tables of columns; None for labels that are not in a file of their own."""
    from pilothouse.ops.imports.report import mapping_frame

    told = None if labels is None else mapping_frame(labels).to_dict(as_series=False)
    return {"mapping": mapping_frame(predictions).to_dict(as_series=False), "label_mapping": told}


def _problems(guess: Guess, error: BadData, job: Job) -> list[str]:
    """The questions that a mapping leaves open, answered in its table; otherwise what was wrong."""
    questions = [*guess.predictions.questions, *(guess.labels.questions if guess.labels else ())]
    asked = [f"{question.words}: write {question.part} beside the one that it is." for question in questions]
    return asked or [job.named(str(error))]


def _counted(source: Source) -> int:
    """Rows of a source that does not say how many it has: one column is read, so that progress has an end."""
    first = source.sample().columns[:1]
    return sum(chunk.rows for chunk in source.chunks(first))


def _teller(folder: Path, job: Job) -> Callable[[Progress], None]:
    """Writes the job's state after each chunk; a file named `stop` ends the import there."""

    def tell(progress: Progress) -> None:
        if (folder / "stop").exists():
            raise ImportStopped(job.model)
        labels = progress.stage != job.files["predictions"]
        stage = "labels" if labels else "rows"
        write_state(folder, JobState(read=progress.read, rows=progress.rows if labels else job.rows, stage=stage))

    return tell


def _imported(report: ImportReport, folder: Path, job: Job) -> Mapping[str, Any]:
    """What came of it. The uploaded files are not needed any more; those of the rows set aside stay to be fetched."""
    for name in job.files.values():
        (folder / name).unlink()
    # The page gives the files of bad rows itself: a path of this machine is none of a browser's business.
    told = replace(report, bad_rows=None, labels=replace(report.labels, bad_rows=None))
    return {
        "sentence": job.named(told.sentence), "registered": job.named(report.registered),
        "bad_rows": str(report.bad_rows or ""), "bad_labels": str(report.labels.bad_rows or ""),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
