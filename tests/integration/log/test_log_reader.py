"""What readers see: every acknowledged row once, and the label that holds, now or as known then."""

import threading
from datetime import timedelta

import polars as pl
import pytest

from pilothouse.data.errors import MissingColumn
from pilothouse.data.log.frames import append_frame, append_labels
from pilothouse.data.log.schema import Role, prediction_schema
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.policies import LabelPolicy, Silence
from pilothouse.data.signature import Feature, Kind, Signature
from pilothouse.data.windows import Window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_an_empty_log_has_columns_and_no_rows(log) -> None:
    reader = log.reader()
    assert reader.predictions().columns == prediction_schema(log.signature).names
    assert reader.labelled(columns=["at"]).schema == {
        "at": pl.Datetime("us", "UTC"),
        "label": pl.Float64,
        "observed_at": pl.Datetime("us", "UTC"),
        "recorded_at": pl.Datetime("us", "UTC"),
    }
    assert (reader.count(), reader.bounds(), reader.unsealed_rows()) == (0, None, 0)


def test_sealed_and_unsealed_rows_are_one_log(log) -> None:
    log.write(log.predictions(["a"]), log.predictions(["b"], at=log.noon + DAY))
    log.seal()
    log.write(log.predictions(["c"], at=log.noon + 2 * DAY))
    reader = log.reader()
    assert (reader.count(), reader.unsealed_rows()) == (3, 1)
    assert reader.bounds() == (log.noon, log.noon + 2 * DAY)
    frame = reader.predictions(columns=["prediction_id", "x_wind", "score", "day"])
    assert frame.columns == ["prediction_id", "x_wind", "score", "day"]
    assert frame["prediction_id"].to_list() == ["a", "b", "c"]
    with pytest.raises(MissingColumn, match="the log of flights has no column 'wind'"):
        reader.predictions(columns=["wind"])


@pytest.mark.parametrize("sealed", [True, False])
def test_a_window_is_half_open_and_roles_and_versions_are_chosen(log, sealed: bool) -> None:
    start = log.noon.replace(hour=0)
    log.write(
        log.predictions(["first"], at=start),
        log.predictions(["last"], at=start + DAY - timedelta(microseconds=1), version=2),
        log.predictions(["after"], at=start + DAY),
        log.predictions(["shadow"], at=start, role=Role.SHADOW),
    )
    if sealed:
        log.seal()
    reader, day = log.reader(), Window(start, start + DAY)

    def ids(**chosen: object) -> list[str]:
        return reader.predictions(day, ["prediction_id"], **chosen)["prediction_id"].to_list()

    assert ids() == ["first", "last"]
    assert ids(versions=[2]) == ["last"]
    assert ids(versions=[]) == []
    assert ids(roles=[Role.SHADOW]) == ["shadow"]
    assert reader.labelled(day, ["prediction_id"], versions=[1])["prediction_id"].to_list() == ["first"]


def test_readers_see_each_acknowledged_row_once_while_it_is_sealed(log) -> None:
    acknowledged, stop, failures = [], threading.Event(), []

    def writing() -> None:
        with log.spool() as spool:
            while not stop.is_set():
                entry = log.predictions([f"p{len(acknowledged)}"])
                spool.append(entry)
                acknowledged.append(f"p{len(acknowledged)}")
                stop.wait(0.001)

    def sealing() -> None:
        try:
            while not stop.is_set():
                log.seal()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=writing), threading.Thread(target=sealing)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        expected = set(acknowledged)
        seen = log.ids()
        assert len(seen) == len(set(seen))
        assert expected <= set(seen)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert prediction_folder(log.workspace, "flights", log.signature).version > 3


def test_the_label_observed_last_holds_then_the_one_recorded_last(log) -> None:
    log.write(
        log.predictions(["a", "b", "c"]),
        log.label(1, id="a", observed_at=log.noon + 2 * HOUR, recorded_at=log.noon + 3 * HOUR),
        log.label(0, id="a", observed_at=log.noon + HOUR, recorded_at=log.noon + 9 * HOUR),
        log.label(0, id="b", observed_at=log.noon, recorded_at=log.noon + HOUR),
        log.label(1, id="b", observed_at=log.noon, recorded_at=log.noon + 2 * HOUR),
        log.label(1, id="stranger"),
    )
    log.seal()
    log.write(log.label(0, id="a", observed_at=log.noon + 5 * HOUR, recorded_at=log.noon + 5 * HOUR))
    reader = log.reader()

    def labels(as_known=None) -> list[float | None]:
        return reader.labelled(columns=["prediction_id"], as_known=as_known)["label"].to_list()

    assert labels() == [0, 1, None]
    assert labels(log.noon + 4 * HOUR) == [1, 1, None]
    assert labels(log.noon + 2 * HOUR) == [None, 0, None]
    assert labels(log.noon) == []


