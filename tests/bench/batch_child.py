"""One way to score a file, in a process of its own: `python -m tests.bench.batch_child ACT WORKSPACE IN OUT`.

Prints a line of JSON: wall and processor seconds of the act alone, imports and the loading of the model left out, and the most memory
the process ever held, in megabytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from pilothouse.ops.batch.entry import score as score_rows
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import House
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.scoring import Scorer, load_original, load_scorer, trust_checked_input

_BATCH_ROWS = 1 << 16


def score(flights: ModelHandle, asked: Path, out: Path) -> None:
    score_rows(flights, asked, out)


def score_unlogged(flights: ModelHandle, asked: Path, out: Path) -> None:
    score_rows(flights, asked, out, log=False)


def direct(flights: ModelHandle, asked: Path, out: Path) -> None:
    """What the service answers with, in a loop over Polars batches."""
    _loop(load_scorer(flights.house.store, flights.versions[0]), asked, out)


def original(flights: ModelHandle, asked: Path, out: Path) -> None:
    """The scikit-learn pipeline, in the same loop."""
    _loop(load_original(flights.house.store, flights.versions[0]), asked, out)


ACTS: dict[str, Callable[[ModelHandle, Path, Path], None]] = {
    act.__name__: act for act in (score, score_unlogged, direct, original)
}


def _loop(scorer: Scorer, asked: Path, out: Path) -> None:
    trust_checked_input()
    writer: pq.ParquetWriter | None = None
    for batch in pq.ParquetFile(asked).iter_batches(_BATCH_ROWS):
        rows = pl.DataFrame(batch)
        scored = scorer.score(rows)
        table = rows.with_columns(prediction=pl.Series(scored.prediction), score=pl.Series(scored.score)).to_arrow(
            compat_level=pl.CompatLevel.oldest()
        )
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def main() -> None:
    act, workspace, asked, out = sys.argv[1:]
    house = House.open(workspace)
    flights = house[MODEL]
    sample = pl.read_parquet(asked, n_rows=10)
    # The first call is left out: it imports and compiles what the others have.
    for load in (load_scorer, load_original):
        load(house.store, flights.versions[0]).score(sample)
    wall, cpu = time.perf_counter(), time.process_time()
    ACTS[act](flights, Path(asked), Path(out))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}))


if __name__ == "__main__":
    main()
