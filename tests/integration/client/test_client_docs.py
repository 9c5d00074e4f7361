"""The code in docs/client.md runs as it stands there, against the real service, and its rows are in the log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bench.servers import Command, running
from tests.support.application import documented, write_watched
from tests.support.processes import running_service
from tests.support.small import MODEL, ROW, make_small


def test_the_documented_code_does_what_the_document_says(tmp_path: Path) -> None:
    house = make_small(tmp_path / "ws")
    with running_service(house) as url:
        _, function, by_hand, stats = documented(url)
        row_id = ask_the_application(tmp_path, url)
        names: dict[str, Any] = {}
        exec(function + by_hand, names)
        assert names["score"](ROW) == (1, 0.8)
        assert names["client"].flush()
        assert names["client"].stats.delivered == 4
        assert set(re.findall(r"(\w+)=", stats)) == set(names["client"].stats._fields)
        names["client"].close()
    rows = house[MODEL].prediction_log.predictions()
    assert rows["score"].sort().to_list() == [0.12, 0.12, 0.8]
    assert row_id in rows["prediction_id"].to_list()
    labelled = house[MODEL].prediction_log.labelled(None)
    assert labelled.filter(prediction_id=names["row_id"])["label"].to_list() == [1]
    house.state.close()


def ask_the_application(folder: Path, url: str) -> str:
    """The id in the header of one answer of the documented application, which has ended when this returns."""
    write_watched(folder, "documented", url)
    command = Command(
        module="uvicorn", arguments=["--app-dir", str(folder), "documented:app"], path="/predict",
        ready="/openapi.json", log=folder / "application.log", environment={},
    )  # fmt: skip
    with running(command) as server:
        answer = httpx.post(server.url, json=ROW, trust_env=False)
        assert answer.json() == {"prediction": 0, "score": pytest.approx(0.12)}
    return answer.headers["x-pilothouse-id"]
