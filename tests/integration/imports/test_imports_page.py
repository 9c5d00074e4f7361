"""The Import page: a file is looked at, its mapping corrected, and imported by a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.foreign_log import nasty_log
from tests.support.processes import wait_until

from pilothouse.app.house import House
from pilothouse.data.errors import UnreadableSource
from pilothouse.data.workspace import Workspace
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
    app.file_uploader(key="predictions-file").set_value((predictions.name, predictions.read_bytes(), "text/csv"))
    app.file_uploader(key="labels-file").set_value((labels.name, labels.read_bytes(), "text/csv"))
    app.text_input(key="import-name").set_value("delays")
    app.run()
    app.button(key="look").click().run()
    assert not app.exception
    assert "293 can be imported and 9 would be set aside" in words(app)
    assert "is not a number" in words(app)
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


def test_what_is_no_log_is_refused_with_a_reason(workspace: Workspace) -> None:
    uploads = Uploads(workspace)
    with pytest.raises(UnreadableSource, match="csv, parquet"):
        uploads.keep(b"x", "../../etc/passwd")
    with pytest.raises(UnreadableSource, match="larger than 200 MB"):
        uploads.keep(b"x" * (MAX_BYTES + 1), "log.csv")
    state = uploads.look(uploads.keep(b"PAR1 and no more", "log.parquet"), "delays", {})
    assert state.state == "failed"
    assert "cannot be read" in state.error
