"""What a damaged spool has lost is named with its rows; what it still holds is sealed, and no number is used twice."""

import shutil
from pathlib import Path

import pytest

from pilothouse.data.delta import unchecked
from pilothouse.data.errors import DamagedFile
from pilothouse.data.log.pending import pending
from pilothouse.data.log.witness import read_witness, witness_path


@pytest.fixture
def abandoned(log) -> Path:
    """A spool with three requests, five rows, as a killed process leaves it: all of it in SQLite's log."""
    with log.spool() as spool:
        for ids in (["a", "b"], ["c"], ["d", "e"]):
            spool.append(log.predictions(ids))
        shutil.copytree(spool.path.parent, log.workspace.root / "left")
    shutil.rmtree(spool.path.parent)
    shutil.move(log.workspace.root / "left", spool.path.parent)
    return spool.path


def cut_off_the_last_commit(spool: Path) -> None:
    frames = spool.with_name(f"{spool.name}-wal")
    content = bytearray(frames.read_bytes())
    content[-100] ^= 1
    frames.write_bytes(content)


def test_the_witness_tells_every_commit(log, abandoned: Path) -> None:
    told = read_witness(abandoned)
    assert told is not None
    assert (told.last, told.taken) == (3, [("flights", "predictions", 3, 5)])
    with pending(log.workspace.spool) as (file,):
        assert (file.id, file.missing()) == (told.spool, {})


def test_lost_rows_are_named_and_the_others_sealed(log, abandoned: Path) -> None:
    cut_off_the_last_commit(abandoned)
    with pytest.raises(DamagedFile, match=r"any more: 2 rows of flights \(predictions\)"):
        log.reader().count()
    report = log.seal()
    assert report.predictions == 3
    assert [(damage.table, damage.file) for damage in report.damaged] == [("spool", "service-0.sqlite")]
    assert (log.reader().count(), log.reader().rows_set_aside()) == (3, 2)
    again = log.seal()
    assert (again.damaged, log.reader().rows_set_aside()) == ((), 2)


def test_without_checks_nobody_would_know(log, abandoned: Path) -> None:
    cut_off_the_last_commit(abandoned)
    with unchecked():
        assert log.reader().count() == 3


def test_a_writer_that_comes_first_takes_no_number_again_that_was_sealed(log, abandoned: Path) -> None:
    whole = abandoned.with_name("whole")
    shutil.copytree(abandoned.parent, whole)
    log.seal()
    # The disk gives back the spool as it was before its last commit; the tables have its rows, and their mark.
    for path in abandoned.parent.glob("*.sqlite*"):
        path.unlink()
    for path in whole.glob("*.sqlite*"):
        shutil.move(path, abandoned.with_name(path.name))
    shutil.rmtree(whole)
    cut_off_the_last_commit(abandoned)
    with log.spool() as spool:
        spool.append(log.predictions(["f"]))
    assert log.seal().predictions == 1
    assert log.reader().count() == 6


def test_a_spool_that_is_gone_is_missed_and_its_place_is_left(log, abandoned: Path) -> None:
    abandoned.unlink()
    with pytest.raises(DamagedFile, match=r"service-0\.sqlite .* the file is missing"):
        log.reader().count()
    with log.spool() as spool:
        assert spool.path.name == "service-1.sqlite"


def test_a_spool_under_another_name_is_refused_and_not_written_to(log, abandoned: Path) -> None:
    told = witness_path(abandoned)
    other = log.spool("other")
    other.append(log.predictions(["x"]))
    other.close()
    shutil.copy(witness_path(other.path), told)
    with pytest.raises(DamagedFile, match="it is named"):
        log.reader().count()
    with log.spool() as spool:
        assert spool.path.name == "service-1.sqlite"


@pytest.mark.parametrize("content", [b"", b"{", b'{"spool":"x","last":9,"taken":[]}\n00000000\n'])
def test_a_torn_witness_says_nothing(log, abandoned: Path, content: bytes) -> None:
    witness_path(abandoned).write_bytes(content)
    assert log.reader().count() == 5
    with log.spool() as spool:
        spool.append(log.predictions(["f"]))
    told = read_witness(abandoned)
    assert told is not None
    assert told.taken == [("flights", "predictions", 4, 6)]


def test_what_is_forgotten_is_not_missed(log, abandoned: Path) -> None:
    assert log.seal().predictions == 5
    with log.spool() as spool:
        spool.append(log.predictions(["f"]))
    with pending(log.workspace.spool) as (file,):
        assert file.missing() == {}