def test_a_label_by_key_finds_every_prediction_that_has_all_its_pairs_within_the_horizon(log) -> None:
    odd = {"fl/ight~\"'": 7, "day": "3 March"}
    log.write(
        log.predictions(["hit", "other"], keys=[{**odd, "leg": 1}, {**odd, "day": "4 March"}]),
        log.predictions(["twin"], keys=[odd], at=log.noon + DAY),
        log.predictions(["early"], keys=[odd], at=log.noon - DAY),
        log.predictions(["late"], keys=[odd], at=log.noon + 3 * DAY),
        log.predictions(["keyless"]),
        log.label(1, key=odd, observed_at=log.noon + 2 * DAY),
        log.label(0, key={"leg": 2}, observed_at=log.noon + DAY),
    )
    expected = {"hit": 1, "twin": 1, "other": None, "early": None, "late": None, "keyless": None}
    for _ in range(2):
        frame = log.reader(LabelPolicy(horizon=2 * DAY)).labelled(columns=["prediction_id"])
        assert dict(frame.select("prediction_id", "label").iter_rows()) == expected
        log.seal()


def test_silence_is_the_negative_class_once_the_horizon_is_over(log) -> None:
    log.write(
        log.predictions(["told", "silent"]), log.label(1, id="told"), log.predictions(["young"], at=log.noon + DAY)
    )
    policy = LabelPolicy(horizon=2 * DAY, silence=Silence.NEGATIVE)
    reader = log.reader(policy, now=log.noon + 2 * DAY + HOUR)
    frame = reader.labelled(columns=["prediction_id"]).sort("prediction_id")
    assert frame["label"].to_list() == [0, 1, None]
    assert frame["observed_at"].to_list()[0] == log.noon + 2 * DAY
    early = reader.labelled(columns=["prediction_id"], as_known=log.noon + 2 * DAY)
    assert early["label"].drop_nulls().to_list() == [1]


def test_a_feature_added_later_is_null_in_older_rows(log) -> None:
    log.write(log.predictions(["old"]))
    log.seal()
    features = (*log.signature.features, Feature(name="gate", kind=Kind.CATEGORY))
    wider = type(log)(log.workspace, Signature(features=features, target=log.signature.target, task=log.signature.task))
    assert wider.reader().predictions(columns=["x_gate"])["x_gate"].to_list() == [None]
    frame = pl.DataFrame({"wind": [2], "carrier": ["B6"], "gate": ["C4"], "prediction": [0], "prediction_id": ["new"]})
    with wider.spool() as spool:
        append_frame(spool, "flights", wider.signature, frame, version=1, clock=lambda: log.noon + DAY)
    wider.seal()
    assert wider.reader().predictions(columns=["x_gate", "x_wind"]).rows() == [(None, 1.5), ("C4", 2.0)]


def test_a_quarter_of_a_million_rows_are_spooled_and_sealed_in_seconds(log) -> None:
    count = 250_000
    frame = pl.DataFrame({"wind": pl.int_range(count, eager=True) * 0.5, "prediction": pl.zeros(count, eager=True)})
    frame = frame.with_columns(
        carrier=pl.lit("UA").cast(pl.Categorical), at=pl.lit(log.noon) + pl.duration(seconds=pl.int_range(count) * 60)
    )
    with log.spool("import") as spool:
        assert append_frame(spool, "flights", log.signature, frame, version=1) == count
        assert log.seal().predictions == count
        told = log.reader().predictions(columns=["prediction_id", "at"])
        labels = told.select("prediction_id", label=pl.lit(1), observed_at=pl.col("at") + HOUR)
        assert append_labels(spool, "flights", log.signature, labels) == count
    assert log.seal().labels == count
    labelled = log.reader().labelled(columns=["x_wind", "prediction_id", "at"])
    assert labelled["x_wind"].sum() == frame["wind"].sum()
    assert (labelled["observed_at"] - labelled["at"]).unique().to_list() == [HOUR]
