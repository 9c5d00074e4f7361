"""What a power cut tears is mended without loss; what is damaged is named, and no figure is made from it."""

import os
import threading
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pilothouse.data.delta import DeltaFolder, damages, unchecked, verify_table
from pilothouse.data.errors import DamagedFile

SCHEMA = pa.schema([("id", pa.string()), ("x", pa.float64()), pa.field("day", pa.date32(), nullable=False)])


def table(path: Path) -> DeltaFolder:
    return DeltaFolder(path / "tables" / "flights", SCHEMA, ("day",))


def rows(count: int, *, x: float = 1.5) -> pa.Table:
    return pa.table({"id": ["a"] * count, "x": [x] * count, "day": [date(2026, 1, 1)] * count}, schema=SCHEMA)


def filled(path: Path, commits: int = 3) -> DeltaFolder:
    folder = table(path)
    for mark in range(1, commits + 1):
        folder.append(rows(1), {"a": mark})
    return folder


def entry(folder: DeltaFolder, version: int) -> Path:
    return folder.path / "_delta_log" / f"{version:020d}.json"


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def total(folder: DeltaFolder) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.files())


def not_yet_synced(folder: DeltaFolder, version: int) -> Path:
    """The entry of `version` as a process that died right after the commit leaves it: nobody knows its checksum."""
    (folder.path / "_checks" / entry(folder, version).name).unlink()
    return entry(folder, version)


@pytest.mark.parametrize("left", ["", "{", "half", "zeros"])
def test_a_torn_end_of_the_log_is_set_aside_and_its_rows_can_come_again(tmp_path: Path, left: str) -> None:
    newest = not_yet_synced(filled(tmp_path), 3)
    content = newest.read_bytes()
    torn = {"": b"", "{": b"{", "half": content[: len(content) // 2], "zeros": bytes(len(content))}[left]
    newest.write_bytes(torn)
    again = table(tmp_path)
    assert (again.version, again.mark("a"), total(again)) == (2, 2, 2)
    (kept,) = (again.path / "_quarantine").iterdir()
    assert kept.read_bytes() == torn
    assert again.append(rows(1), {"a": 3}) == 3
    assert (table(tmp_path).mark("a"), total(table(tmp_path))) == (3, 3)


def test_an_open_handle_finds_the_torn_end_too(tmp_path: Path) -> None:
    folder = filled(tmp_path, 2)
    filled_elsewhere = table(tmp_path)
    filled_elsewhere.append(rows(1), {"a": 3})
    not_yet_synced(folder, 3).write_bytes(b"")
    folder.refresh()
    assert (folder.version, folder.mark("a")) == (2, 2)


def test_a_commit_whose_data_file_is_short_never_happened(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    (newest,) = folder.added(2, 3)
    not_yet_synced(folder, 3)
    os.truncate(newest, 10)
    assert table(tmp_path).version == 2


def test_a_whole_commit_that_nobody_synced_is_made_durable_when_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = not_yet_synced(filled(tmp_path), 3)
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))[1])
    assert table(tmp_path).mark("a") == 3
    assert str(newest.parent) in synced
    assert len([path for path in synced if Path(path).parent == newest.parent]) == 1
    synced.clear()
    assert table(tmp_path).mark("a") == 3
    assert synced == []


