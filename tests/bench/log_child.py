"""One act on a log in a process of its own: `python -m tests.bench.log_child ACT FOLDER ROWS FEATURES KEYED`.

Prints a line of JSON: wall and processor seconds of the act alone, imports left out, and the most memory the process
ever held, in megabytes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pilothouse.data.log.bulk import BulkLog
from pilothouse.data.log.schema import prediction_schema
from pilothouse.data.rollups.count import Counting, columns_counted
from pilothouse.data.rollups.fold import rebuild
from tests.bench.logs import END, MODEL, ODD, POLICY, SETTINGS, SIXTY_DAYS, World

BATCH_VALUES = 12_500_000
"""Values that are read at once: half a million rows of 25 features."""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(act: str, world: World) -> Cost:
    """What `act` costs, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.log_child", act, str(world.folder)]
    done = subprocess.run(
        [*command, str(world.rows), str(world.features), str(int(world.keyed))],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def import_log(world: World) -> None:
    """The whole file into the log and the roll-ups, batch by batch."""
    made, schema = (MODEL, world.signature, world.profile, POLICY, SETTINGS), prediction_schema(world.signature)
    with _opened(world) as file:
        bulk = BulkLog(world.workspace, *made, clock=lambda: END)
        for number, batch in enumerate(file.iter_batches(BATCH_VALUES // world.features), start=1):
            bulk.append(_as_logged(pa.Table.from_batches([batch]), schema), {"bench": number})
        bulk.close()


def copy(world: World) -> None:
    """DuckDB's own copy from Parquet to Parquet."""
    import duckdb

    target = world.folder / "copy.parquet"
    with duckdb.connect() as duck:
        duck.execute(f"COPY (FROM '{world.file}') TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    target.unlink()


def scan(world: World) -> None:
    """Reading the counted columns, and nothing else."""
    for _ in _batches(world):
        pass


def scan_and_count(world: World) -> None:
    """Reading and counting them; less the bare scan, that is the fold of batches that are in memory anyway."""
    counting = Counting(world.profile, SETTINGS.time_zone, None)
    for batch in _batches(world):
        counting.add(batch)
    counting.table()


def recount(world: World) -> None:
    """All roll-ups anew from the table, as the command does it."""
    rebuild(world.workspace, MODEL, world.signature, world.profile, POLICY, SETTINGS, clock=lambda: END)


def first_drift(world: World) -> None:
    world.history().drift(SIXTY_DAYS)


def first_odd_drift(world: World) -> None:
    world.history().drift(ODD)


def exact_drift(world: World) -> None:
    world.history().drift(SIXTY_DAYS, exact=True)


ACTS: dict[str, Callable[[World], None]] = {
    act.__name__: act
    for act in (import_log, copy, scan, scan_and_count, recount, first_drift, first_odd_drift, exact_drift)
}


def _as_logged(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with all columns of the prediction table; those that the file lacks are null."""
    rows = rows.append_column("day", pc.cast(rows["at"], pa.date32()))
    rows = rows.append_column("spool", pa.repeat("bench", rows.num_rows))
    there = set(rows.column_names)
    columns = [rows[f.name].cast(f.type) if f.name in there else pa.nulls(rows.num_rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)


def _opened(world: World) -> pq.ParquetFile:
    # Read ahead, the whole file would stay in memory until it is closed.
    return pq.ParquetFile(world.file, pre_buffer=False)


def _batches(world: World) -> Iterator[pa.RecordBatch]:
    with _opened(world) as file:
        yield from file.iter_batches(1 << 17, columns=columns_counted(world.profile))


def main() -> None:
    act, folder, rows, features, keyed = sys.argv[1:]
    world = World(Path(folder), int(rows), int(features), bool(int(keyed)))
    # Made before the clock starts: neither belongs to the act.
    assert world.file.exists()
    assert world.profile.rows
    wall, cpu = time.perf_counter(), time.process_time()
    ACTS[act](world)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}))


if __name__ == "__main__":
    main()
