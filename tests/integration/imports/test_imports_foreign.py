"""Somebody else's log, with everything that such files have: it is on the dashboard, and no row is lost in silence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.support.foreign_log import ForeignLog, foreign_log, nasty_log

from pilothouse.app.house import House
from pilothouse.data.errors import AmbiguousColumns, BadMapping, MissingColumn
from pilothouse.data.signature import Kind, Task
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace

ALL = Window(parse_time("2025-12-01T00:00:00Z"), parse_time("2026-12-01T00:00:00Z"))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.open(Workspace.create(tmp_path / "house").root)


@pytest.fixture
def nasty() -> ForeignLog:
    return nasty_log()


def test_the_dry_run_says_everything_and_writes_nothing(house: House, nasty: ForeignLog, tmp_path: Path) -> None:
    predictions, labels = nasty.write(tmp_path)
    found = house.preview_import("delays", predictions, labels=labels)
    assert {c.source: c.part.value for c in found.mapping.columns} == {
        "Vorgangs-ID": "id",
        "Buchungs-Nr": "key",
        "Zeitpunkt": "at",
        "Wind (m/s)": "feature",
        "Größe": "feature",
        "Zahlungsart": "feature",
        "Stammkunde": "feature",
        "Modell-Version": "version",
        "Score (Modell)": "score",
        "Vorhersage": "prediction",
    }
    assert found.task == Task.BINARY
    assert found.classes == ("pünktlich", "spät")
    assert dict(found.bad.select("bad_line", "bad_reasons").rows()).keys() == nasty.bad.keys()
    assert found.set_aside == len(nasty.bad)
    assert any("read as UTC" in note for note in found.notes)
    assert house.models() == []
    assert not (tmp_path / "export 2026.bad-rows.csv").exists()


def test_every_row_is_imported_or_set_aside_with_its_reason(house: House, nasty: ForeignLog, tmp_path: Path) -> None:
    predictions, labels = nasty.write(tmp_path)
    report = house.import_log("delays", predictions, labels=labels)
    assert (report.rows.read, report.rows.imported, report.rows.set_aside) == (902, nasty.good, len(nasty.bad))
    assert (report.labels.told, report.labels.waiting) == (nasty.told, nasty.unknown)
    assert report.sentence == (
        f"Read 902 rows of export 2026.csv: {nasty.good} imported into delays, 0 already there, {len(nasty.bad)} set aside "
        f"in {tmp_path / 'export 2026.bad-rows.csv'}. Labels: {nasty.told} told; {nasty.told - nasty.unknown} matched, "
        f"{nasty.unknown} waiting."
    )
    aside = pl.read_csv(report.bad_rows, infer_schema=False)
    for line, reasons in aside.select("bad_line", "bad_reasons").rows():
        assert nasty.bad[int(line)] in reasons
    delays = house["delays"]
    assert [f.kind for f in delays.signature.features] == [Kind.NUMBER, Kind.NUMBER, Kind.CATEGORY, Kind.BOOLEAN]
    rows = delays.prediction_log.predictions(ALL)
    assert rows["prediction_id"].n_unique() == rows.height == nasty.good
    assert rows["version"].value_counts().sort("version").rows()[0][0] == 1
    assert rows["keys"][0] == '{"Buchungs-Nr":10000}'


def test_roll_ups_stand_at_once_and_say_what_was_planted(house: House, tmp_path: Path) -> None:
    planted = foreign_log()
    predictions, labels = planted.write(tmp_path)
    report = house.import_log("delays", predictions, labels=labels, time_zone="Europe/Berlin")
    delays = house["delays"]
    assert not delays.history.watermark().behind
    drift = delays.history.drift(ALL)
    assert drift.rows == planted.good
    said = delays.history.performance(ALL)
    assert (said.rows, said.labelled) == (planted.good, planted.told)
    assert said.metrics["roc_auc"].value == pytest.approx(0.86, abs=0.05)
    assert report.first == parse_time("2026-01-04T23:00:00Z")
    wind = delays.prediction_log.predictions(ALL)["x_Wind (m/s)"]
    assert wind.mean() == pytest.approx(planted.mean_wind)


def test_the_same_file_comes_in_once_whatever_it_is_called(house: House, tmp_path: Path) -> None:
    predictions, labels = foreign_log(200).write(tmp_path)
    house.import_log("delays", predictions, labels=labels)
    again = house.import_log("delays", predictions.rename(tmp_path / "copy.csv"), labels=labels)
    assert again.done_before
    other = house.import_log("delays", tmp_path / "copy.csv")
    assert (other.rows.imported, other.rows.already_there) == (0, 200)
    assert house["delays"].prediction_log.count() == 200


def test_mended_bad_rows_can_be_imported_as_they_are(house: House, nasty: ForeignLog, tmp_path: Path) -> None:
    predictions, labels = nasty.write(tmp_path)
    first = house.import_log("delays", predictions, labels=labels)
    aside = pl.read_csv(first.bad_rows, infer_schema=False).filter(pl.col("bad_reasons").str.contains("not a number"))
    mended = tmp_path / "mended.csv"
    aside.with_columns(pl.lit("4,2").alias("Wind (m/s)")).write_csv(mended)
    second = house.import_log("delays", mended, decimal=",")
    assert (second.rows.imported, second.rows.set_aside) == (1, 0)


def test_labels_set_aside_are_written_too(house: House, tmp_path: Path) -> None:
    planted = foreign_log(300)
    predictions, labels = planted.write(tmp_path)
    lines = labels.read_text().splitlines()
    for place, wrong in ((3, "10002;vielleicht;07.01.2026 10:00"), (5, ";spät;07.01.2026 10:00")):
        lines[place - 1] = wrong
    labels.write_text("\n".join([*lines, "zu;kurz"]) + "\n")
    assert house.preview_import("delays", predictions, labels=labels).labels_set_aside == 3
    report = house.import_log("delays", predictions, labels=labels)
    told = planted.told - 2
    assert f"Labels: {told} told, 3 set aside in {tmp_path / 'ergebnisse.bad-rows.csv'}" in report.sentence
    aside = pl.read_csv(report.labels.bad_rows, infer_schema=False)
    assert dict(aside.select("bad_line", "bad_reasons").rows()) == {
        "3": "Ergebnis: 'vielleicht' is not a class (they are: pünktlich, spät)",
        "5": "it names neither an id nor a whole key",
        str(len(lines) + 1): "the line has too few or too many fields",
    }
    mended = tmp_path / "mended.csv"
    aside.head(1).with_columns(pl.lit("spät").alias("Ergebnis")).write_csv(mended)
    again = house.import_log("delays", predictions, labels=mended)
    assert (again.rows.imported, again.labels.told, again.labels.matched) == (0, 1, 1)


def test_a_model_without_any_label(house: House, tmp_path: Path) -> None:
    planted = foreign_log(1500)
    predictions, _ = planted.write(tmp_path)
    report = house.import_log("delays", predictions, classes=("pünktlich", "spät"))
    assert "the earliest 500 rows of export 2026.csv of which none has a label yet" in report.registered
    delays = house["delays"]
    assert delays.signature.target.classes == ("pünktlich", "spät")
    drift = delays.history.drift(ALL)
    assert [feature.psi is None for feature in drift.features] == [False] * 4
    said = delays.history.performance(ALL)
    assert (said.rows, said.labelled) == (1500, 0)
    assert said.metrics["roc_auc"].reason == "no labels yet"
    assert {(v.version, v.artifact_sha256) for v in delays.versions} == {(1, None), (2, None)}
    assert delays.champion.version == 2


def test_the_champion_is_the_version_that_answered_last(house: House, tmp_path: Path) -> None:
    predictions, _ = foreign_log(1000).write(tmp_path)
    lines = predictions.read_text("cp1252").splitlines()
    newer, older = tmp_path / "newer.csv", tmp_path / "older.csv"
    for file, part in ((newer, lines[501:]), (older, lines[1:501])):
        file.write_text("\n".join([lines[0], *part]) + "\n", encoding="cp1252")
    house.import_log("delays", newer)
    assert [v.version for v in house["delays"].versions] == [2]
    house.import_log("delays", older)
    assert house["delays"].champion.version == 2
    assert sorted(v.version for v in house["delays"].versions) == [1, 2]


def test_the_reference_of_a_large_file_is_spread_over_weeks(house: House) -> None:
    start, rows = parse_time("2026-01-01T00:00:00Z"), 90_000
    frame = pl.DataFrame(
        {
            "ts": pl.Series([start + timedelta(minutes=i) for i in range(rows)]),
            "x": [float(i) for i in range(rows)],
            "score": [i % 10 / 10 for i in range(rows)],
            "label": [int(i % 10 > 4) if i % 2 else None for i in range(rows)],
        }
    )
    report = house.import_log("m", frame.sample(fraction=1, shuffle=True, seed=3))
    assert "15,000 rows" in report.registered or "of the earliest" in report.registered
    profile = house["m"].profile
    assert profile.features["x"].high == pytest.approx(30_000, abs=5)
    assert profile.features["x"].low == pytest.approx(0, abs=5)
    assert profile.window.end - profile.window.start == pytest.approx(
        timedelta(minutes=30_000), abs=timedelta(minutes=9)
    )


def test_what_cannot_be_decided_is_asked(house: House, tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    rows = [f"2026-01-{1 + i % 28:02d},2026-02-{1 + i % 28:02d},{i},{i / 100:.2f}" for i in range(90)]
    file.write_text("created,shipped,weight,score\n" + "\n".join(rows))
    with pytest.raises(AmbiguousColumns, match=r"at could be 'created' or 'shipped': say which with --map at=created"):
        house.preview_import("parcels", file)
    found = house.preview_import("parcels", file, mapping={"at": "created"})
    assert {c.source: c.part.value for c in found.mapping.columns}["shipped"] == "ignored"
    with pytest.raises(MissingColumn, match="Did you mean 'created'"):
        house.preview_import("parcels", file, mapping={"at": "createt"})
    with pytest.raises(BadMapping, match="Did you mean 'score'"):
        house.preview_import("parcels", file, mapping={"scor": "weight"})


def test_days_and_months_that_cannot_be_told_apart_are_asked_for(house: House, tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    file.write_text(
        "time,weight,score,label\n" + "\n".join(f"0{1 + i % 9}/02/2026,{i},0.{i},{i % 2}" for i in range(60))
    )
    with pytest.raises(Exception, match=r"%d/%m/%Y or %m/%d/%Y"):
        house.preview_import("parcels", file)
    assert house.preview_import("parcels", file, time_format="%d/%m/%Y").set_aside == 0


def test_a_frame_and_a_notebook(house: House) -> None:
    frame = pl.DataFrame(
        {
            "ts": [parse_time("2026-03-01T00:00:00Z")] * 300,
            "x": [float(i % 17) for i in range(300)],
            "prediction": [float(i % 5) for i in range(300)],
            "actual": [float(i % 5) + 0.5 for i in range(300)],
        }
    )
    report = house.import_log("demand", frame, task=Task.REGRESSION)
    assert repr(report).startswith("Read 300 rows of the frame: 300 imported into demand")
    demand = house["demand"]
    assert demand.task is Task.REGRESSION
    more = frame.rename({"prediction": "forecast"}).head(3).with_columns(id=pl.Series(["a", "b", "c"]), at=pl.col("ts"))
    assert demand.log(more, mapping={"prediction": "forecast"}) == 3
    with pytest.raises(MissingColumn, match="Did you mean 'forecast'"):
        demand.log(more, mapping={"prediction": "forcast"})


def test_a_column_that_has_the_very_name_is_not_asked_about(house: House, tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    rows = [f"2026-01-{1 + i % 28:02d},2026-02-{1 + i % 28:02d},{i},{i / 100:.2f}" for i in range(90)]
    file.write_text("at,logged_at,weight,score\n" + "\n".join(rows))
    found = house.preview_import("parcels", file)
    parts = {c.source: c.part.value for c in found.mapping.columns}
    assert (parts["at"], parts["logged_at"]) == ("at", "ignored")
