"""The same rows from every kind of source give the same log."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pytest
from tests.support.postgres import PASSWORD, Postgres

from pilothouse.app.house import House
from pilothouse.data.errors import UnreadableSource
from pilothouse.data.windows import parse_time
from pilothouse.data.workspace import Workspace

ROWS = 300
FRAME = pl.DataFrame(
    {
        "request_id": [f"r{i}" for i in range(ROWS)],
        "event_time": [parse_time(f"2026-03-{1 + i % 28:02d}T{i % 24:02d}:00:00Z") for i in range(ROWS)],
        "weight": [float(i % 13) for i in range(ROWS)],
        "colour": [("red", "blue", None)[i % 3] for i in range(ROWS)],
        "score": [(i % 10) / 10 for i in range(ROWS)],
        "label": [int(i % 10 > 4) for i in range(ROWS)],
    }
)
PLAIN = FRAME.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def parquet_folder(folder: Path) -> Path:
    inner = folder / "parts" / "2026"
    inner.mkdir(parents=True)
    FRAME.head(100).write_parquet(inner / "a.parquet")
    FRAME.tail(200).write_parquet(inner / "b.parquet")
    return folder / "parts"


def written(method: str, name: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        getattr(FRAME, method)(folder / name, **options)
        return folder / name

    return write


def utf16(folder: Path) -> Path:
    file = folder / "log.txt"
    file.write_text(PLAIN.write_csv(separator="\t"), encoding="utf-16")
    return file


SOURCES: dict[str, Callable[[Path], Path]] = {
    "parquet": written("write_parquet", "log.parquet"),
    "parquet folder": parquet_folder,
    "arrow": written("write_ipc", "log.arrow"),
    "arrow stream": written("write_ipc_stream", "log.feather"),
    "delta": written("write_delta", "log", delta_write_options={"partition_by": ["label"]}),
    "csv": written("write_csv", "log.csv"),
    "csv in utf-16 with tabs": utf16,
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.open(Workspace.create(tmp_path / "house").root)


def check(house: House) -> None:
    log = house["parcels"].prediction_log.labelled()
    assert log.height == ROWS
    assert sorted(log["prediction_id"]) == sorted(FRAME["request_id"])
    assert log["x_weight"].sum() == FRAME["weight"].sum()
    assert log["x_colour"].null_count() == FRAME["colour"].null_count()
    assert log["label"].sum() == FRAME["label"].sum()
    assert log["at"].max() == FRAME["event_time"].max()


@pytest.mark.parametrize("kind", SOURCES)
def test_a_file_or_table(house: House, tmp_path: Path, kind: str) -> None:
    report = house.import_log("parcels", SOURCES[kind](tmp_path))
    assert (report.rows.imported, report.rows.set_aside, report.labels.matched) == (ROWS, 0, ROWS)
    check(house)


def sqlite_url(folder: Path) -> str:
    with sqlite3.connect(folder / "log.sqlite") as database:
        database.execute(
            "CREATE TABLE log (request_id TEXT, event_time TEXT, weight REAL, colour TEXT, score REAL, label INT)"
        )
        database.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", PLAIN.rows())
    database.close()
    return f"sqlite:///{folder / 'log.sqlite'}"


def duckdb_url(folder: Path) -> str:
    with duckdb.connect(str(folder / "log.duckdb")) as database:
        database.register("frame", FRAME.to_arrow())
        database.execute("CREATE TABLE log AS SELECT * FROM frame")
    return f"duckdb:///{folder / 'log.duckdb'}"


def test_the_result_of_a_query_on_postgresql(house: House, postgres: Postgres) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as database, database.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE log (request_id text, event_time timestamptz, weight numeric, colour text, score float8, label int)"
        )
        cursor.execute("CREATE SEQUENCE counter")
        with cursor.copy("COPY log FROM STDIN") as copy:
            for row in PLAIN.rows():
                copy.write_row(row)
    report = house.import_log("parcels", url, query="SELECT * FROM log")
    assert (report.rows.imported, report.labels.matched) == (ROWS, ROWS)
    assert "***@127.0.0.1" in report.sentence
    assert PASSWORD not in report.sentence
    check(house)
    with pytest.raises(UnreadableSource, match=r"\*\*\*@127.0.0.1"):
        house.import_log("parcels", url, query="DELETE FROM log RETURNING *")
    with pytest.raises(UnreadableSource, match="read-only transaction"):
        house.import_log("parcels", url, query="SELECT nextval('counter')")


def test_postgresql_without_its_driver(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnreadableSource, match=r"reading it needs psycopg.*pip install 'pilothouse\[postgres\]'"):
        house.import_log("parcels", "postgresql://somebody@127.0.0.1/log", query="SELECT 1")


@pytest.mark.parametrize("url_of", [sqlite_url, duckdb_url])
def test_the_result_of_a_query(house: House, tmp_path: Path, url_of: Callable[[Path], str]) -> None:
    report = house.import_log("parcels", url_of(tmp_path), query="SELECT * FROM log")
    assert report.rows.imported == ROWS
    check(house)
    again = house.import_log("parcels", url_of(_fresh(tmp_path)), query="SELECT * FROM log ORDER BY random()")
    assert (again.rows.imported, again.rows.already_there) == (0, ROWS)
    assert list((house.workspace.root / "imports" / "parcels").glob("*.parquet")) == []


def _fresh(folder: Path) -> Path:
    inner = folder / "again"
    shutil.rmtree(inner, ignore_errors=True)
    inner.mkdir()
    return inner


def test_a_query_cannot_write(house: House, tmp_path: Path) -> None:
    for url in (sqlite_url(tmp_path), duckdb_url(tmp_path)):
        with pytest.raises(UnreadableSource):
            house.import_log("parcels", url, query="DELETE FROM log RETURNING *")
    with pytest.raises(UnreadableSource, match="no such database"):
        house.import_log("parcels", "mysql://root:secret@host/log", query="SELECT 1")


def test_what_cannot_be_read_is_said(house: House, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "log.parquet").write_bytes(b"PAR1 but no more")
    for name, why in {
        "empty.csv": "it is empty",
        "log.parquet": "cannot be read",
        "none.csv": "does not exist",
    }.items():
        with pytest.raises(UnreadableSource, match=why):
            house.preview_import("parcels", tmp_path / name)
