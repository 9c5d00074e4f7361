"""The Import page: a file is looked at, its mapping corrected, and imported by a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.foreign_log import foreign_log, nasty_log
from tests.support.processes import wait_until

from pilothouse.app import intake
from pilothouse.app.house import House
from pilothouse.data.errors import UnreadableSource
from pilothouse.data.windows import utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.said import Said
from pilothouse.ops.imports.uploads import MAX_BYTES, Uploads


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace.create(tmp_path / "house")
    with dashboard_of(made.root):
        yield made


def test_from_a_file_to_the_models_page(workspace: Workspace, tmp_path: Path) -> None:
    planted = nasty_log(300)
    predictions, labels = planted.write(tmp_path)
    app = open_page("intake")
    assert not app.exception
    assert "its log of predictions is enough" in words(app)
    app.file_uploader(key="labels-file").set_value((labels.name, labels.read_bytes(), "text/csv"))
    upload(app, predictions.read_bytes(), predictions.name, "delays")
    assert "293 can be imported and 9 would be set aside" in words(app)
    assert "is not a number" in words(app)
    assert app.button(key="import").label == "Import 302 rows into delays"
    app.button(key="import").click().run()
    assert not app.exception
    house = House.open(workspace.root)
    number = next(folder.name for folder in (workspace.run / "uploads").iterdir())
    wait_until(lambda: Uploads(workspace).state(number).state != "running", 60)
    done = open_page("intake", **{"import": number, "into": "delays"})
    assert not done.exception
    assert f"{planted.good} imported into delays" in words(done)
    assert house["delays"].prediction_log.count() == planted.good
    house.close()


def upload(app: AppTest, content: bytes, name: str, model: str) -> None:
    app.file_uploader(key="predictions-file").set_value((name, content, "text/csv"))
    app.text_input(key="import-name").set_value(model)
    app.run()
    app.button(key="look").click().run()
    assert not app.exception


def test_what_is_ambiguous_is_asked_on_the_page(workspace: Workspace) -> None:
    rows = [f"2026-01-{1 + i % 28:02d},2026-02-{1 + i % 28:02d},{i},{i / 100:.2f}" for i in range(90)]
    app = open_page("intake")
    upload(app, ("created,shipped,weight,score\n" + "\n".join(rows)).encode(), "two.csv", "parcels")
    assert "at could be &#x27;created&#x27; or &#x27;shipped&#x27;" in words(app)
    assert all(button.key != "import" for button in app.button)
    found = app.session_state["intake"]
    answered = intake.changes(found["mapping"], found["mapping"] | {"ours": ["at", *found["mapping"]["ours"][1:]]})
    assert answered == {"created": ["at"]}
    state = Uploads(workspace).look(found["number"], "parcels", intake.as_said({"mapping": answered}))
    assert state.found["sentence"].startswith("two.csv would register parcels (binary). Of the first 90 rows of 90, 90")


def test_an_import_is_stopped_and_gone_on_with(workspace: Workspace, tmp_path: Path) -> None:
    uploads, planted = Uploads(workspace), foreign_log(3000)
    predictions, labels = planted.write(tmp_path)
    number = uploads.keep((predictions.read_bytes(), "export.csv"), (labels.read_bytes(), labels.name))
    uploads.begin(number, "delays", Said(), 3000)
    app = open_page("intake", **{"import": number, "into": "delays"})
    app.button(key="stop-import").click().run()
    wait_until(lambda: uploads.state(number).state != "running", 60)
    assert "broken off" in uploads.state(number).error or "stopped" in uploads.state(number).error
    uploads.begin(number, "delays", Said(), 3000)
    wait_until(lambda: uploads.state(number).state == "done", 60)
    assert "Read 3,000 rows of export.csv: 3,000 imported into delays" in uploads.state(number).found["sentence"]
    folder = workspace.run / "uploads" / number
    assert not (folder / "predictions.csv").exists()
    uploads.clean(utc_now() + timedelta(hours=23))
    assert folder.exists()
    uploads.clean(utc_now() + timedelta(hours=25))
    assert not folder.exists()


def test_what_is_no_log_is_refused_with_a_reason(workspace: Workspace) -> None:
    uploads = Uploads(workspace)
    with pytest.raises(UnreadableSource, match="csv, parquet, arrow"):
        uploads.keep((b"x", "../../etc/passwd"))
    with pytest.raises(UnreadableSource, match="larger than 200 MB"):
        uploads.keep((b"x" * (MAX_BYTES + 1), "log.csv"))
    state = uploads.look(uploads.keep((b"PAR1 and no more", "log.parquet")), "delays", Said())
    assert state.state == "failed"
    assert "cannot be read" in state.error


def test_a_correction_of_how_it_is_read_says_what_it_changed(workspace: Workspace, tmp_path: Path) -> None:
    predictions, labels = nasty_log(300).write(tmp_path)
    app = open_page("intake")
    app.file_uploader(key="labels-file").set_value((labels.name, labels.read_bytes(), "text/csv"))
    upload(app, predictions.read_bytes(), predictions.name, "delays")
    assert "The first time, 05.01.2026 00:00, is read as 2026-01-05 00:00:00 UTC." in words(app)
    number = app.session_state["intake"]["number"]
    app.selectbox(key=f"time-zone-{number}").set_value("Europe/Berlin")
    app.text_input(key=f"horizon-{number}").set_value("14d").run()
    assert all(button.key != "import" for button in app.button), "what is not read yet is not imported"
    app.button(key="again").click().run()
    assert not app.exception
    assert "What the correction changed" in words(app)
    assert "05.01.2026 00:00 is read as 2026-01-04 23:00:00 UTC" in words(app)
    assert "The times name no zone and are read as Europe/Berlin" in words(app)
    app.button(key="import").click().run()
    uploads = Uploads(workspace)
    wait_until(lambda: uploads.state(number).state != "running", 60)
    house = House.open(workspace.root)
    first, _ = house["delays"].prediction_log.bounds() or (None, None)
    assert first == datetime(2026, 1, 4, 23, tzinfo=UTC)
    assert house["delays"].label_policy.horizon == timedelta(days=14)
    house.close()


def test_a_correction_that_cannot_be_followed_stays_to_be_corrected(workspace: Workspace, tmp_path: Path) -> None:
    predictions, _ = nasty_log(300).write(tmp_path)
    app = open_page("intake")
    upload(app, predictions.read_bytes(), predictions.name, "delays")
    number = app.session_state["intake"]["number"]
    app.text_input(key=f"encoding-{number}").set_value("utf-9").run()
    app.button(key="again").click().run()
    assert not app.exception
    assert "--encoding = &#x27;utf-9&#x27; (given for this import) is not allowed" in words(app)
    assert all(button.key != "import" for button in app.button)
    app.text_input(key=f"encoding-{number}").set_value("utf-8").run()
    app.button(key="again").click().run()
    assert "It is read as utf-8; --encoding says otherwise" in words(app)
    app.text_input(key=f"encoding-{number}").set_value("").run()
    assert app.button(key="import").label == "Import 302 rows into delays"


def test_columns_of_the_labels_are_asked_and_corrected(workspace: Workspace) -> None:
    rows = "\n".join(f"p{i},2026-01-{1 + i % 28:02d},{i},{i / 100:.2f}" for i in range(90))
    told = "\n".join(f"p{i},{i % 2},{(i + 1) % 2}" for i in range(90))
    uploads = Uploads(workspace)
    number = uploads.keep(
        (f"id,created,weight,score\n{rows}".encode(), "parcels.csv"), (f"id,broken,lost\n{told}".encode(), "late.csv")
    )
    stuck = uploads.look(number, "parcels", Said()).found
    assert stuck["problems"] == ["label could be 'broken' or 'lost': write label beside the one that it is."]
    assert stuck["label_mapping"]["theirs"] == ["id", "broken", "lost"]
    found = uploads.look(number, "parcels", intake.as_said({"label_mapping": {"lost": ["label"]}})).found
    assert found["label_mapping"]["ours"] == ["id", "ignored", "label"]
    assert ("lost (labels)", "ignored", "label, integer") in intake.differences(stuck, found)
    assert uploads.look(number, "parcels", intake.as_said({"label_mapping": {"lost": ["labl"]}})).state == "failed"


def test_an_upload_that_was_imported_is_not_imported_again(workspace: Workspace, tmp_path: Path) -> None:
    uploads, (predictions, _) = Uploads(workspace), foreign_log(60).write(tmp_path)
    number = uploads.keep((predictions.read_bytes(), "export.csv"))
    uploads.begin(number, "delays", Said(), 60)
    wait_until(lambda: uploads.state(number).state != "running", 60)
    with pytest.raises(UnreadableSource, match="imported already"):
        uploads.begin(number, "delays", Said(), 60)
