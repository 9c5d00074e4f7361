"""Delta tables as the log and the roll-ups use them."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.errors import CommitConflict, CommitsGone, SchemaChanged

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("x", pa.float64()),
        pa.field("day", pa.date32(), nullable=False),
    ]
)


def rows(count: int, *, day: int = 1, schema: pa.Schema = SCHEMA) -> pa.Table:
    values = {"id": [str(i) for i in range(count)], "x": [1.5] * count, "day": [date(2026, 1, day)] * count}
    return pa.table({f.name: values.get(f.name, [None] * count) for f in schema}, schema=schema)


def folder(path: Path, schema: pa.Schema = SCHEMA) -> DeltaFolder:
    return DeltaFolder(path / "flügel und see" / "flights", schema, ("day",))


def total(table: DeltaFolder) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in table.files())


def test_rows_and_marks_move_together(tmp_path: Path) -> None:
    table = folder(tmp_path)
    assert (table.version, table.mark("a"), table.files()) == (None, None, [])
    table.append(rows(2), {"a": 7, "b": 1})
    table.append(rows(0), {"a": 9})
    again = folder(tmp_path)
    assert (again.mark("a"), again.mark("b"), again.mark("c"), total(again)) == (9, 1, None, 2)


@pytest.mark.parametrize("marks", [{"a": 7}, {"a": 6}, {"a": 8, "b": 0}])
def test_a_mark_never_stands_still_or_goes_back(tmp_path: Path, marks: dict[str, int]) -> None:
    table = folder(tmp_path)
    table.append(rows(1), {"a": 7, "b": 1})
    with pytest.raises(CommitConflict, match="Somebody else wrote to the table flights first"):
        table.append(rows(1), marks)
    assert total(folder(tmp_path)) == 1


def test_who_read_marks_before_another_committed_cannot_append(tmp_path: Path) -> None:
    first, second = folder(tmp_path), folder(tmp_path)
    assert first.mark("a") is second.mark("a") is None
    first.append(rows(1), {"a": 1})
    for _ in range(2):
        with pytest.raises(CommitConflict):
            second.append(rows(3), {"a": 3})
    second.refresh()
    assert second.mark("a") == 1
    second.append(rows(1), {"a": 2})
    with pytest.raises(CommitConflict):
        first.append(rows(1), {"a": 3})
    assert total(folder(tmp_path)) == 2


def test_of_many_writers_of_the_same_mark_one_wins_even_when_the_table_is_new(tmp_path: Path) -> None:
    """delta-rs retries a lost creation by itself; before that was switched off, one round in five had two winners."""

    def write(table: DeltaFolder, start: threading.Barrier, won: list[int]) -> None:
        table.mark("a")
        start.wait()
        try:
            won.append(table.append(rows(1), {"a": 1}))
        except CommitConflict:
            return

    for number in range(25):
        start, won = threading.Barrier(6), []
        tables = [folder(tmp_path / str(number)) for _ in range(6)]
        threads = [threading.Thread(target=write, args=(table, start, won)) for table in tables]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert total(folder(tmp_path / str(number))) == 1


def test_a_column_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    table = folder(tmp_path)
    whole = pa.schema([SCHEMA.field("id"), pa.field("x", pa.int64()), SCHEMA.field("day")])
    with pytest.raises(SchemaChanged, match="x is int64, not double"):
        table.append(pa.table({"id": ["a"], "x": [1], "day": [date(2026, 1, 1)]}, schema=whole), {"a": 1})
    table.append(rows(1), {"a": 1})
    with pytest.raises(SchemaChanged, match="x is int64, not double"):
        folder(tmp_path, whole).append(
            pa.table({"id": ["a"], "x": [1], "day": [date(2026, 1, 1)]}, schema=whole), {"a": 2}
        )


def test_columns_come_and_go(tmp_path: Path) -> None:
    folder(tmp_path).append(rows(1), {"a": 1})
    wider = pa.schema([*SCHEMA, pa.field("y", pa.string())])
    folder(tmp_path, wider).append(rows(1, schema=wider), {"a": 2})
    folder(tmp_path).append(rows(1), {"a": 3})
    assert total(folder(tmp_path)) == 3


def test_compaction_changes_no_row_and_no_mark_and_is_not_news(tmp_path: Path) -> None:
    table = folder(tmp_path)
    for mark in range(1, 31):
        table.append(rows(1, day=1 + mark % 2), {"a": mark})
    before, old_files = table.version, table.files()
    assert table.crowded(14) == ["2026-01-01", "2026-01-02"]
    table.compact(["2026-01-01"])
    assert (total(table), len(table.files()), table.mark("a")) == (30, 16, 30)
    assert table.added(before, table.version) == []
    assert table.added(None, before) == old_files
    assert all(Path(path).exists() for path in old_files)
    assert len(table.files(keep=lambda day: day == "2026-01-01")) == 1
    table.append(rows(1), {"a": 31})
    assert len(table.added(before, table.version)) == 1


def test_added_says_when_the_log_has_been_cleaned(tmp_path: Path) -> None:
    table = folder(tmp_path)
    for mark in range(1, 4):
        table.append(rows(1), {"a": mark})
    (table.path / "_delta_log" / f"{2:020d}.json").unlink()
    with pytest.raises(CommitsGone, match="Commit 2 of flights has been cleaned away"):
        table.added(1, 3)


def test_data_is_synced_before_the_commit_and_the_commit_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    table = folder(tmp_path)
    table.append(rows(1), {"a": 1})
    log = table.path / "_delta_log"
    entry = log / f"{2:020d}.json"
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def record(handle: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{handle}"), entry.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", record)
    assert table.append(rows(2, day=2), {"a": 2}) == 2
    (new_file,) = table.added(1, 2)
    unfinished, *others = synced
    assert unfinished[0].startswith(f"{Path(new_file).parent}/.unfinished-")
    assert others == [
        (str(Path(new_file).parent), False),
        (str(table.path), False),
        (str(entry), True),
        (str(log), True),
    ]


def test_of_long_texts_and_times_the_statistics_stay_bounds(tmp_path: Path) -> None:
    """Readers leave files out by them, so a bound that lies inside the values would lose rows."""
    schema = pa.schema([*SCHEMA, pa.field("at", pa.timestamp("us", tz="UTC"))])
    schema = pa.schema([schema.field("id"), schema.field("at"), schema.field("x"), schema.field("day")])
    moment = datetime(2026, 1, 1, 12, 0, 0, 1999, tzinfo=UTC)
    values = {
        "id": ["b" * 100, "a" * 100],
        "at": [moment, None],
        "x": [float("nan"), 1.0],
        "day": [date(2026, 1, 1)] * 2,
    }
    table = folder(tmp_path, schema)
    table.append(pa.table(values, schema=schema), {"a": 1})
    (found,) = pa.table(table.table().get_add_actions(flatten=True)).to_pylist()
    assert found["min.id"] <= "a" * 100 < "b" * 100 <= found["max.id"]
    assert found["min.at"] == found["max.at"] == datetime(2026, 1, 1, 12, 0, 0, 1000, tzinfo=UTC)
    assert (found["num_records"], found["null_count.at"]) == (2, 1)