def test_a_torn_older_entry_is_damage_and_not_an_end(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    not_yet_synced(folder, 2).write_bytes(b'{"add"')
    for _ in range(2):
        with pytest.raises(DamagedFile, match=r"00000002\.json of the table flights is damaged: the log entry is torn"):
            table(tmp_path).version  # noqa: B018
    assert [d.file for d in damages(folder.path)] == ["_delta_log/00000000000000000002.json"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_flipped_bit_in_a_durable_entry_is_damage_even_in_the_newest(tmp_path: Path, version: int) -> None:
    """Were it set aside as torn, rows that no spool holds any more would be gone without a word."""
    flip(entry(filled(tmp_path), version), 40)
    with pytest.raises(DamagedFile, match="its content has the SHA-256"):
        table(tmp_path).files()


def test_a_durable_entry_that_is_gone_is_damage(tmp_path: Path) -> None:
    entry(filled(tmp_path), 3).unlink()
    with pytest.raises(DamagedFile, match="the log entry is missing"):
        table(tmp_path).mark("a")


def test_a_flipped_data_file_gives_no_number(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    flip(Path(folder.files()[1]), 60)
    with pytest.raises(DamagedFile, match=r"day=2026-01-01/.* of the table flights is damaged: its content has"):
        table(tmp_path).files()
    with unchecked():
        assert len(table(tmp_path).files()) == 3
    assert len(damages(folder.path)) == 1


def test_the_scrubber_finds_what_nobody_reads_and_forgets_what_was_mended(tmp_path: Path) -> None:
    folder = filled(tmp_path, 22)
    assert verify_table(folder) == []
    data, checkpoint = Path(folder.files()[0]), next(folder.path.glob("_delta_log/*.checkpoint.parquet"))
    whole = data.read_bytes(), checkpoint.read_bytes()
    status = data.stat()
    flip(data, 60)
    # A disk that forgets does not touch the time of a file, so reading alone does not notice.
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(folder.files()) == 22
    flip(checkpoint, 100)
    assert [d.file for d in verify_table(folder)] == [
        f"day=2026-01-01/{data.name}",
        f"_delta_log/{checkpoint.name}",
    ]
    with pytest.raises(DamagedFile):
        table(tmp_path).version  # noqa: B018
    data.write_bytes(whole[0])
    checkpoint.write_bytes(whole[1])
    assert verify_table(folder) == []
    assert damages(folder.path) == []


def test_a_torn_checkpoint_is_set_aside_for_the_entries_say_the_same(tmp_path: Path) -> None:
    folder = filled(tmp_path, 22)
    checkpoint = folder.path / "_delta_log" / f"{20:020d}.checkpoint.parquet"
    (folder.path / "_checks" / checkpoint.name).unlink()
    os.truncate(checkpoint, 50)
    (folder.path / "_delta_log" / "_last_checkpoint").write_text('{"vers')
    again = table(tmp_path)
    assert (again.version, again.mark("a"), total(again)) == (22, 22, 22)
    assert not checkpoint.exists()


def test_every_single_flip_in_the_log_is_named_or_harmless(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    path = entry(folder, 2)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        flip(path, at)
        with pytest.raises(DamagedFile):
            total(table(tmp_path))
        path.write_bytes(whole)
    assert total(table(tmp_path)) == 3


def test_readers_count_right_while_files_are_merged_and_rows_arrive(tmp_path: Path) -> None:
    folder, done, wrong = filled(tmp_path, 10), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            reader = table(tmp_path)
            expected = reader.mark("a")
            if total(reader) != expected:
                wrong.append((expected, total(reader)))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    writer = threading.Thread(target=lambda: [_append(tmp_path, mark) for mark in range(11, 40)])
    writer.start()
    while writer.is_alive():
        folder.refresh()
        folder.compact()
    writer.join()
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    folder.refresh()
    folder.compact()
    assert (total(table(tmp_path)), len(table(tmp_path).files())) == (39, 1)


def _append(path: Path, mark: int) -> None:
    from pilothouse.data.errors import CommitConflict

    while True:
        try:
            table(path).append(rows(1), {"a": mark})
            return
        except CommitConflict:
            continue


def test_only_what_is_out_of_use_and_old_is_deleted(tmp_path: Path) -> None:
    folder = filled(tmp_path, 5)
    replaced = [Path(path) for path in folder.files()]
    orphan = replaced[0].with_name("orphan.parquet")
    orphan.write_bytes(b"left by a process that died before its commit")
    unfinished = replaced[0].with_name(".unfinished-1")
    unfinished.write_bytes(b"")
    long_ago = time.time() - 7 * 3600
    for path in (*replaced, orphan):
        os.utime(path, (long_ago, long_ago))
    folder.compact()
    assert (orphan.exists(), unfinished.exists()) == (False, True)
    assert all(path.exists() for path in replaced)
    for path in (folder.path / "_delta_log").iterdir():
        os.utime(path, (long_ago, long_ago))
    folder.append(rows(1), {"a": 6})
    folder.compact([])
    assert not any(path.exists() for path in replaced)
    assert total(table(tmp_path)) == 6
    assert not entry(folder, 3).exists()
    assert verify_table(folder) == []


def test_a_damaged_checksum_neither_refuses_a_whole_entry_nor_hides_that_a_torn_one_was_durable(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    check = folder.path / "_checks" / entry(folder, 3).name
    flip(check, 10)
    assert total(table(tmp_path)) == 3
    flip(check, 10)
    content = entry(folder, 3).read_bytes()
    entry(folder, 3).write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFile, match="the log entry is torn"):
        table(tmp_path).files()
