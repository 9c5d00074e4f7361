"""Drill-down: rows by condition, id and key, newest first, sealed or not, a page at a time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from pilothouse.data.errors import BadFilter
from pilothouse.data.log.filters import parse_filter
from pilothouse.data.log.find import Place
from pilothouse.data.log.schema import Role
from pilothouse.data.sql.duck import connect
from pilothouse.data.windows import Window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def filled(log):
    """Ten days with a row each at noon, d0 the oldest; the last two are not sealed. Wind is the day's number."""
    entries = [
        log.predictions([f"d{n}"], at=log.noon + n * DAY, wind=float(n), keys=[{"flight": n, "carrier": "UA"}])
        for n in range(10)
    ]
    log.write(*entries[:8])
    log.seal()
    log.write(*entries[8:])
    return log


def ids(log, *, limit: int = 100, days: tuple[int, int] = (-1, 20), **asked) -> list[str]:
    window = Window(log.noon + days[0] * DAY, log.noon + days[1] * DAY)
    return log.reader().find(window, limit=limit, **asked)["prediction_id"].to_list()


def where(log, *texts: str):
    return [parse_filter(text, log.signature) for text in texts]


def test_the_newest_come_first_and_windows_are_half_open(filled) -> None:
    assert ids(filled) == [f"d{n}" for n in range(9, -1, -1)]
    assert ids(filled, days=(2, 5)) == ["d4", "d3", "d2"]
    assert ids(filled, limit=3) == ["d9", "d8", "d7"]


def test_pages_follow_each_other_without_gap_or_repeat(filled) -> None:
    seen, before = [], None
    window = Window(filled.noon - DAY, filled.noon + 20 * DAY)
    while (page := filled.reader().find(window, limit=3, before=before)).height:
        seen += page["prediction_id"].to_list()
        before = Place.parse(str(Place(**page.select("at", "version", "role", "prediction_id").row(-1, named=True))))
    assert seen == [f"d{n}" for n in range(9, -1, -1)]
    with pytest.raises(BadFilter, match="is no place in the log"):
        Place.parse("yesterday")


def test_conditions_hold_for_sealed_and_unsealed_rows(filled) -> None:
    assert ids(filled, filters=where(filled, "wind>=7")) == ["d9", "d8", "d7"]
    assert ids(filled, filters=where(filled, "wind>2", "wind<5", "carrier=UA")) == ["d4", "d3"]
    assert ids(filled, filters=where(filled, "carrier=ZZ")) == []
    assert ids(filled, filters=where(filled, "role=shadow")) == []


def test_one_row_by_id_or_by_key(filled) -> None:
    assert ids(filled, id="d0") == ["d0"]
    assert ids(filled, id="d9") == ["d9"]
    assert ids(filled, id="nobody") == []
    assert ids(filled, key={"flight": 3}) == ["d3"]
    assert ids(filled, key={"flight": 3.0, "carrier": "UA"}) == ["d3"]
    assert ids(filled, key={"carrier": "UA"}, limit=2) == ["d9", "d8"]
    assert ids(filled, key={"flight": "3"}) == []


def test_labels_stand_beside_the_rows_shown_and_can_be_asked_for(filled) -> None:
    filled.write(
        filled.label(1, id="d2", observed_at=filled.noon + 2 * DAY + HOUR),
        filled.label(0, id="d3", observed_at=filled.noon + 3 * DAY + HOUR),
        filled.label(1, key={"flight": 9}, observed_at=filled.noon + 9 * DAY + HOUR),
    )
    filled.seal()
    filled.write(filled.label(1, id="d3", observed_at=filled.noon + 3 * DAY + 2 * HOUR))
    window = Window(filled.noon - DAY, filled.noon + 20 * DAY)
    found = filled.reader().find(window, limit=100)
    assert dict(found.select("prediction_id", "label").rows()) == {
        f"d{n}": 1.0 if n in (2, 3, 9) else None for n in range(10)
    }
    assert ids(filled, filters=where(filled, "label=1")) == ["d9", "d3", "d2"]
    assert ids(filled, filters=where(filled, "label=0")) == []
    assert ids(filled, filters=where(filled, "label is missing", "wind<3")) == ["d1", "d0"]


def test_a_shadow_is_found_only_when_asked_for(filled) -> None:
    filled.write(filled.predictions(["d1"], at=filled.noon + DAY, version=2, role=Role.SHADOW))
    filled.seal()
    assert ids(filled, id="d1") == ["d1"]
    assert ids(filled, id="d1", roles=(Role.CHAMPION, Role.SHADOW)) == ["d1", "d1"]


def test_label_facts_say_what_is_odd(filled) -> None:
    noon = filled.noon
    told = noon + 15 * DAY
    filled.write(
        filled.label(1, id="d0", observed_at=noon + HOUR, recorded_at=told),
        filled.label(1, id="d1", observed_at=noon + DAY, recorded_at=told),
        filled.label(0, id="d1", observed_at=noon + DAY, recorded_at=told),
        filled.label(1, id="d2", observed_at=noon + 2 * DAY, recorded_at=told - 5 * DAY),
        filled.label(0, id="d2", observed_at=noon + 3 * DAY, recorded_at=told),
        filled.label(1, id="d3", observed_at=noon + 6 * DAY, recorded_at=told),
        filled.label(1, id="ghost", observed_at=told, recorded_at=told),
        filled.label(1, key={"flight": 9}, observed_at=noon + 10 * DAY, recorded_at=told),
        filled.label(1, key={"flight": 77}, observed_at=noon + 10 * DAY, recorded_at=told),
    )
    found = filled.reader().label_facts(Window(told - HOUR, told + HOUR))
    assert found == {"told": 8, "unknown": 2, "late": 1, "conflicting": 1, "corrected": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '{out}'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_parquet('{other}/*.parquet')",
        "ATTACH '{out}' AS elsewhere",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
    ],
)
def test_the_database_of_questions_is_shut_in(tmp_path: Path, statement: str) -> None:
    inside, other = tmp_path / "inside", tmp_path / "other"
    inside.mkdir()
    other.mkdir()
    with connect([inside]) as duck, pytest.raises(duckdb.Error):
        duck.sql(statement.format(out=other / "out", other=other)).fetchall()
    assert list(other.iterdir()) == []
