"""What an entry of the log is, and what becomes of one that cannot be read."""

import msgspec
import polars as pl
import pyarrow as pa
import pytest

from pilothouse.data.errors import BadData, MissingColumn, NaiveTime
from pilothouse.data.log.decode import CALLER_IDS, LabelDecoder, PredictionDecoder, decode
from pilothouse.data.log.entries import LabelEntry, PredictionEntry, canonical_key
from pilothouse.data.log.frames import append_frame
from pilothouse.data.log.ids import new_ids
from pilothouse.data.log.pending import Stored
from pilothouse.data.log.schema import label_schema, prediction_schema
from pilothouse.data.log.spool import Entry, Format
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.windows import parse_time

NOON = parse_time("2026-03-03T12:00:00Z")
NOON_US = int(NOON.timestamp() * 1_000_000)
DAY_US = 86_400_000_000
SIGNATURE = Signature(
    features=(
        Feature(name="wind speed", kind=Kind.NUMBER),
        Feature(name="carrier", kind=Kind.CATEGORY),
        Feature(name="night", kind=Kind.BOOLEAN),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


def prediction_entry(rows: list[dict[str, object]], **changes: object) -> PredictionEntry:
    count = len(rows)
    given = {"ids": [f"p{i}" for i in range(count)], "predictions": [1] * count} | changes
    return PredictionEntry(version=1, rows=msgspec.Raw(msgspec.json.encode(rows)), logged_at=NOON_US, **given)


def stored(entry: Entry, seq: int = 1) -> Stored:
    return Stored(seq=seq, format=entry.format, caller_ids=entry.caller_ids, rows=entry.rows, body=entry.body)


def read(*entries: PredictionEntry) -> pa.Table:
    kept = [stored(e.entry("flights", caller_ids=False), seq) for seq, e in enumerate(entries, start=1)]
    return decode(PredictionDecoder(SIGNATURE), kept, "spool")


def test_rows_come_back_typed_in_the_tables_own_columns() -> None:
    entry = prediction_entry(
        [{"wind speed": 3, "carrier": "UA", "night": True}, {"wind speed": 2.5}],
        at=[NOON_US - DAY_US, NOON_US],
        scores=[0.25, None],
        keys=[{"flight": 7.0, "carrier": "UA"}, None],
        latency_us=900,
    )
    decoded = read(entry)
    assert decoded.unreadable == ()
    assert decoded.table.drop_columns(CALLER_IDS).schema.equals(prediction_schema(SIGNATURE))
    rows = decoded.table.to_pylist()
    assert [r["x_wind speed"] for r in rows] == [3.0, 2.5]
    assert [(r["x_carrier"], r["x_night"]) for r in rows] == [("UA", True), (None, None)]
    assert [r["day"].isoformat() for r in rows] == ["2026-03-02", "2026-03-03"]
    assert [r["keys"] for r in rows] == ['{"carrier":"UA","flight":7}', None]
    assert rows[0]["prediction"] == 1.0
    assert rows[0]["logged_at"] == NOON


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (prediction_entry([{"wind speed": "fast"}]), "Expected `float | null`, got `str`"),
        (prediction_entry([{}], predictions=["late"]), "Expected `float | null`, got `str`"),
        (prediction_entry([{}], ids=["a", "b"]), "2 ids for 1 rows"),
        (prediction_entry([{}], at=[2**60]), "Expected `int` <="),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_blocks_nothing(broken: PredictionEntry, reason: str) -> None:
    good = prediction_entry([{"wind speed": 1}])
    decoded = read(good, broken, good)
    assert decoded.table.num_rows == 2
    ((seq, why),) = decoded.unreadable
    assert seq == 2
    assert reason in why


def test_bytes_that_are_no_entry_are_set_aside_in_both_formats() -> None:
    torn = [
        Stored(seq=seq, format=format_, caller_ids=False, rows=1, body=b'{"version": 1, ')
        for seq, format_ in enumerate(Format, start=4)
    ]
    decoded = decode(PredictionDecoder(SIGNATURE), torn, "spool")
    assert decoded.table.num_rows == 0
    assert [seq for seq, _ in decoded.unreadable] == [4, 5]


def test_a_label_has_an_id_or_a_key() -> None:
    told = LabelEntry(
        labels=[1, 0], observed_at=[NOON_US] * 2, recorded_at=NOON_US, ids=["p0", None], keys=[None, {"flight": 7}]
    )
    neither = LabelEntry(labels=[1], observed_at=[NOON_US], recorded_at=NOON_US, ids=[None])
    decoded = decode(LabelDecoder(SIGNATURE), [stored(told.entry("flights")), stored(neither.entry("flights"), 2)], "s")
    assert decoded.table.drop_columns(CALLER_IDS).schema.equals(label_schema(SIGNATURE))
    assert decoded.table["key"].to_pylist() == [None, '{"flight":7}']
    assert decoded.table["label"].to_pylist() == [1.0, 0.0]
    assert decoded.unreadable == ((2, "a label has neither an id nor a key, or both"),)


def test_a_key_has_one_spelling() -> None:
    assert canonical_key({"b": 1.0, "a": "x"}) == canonical_key({"a": "x", "b": 1}) == '{"a":"x","b":1}'


def test_ids_are_version_7_and_begin_with_the_time() -> None:
    ids = new_ids(10_000, NOON)
    assert ids == sorted(set(ids))
    assert {(i[14], i[19] in "89ab", len(i)) for i in ids} == {("7", True, 36)}
    assert int(ids[0].replace("-", "")[:12], 16) == NOON_US // 1000


class Refusing:
    """Stands for a spool that must not be reached."""

    def submit(self, entry: Entry) -> None:
        raise AssertionError("a bad frame reached the spool")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"wind speed": ["3"]}, BadData, "'x_wind speed' is of type String; the log wants double"),
        ({"night": [1]}, BadData, "'x_night' is of type Int64; the log wants bool"),
        ({"at": [NOON.replace(tzinfo=None)]}, NaiveTime, "'at' has no time zone"),
        ({"prediction_id": [None]}, BadData, "'prediction_id' holds 1 nulls"),
        ({"prediction": None}, MissingColumn, "has no column 'prediction'"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_whole(change: dict[str, object], error: type, words: str) -> None:
    columns = {"wind speed": [1.0], "carrier": ["UA"], "night": [True], "prediction": [1]} | change
    frame = pl.DataFrame({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(error, match=words):
        append_frame(Refusing(), "flights", SIGNATURE, frame, version=1)
