"""The ways in: what the command line, the page and the notebook call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from pilothouse.data.errors import BadData
from pilothouse.ops.batch.reading import Beside
from pilothouse.ops.batch.report import ScoreReport
from pilothouse.ops.batch.run import run_scoring
from pilothouse.ops.batch.work import Order
from pilothouse.ops.imports.entry import opened
from pilothouse.ops.imports.report import Progress
from pilothouse.ops.model import ModelHandle


def score(
    handle: ModelHandle,
    source: Any,
    out: str | Path | None = None,
    *,
    version: int | None = None,
    id: str | None = None,
    key: Sequence[str] = (),
    at: str | None = None,
    entity: str | None = None,
    time_format: str | None = None,
    log: bool = True,
    overwrite: bool = False,
    prefix: str = "",
    bad_rows: str | Path | None = None,
    encoding: str | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> ScoreReport:
    """Score every row of `source` with one version, and log them with the role batch.

    source : a CSV, Parquet or Arrow file, a folder of Parquet, a Delta table, or a frame. out : a .parquet or .csv file,
    or the folder of a Delta table, which gets one commit; None gives the rows in the report's `frame`.
    version : None for the champion. id, key, at, entity : columns that say what a row is, see `Beside`. prefix : put
    before the names of the columns that are added. overwrite : put the result over a file that is there.
    Asked for again after a crash it goes on where it stopped. Raises what `run_scoring` raises, and UnreadableSource.
    """
    beside = Beside(id=id, keys=tuple(key), at=at, entity=entity, time_format=time_format)
    given = Order(
        source=opened(source, encoding), out=Path(out or ""), beside=beside, version=version, log=log,
        overwrite=overwrite, prefix=prefix, bad_rows=None if bad_rows is None else Path(bad_rows),
    )  # fmt: skip
    if out is None:
        return _in_memory(handle, given, tell)
    if isinstance(source, str | Path) and Path(source).resolve() == given.out.resolve():
        raise BadData(f"{given.out} cannot be both what is read and what is written. Name another file for the result.")
    return run_scoring(handle, given, tell=tell)


def _in_memory(handle: ModelHandle, order: Order, tell: Callable[[Progress], None]) -> ScoreReport:
    """The rows in the report itself; the file that they came through is gone afterwards."""
    scratch = handle.house.workspace.run
    with TemporaryDirectory(dir=scratch, prefix="score-") as folder:
        out = Path(folder) / "scored.parquet"
        report = run_scoring(handle, replace(order, out=out, lasting=False), tell=tell)
        bad = None if report.bad_rows is None else pl.read_csv(report.bad_rows, infer_schema=False)
        frame = pl.read_parquet(out)
    return replace(report, out=None, frame=frame, bad=bad, bad_rows=order.bad_rows if bad is not None else None)
