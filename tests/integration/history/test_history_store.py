"""The roll-up table: merged without a change that anybody would read again, and made anew from another form."""

from __future__ import annotations

import pyarrow as pa
from tests.integration.history.conftest import Book, Prediction, at

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.rollups.schema import ROLLUP_SCHEMA
from pilothouse.data.rollups.store import compact_rollups, rollup_folder
from pilothouse.data.windows import Window

DAY = Window(at("04-01 00:00"), at("04-02 00:00"))


def test_merging_roll_ups_is_no_news(book: Book) -> None:
    for number in range(3):
        book.log([Prediction(f"r{number}", at("04-01 10:00"), 0.3)])
        book.fold()
    folder = rollup_folder(book.workspace, "flights")
    before, files = folder.version, len(folder.files())
    assert before is not None
    assert compact_rollups(folder, crowded=1) == ["2026-04", "2026-04-01"]
    folder.refresh()
    assert folder.version is not None
    assert len(folder.files()) == 2 < files
    assert folder.added(before, folder.version) == []
    assert book.history().performance(DAY).rows == 3


def test_roll_ups_of_an_earlier_form_are_counted_anew_from_the_log(book: Book) -> None:
    book.log([Prediction("a", at("04-01 10:00"), 0.3), Prediction("b", at("04-01 11:00"), 0.8)])
    plain = {"bin": pa.int32(), "n": pa.int64(), "s": pa.float64(), "s2": pa.float64()}
    schema = pa.schema([f.with_type(plain.get(f.name, f.type)) for f in ROLLUP_SCHEMA])
    old = DeltaFolder(book.workspace.rollups("flights"), schema, ("period",))
    row = {
        "tier": "day", "bucket": at("04-01 00:00"), "version": 1, "role": "champion", "part": "volume",
        "feature": "ok", "label": None, "recorded": at("04-01 00:00").date(), "bin": 0, "n": 77, "s": 0.0, "s2": 0.0,
        "period": "2026-04",
    }  # fmt: skip
    old.append(pa.Table.from_pylist([row], schema=schema), {"predictions": 0, "labels": 0, "zone": 1})
    assert book.fold().rebuilt
    assert book.history().performance(DAY).rows == 2
    assert pa.types.is_list(rollup_folder(book.workspace, "flights").layout().schema.field("bin").type)
