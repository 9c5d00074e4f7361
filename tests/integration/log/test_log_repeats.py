"""Retries are one row, whoever took them and whenever; a correction that is taken back is none."""

from datetime import timedelta

import polars as pl
import pytest

from pilothouse.data.log import seen
from pilothouse.data.log.seen import Seen


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the data files whose identities were read."""
    paths: list[str] = []
    real = pl.read_parquet

    def recorded(path: str, **options: object) -> pl.DataFrame:
        paths.append(path)
        return real(path, **options)

    monkeypatch.setattr(seen.pl, "read_parquet", recorded)
    return paths


def test_a_label_told_again_in_another_batch_is_no_new_row(log) -> None:
    told = log.label(1, id="a"), log.label(0, key={"flight": "UA1"})
    log.write(log.predictions(["a"]), *told)
    assert log.seal().labels == 2
    log.write(*told, kind="another")
    report = log.seal()
    assert (report.labels, report.by_model["flights"].labels.repeats) == (0, 2)


@pytest.mark.parametrize("sealed_between", [True, False])
def test_a_label_put_back_after_a_correction_holds(log, sealed_between: bool) -> None:
    """The third says the same as the first; dropped as its repeat, the correction would hold."""
    log.write(log.predictions(["a"]))
    for minute, label in enumerate((1, 0, 1, 1)):
        log.write(log.label(label, id="a", recorded_at=log.noon + timedelta(minutes=minute)))
        if sealed_between:
            log.seal()
    assert log.reader().labelled()["label"].to_list() == [1]
    log.seal()
    assert log.reader().labelled()["label"].to_list() == [1]
    assert log.reader().labelled(as_known=log.noon + timedelta(minutes=2))["label"].to_list() == [0]


def test_of_labels_recorded_at_once_the_one_that_holds_is_what_the_next_is_compared_with(log) -> None:
    log.write(log.predictions(["a"]), log.label(1, id="a"), log.label(0, id="a"))
    log.write(log.label(0, id="a", recorded_at=log.noon + timedelta(minutes=1)))
    assert log.reader().labelled()["label"].to_list() == [0]
    log.seal()
    assert log.reader().labelled()["label"].to_list() == [0]


def test_each_file_is_read_for_its_ids_once(log, read: list[str]) -> None:
    for name in "abcde":
        log.write(log.predictions([name]))
        log.seal()
    log.write(log.predictions(["a", "e", "f"]))
    assert (report := log.seal()).predictions == 1
    assert report.duplicates == 2
    assert len(read) == len(set(read)) == 5


def test_more_hashes_than_may_be_held_are_read_again_and_found_all_the_same(tmp_path, read: list[str]) -> None:
    files = [str(tmp_path / f"{name}.parquet") for name in "abc"]
    for path, name in zip(files, "abc", strict=True):
        pl.DataFrame({"id": [name] * 10, "x": range(10)}).write_parquet(path)
    small = Seen(["id"], held_bytes=100)
    for name, path in zip("abcab", [*files, *files[:2]], strict=True):
        assert small.files_with(files, pl.DataFrame({"id": [name, "z"]})) == [path]
    assert small.files_with(files, pl.DataFrame({"id": ["z"]})) == []
    assert len(read) > 3
