"""The probability of each class in the log: of a new table, and of one that was made before there was such a column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from tests.integration.log.conftest import NOON, SIGNATURE, Log, micros

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.entries import PredictionEntry
from pilothouse.data.log.frames import entries_of, typed_predictions
from pilothouse.data.log.lookup import rows_told_of
from pilothouse.data.log.schema import CLASS_SCORES, prediction_schema
from pilothouse.data.log.spool import Entry, EntryKind
from pilothouse.data.log.tables import compact_log, prediction_folder
from pilothouse.data.signature import Kind, Signature, Target, Task
from pilothouse.data.workspace import Workspace
from pilothouse.ops.forward.bodies import prediction_batches
from pilothouse.ops.serving.bodies import Bodies

COLOURS = replace(
    SIGNATURE,
    target=Target(name="colour", kind=Kind.CATEGORY, classes=("blue", "green", "red")),
    task=Task.MULTICLASS,
)
SOME = [0.25, 0.5, 0.25]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(Workspace.create(tmp_path / "house"), COLOURS)


def said(ids: list[str], scores: list[list[float] | None] | None) -> Entry:
    rows = msgspec.Raw(msgspec.json.encode([{"wind": 1.5, "carrier": "UA"} for _ in ids]))
    return PredictionEntry(
        version=1, ids=ids, rows=rows, predictions=["green"] * len(ids), logged_at=micros(NOON), class_scores=scores
    ).entry("flights", caller_ids=True)


def framed(ids: list[str], **more: object) -> Entry:
    frame = pl.DataFrame({"prediction_id": ids, "wind": 1.5, "carrier": "UA", "prediction": "green", **more})
    table = typed_predictions(frame, "flights", COLOURS, version=1, clock=lambda: NOON)
    (entry,) = entries_of(table, "flights", EntryKind.PREDICTIONS, caller_ids=True)
    return entry


def without_scores(entry: Entry) -> Entry:
    """An Arrow entry as a writer made it that knew no such column."""
    table = pa.ipc.open_stream(entry.body).read_all().drop_columns(CLASS_SCORES)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return replace(entry, body=sink.getvalue().to_pybytes())


def scores_in(log: Log) -> dict[str, list[float] | None]:
    rows = log.reader().predictions(columns=["prediction_id", CLASS_SCORES])
    return dict(rows.iter_rows())


def table_from_before(log: Log) -> None:
    """A sealed row in a table without the column, and rows in the spool, in JSON and in Arrow, that know none either."""
    old = pa.schema([f for f in prediction_schema(COLOURS) if f.name != CLASS_SCORES])
    row = {
        "prediction_id": "sealed", "at": NOON, "logged_at": NOON, "version": 1, "role": "champion", "x_wind": 1.5,
        "x_carrier": "UA", "prediction": "green", "status": "ok", "spool": "s", "day": NOON.date(),
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=old)
    DeltaFolder(log.workspace.predictions("flights"), old, ("day",)).append(table, {"s": 1})
    log.write(said(["json"], None), without_scores(framed(["arrow"])))


def test_only_models_of_several_classes_have_the_column() -> None:
    assert CLASS_SCORES not in prediction_schema(SIGNATURE).names
    regression = Signature(features=(), target=Target(name="delay", kind=Kind.NUMBER), task=Task.REGRESSION)
    assert CLASS_SCORES not in prediction_schema(regression).names
    assert prediction_schema(COLOURS).field(CLASS_SCORES).type == pa.list_(pa.float64())


def test_every_digit_comes_back_sealed_or_not(log: Log) -> None:
    exactly = [0.1, 1 / 3, 1 - 0.1 - 1 / 3]
    log.write(said(["a", "b"], [exactly, None]), framed(["c"], scores=[exactly]), framed(["d"]))
    wanted = {"a": exactly, "b": None, "c": exactly, "d": None}
    assert scores_in(log) == wanted
    report = log.seal()
    assert (report.predictions, report.set_aside) == (4, 0)
    assert scores_in(log) == wanted


def test_a_table_made_before_goes_on(log: Log) -> None:
    table_from_before(log)
    assert scores_in(log) == {"sealed": None, "json": None, "arrow": None}
    assert log.seal().predictions == 2
    assert scores_in(log) == {"sealed": None, "json": None, "arrow": None}
    log.write(said(["new"], [SOME]), framed(["framed"], scores=[SOME]), log.label("green", id="new"))  # type: ignore[arg-type]
    assert log.seal().predictions == 2
    wanted = {"sealed": None, "json": None, "arrow": None, "new": SOME, "framed": SOME}
    assert scores_in(log) == wanted
    told = log.reader().labelled(columns=[CLASS_SCORES]).drop_nulls("label")
    assert told.select(CLASS_SCORES, "label").rows() == [(SOME, "green")]
    folder = prediction_folder(log.workspace, "flights", COLOURS)
    found = rows_told_of(folder, folder.files(), ("prediction_id", CLASS_SCORES), ["new", "sealed"], [])
    assert dict(found.iter_rows()) == {"new": SOME, "sealed": None}
    compact_log(log.workspace, "flights", COLOURS, crowded=1)
    assert scores_in(log) == wanted


def test_a_site_tells_its_central_house_the_same_scores(log: Log) -> None:
    log.write(said(["a", "b"], [SOME, None]))
    rows = log.reader().predictions().to_arrow()
    (batch,) = prediction_batches(rows, COLOURS, 100)
    told = Bodies(COLOURS, 100).elsewhere(batch.body)
    assert told is not None
    assert (told.class_scores, told.scores) == ([SOME, None], None)


def test_a_row_sent_again_stays_the_one_it_was(log: Log) -> None:
    log.write(said(["a"], [SOME]))
    log.seal()
    log.write(said(["a"], [[0.0, 0.0, 1.0]]))
    report = log.seal()
    assert (report.predictions, report.duplicates) == (0, 1)
    assert scores_in(log) == {"a": SOME}


def test_scores_of_other_classes_are_set_aside_and_named(log: Log) -> None:
    log.write(said(["a"], [[0.5, 0.5]]), said(["b"], [SOME]))
    report = log.seal()
    assert (report.predictions, report.set_aside) == (1, 1)
    assert scores_in(log) == {"b": SOME}


def test_a_thousand_classes_make_small_entries() -> None:
    many = replace(COLOURS, target=Target(name="word", kind=Kind.INTEGER, classes=tuple(range(1000))))
    rows = 20_000
    share = pl.Series([[0.001] * 1000]).new_from_index(0, rows)
    frame = pl.DataFrame({"wind": 1.5, "carrier": "UA", "prediction": 1, "scores": share})
    table = typed_predictions(frame, "words", many, version=1)
    sizes = [(e.rows, len(e.body)) for e in entries_of(table, "words", EntryKind.PREDICTIONS, caller_ids=False)]
    assert sum(count for count, _ in sizes) == rows
    assert max(size for _, size in sizes) < 20 * 1024 * 1024
