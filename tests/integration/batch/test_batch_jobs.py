"""Batches over HTTP and by the clock, with a real service and a real worker, which is killed in the middle of one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.support.processes import running_service, running_worker, wait_until
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.log.schema import Role
from pilothouse.ops.batch import schedules
from pilothouse.ops.batch.jobs import Asked
from pilothouse.ops.house import House

ROWS = 300_000
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service that asks for keys, and two of them: one may predict with the model, the other may not."""

    house: House
    url: str
    key: str
    other: str

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key}"} | more.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, timeout=60, trust_env=False, **more)

    def state(self, job: str) -> str:
        return str(self.ask("GET", job).json()["state"])

    def logged(self) -> int:
        return self.house[MODEL].prediction_log.predictions(columns=["prediction_id"], roles=[Role.BATCH]).height


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    house = make_small(tmp_path_factory.mktemp("jobs") / "ws", 'require_keys = "yes"')
    key = house.keys.create("shop", [f"predict:{MODEL}", "read"]).text
    other = house.keys.create("stranger", ["predict:another", "feedback"]).text
    with running_service(house) as url:
        yield Service(house=house, url=url, key=key, other=other)
    house.close()


def test_a_file_of_the_inbox_is_scored_once_though_the_worker_is_killed(service: Service, tmp_path: Path) -> None:
    house = service.house
    house.workspace.inbox.mkdir()
    source = planted(ROWS, seed=5).drop("failed").with_row_index("loan")
    source.write_parquet(house.workspace.inbox / "march.parquet")
    body = {"input": "march.parquet", "id": "loan", "format": "parquet"}
    asked = service.ask("POST", f"/models/{MODEL}/batch", json=body)
    assert asked.status_code == 202, asked.text
    job = asked.headers["location"]
    assert job == f"/jobs/{asked.json()['id']}"
    assert service.state(job) == "queued"
    early = service.ask("GET", f"{job}/result")
    assert (early.status_code, early.json()["type"]) == (409, "urn:pilothouse:no-result")
    with running_worker(house) as worker:
        wait_until(lambda: service.state(job) == "running", 60)
        wait_until(lambda: service.ask("GET", job).json()["progress"] is not None, 60)
        worker.kill()
        worker.wait()
    # And one by the clock, which has been due for a minute.
    source.head(50).write_csv(tmp_path / "in.csv")
    due = Asked(source=str(tmp_path / "in.csv"), out=str(tmp_path / "out-%Y.csv"), log=False)
    before = House(house.workspace, house.settings, house.actor, lambda: datetime.now(UTC) - timedelta(minutes=61))
    schedules.schedule(before, MODEL, due, every="1h")
    before.close()
    with running_worker(house):
        wait_until(lambda: service.state(job) not in ("queued", "running"), 90)
        told = service.ask("GET", job).json()
        assert (told["state"], told["version"], told["error"]) == ("succeeded", 1, None)
        assert told["rows"]["scored"] == ROWS
        result = pl.read_parquet(io.BytesIO(service.ask("GET", told["result"]).content))
        assert result["prediction_id"].to_list() == [str(number) for number in range(ROWS)]
        assert service.logged() == ROWS
        # A file that comes with the request, to a worker that is at leisure.
        uploaded = service.ask(
            "POST", f"/models/{MODEL}/batch", content=csv_of(source.head(20)), headers={"content-type": "text/csv"}
        )  # fmt: skip
        second = uploaded.headers["location"]
        wait_until(lambda: service.state(second) == "succeeded", 60)
        assert len(service.ask("GET", f"{second}/result").text.splitlines()) == 21
        wait_until(lambda: any(tmp_path.glob("out-*.csv")), 60)
    assert pl.read_csv(next(tmp_path.glob("out-*.csv"))).height == 50
    assert {run.kind for run in house.runs(MODEL)} == {"score"}
    assert house[MODEL].runs() == ()


def csv_of(rows: pl.DataFrame) -> bytes:
    return rows.write_csv().encode()


def test_who_may_not_predict_may_not_score_nor_look(service: Service) -> None:
    refused = service.ask("POST", f"/models/{MODEL}/batch", service.other, json={"input": "march.parquet"})
    assert refused.status_code == 403
    (job,) = {run.id for run in service.house.runs(MODEL)[:1]} or {""}
    assert service.ask("GET", f"/jobs/{job}", service.other).status_code == 403
    assert httpx.get(f"{service.url}/jobs/{job}/result", trust_env=False).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": "../pilothouse.toml"}, 422, "must name a file of the inbox"),
        ({"input": "http://elsewhere/x.parquet"}, 422, "must name a file of the inbox"),
        ({"input": "link.parquet"}, 404, "The inbox holds no file of this name"),
        ({"input": "march.parquet", "format": "xlsx"}, 422, "must be parquet or csv"),
        ({"input": "march.parquet", "out": "/tmp/x"}, 422, "unknown field `out`"),
        ({"input": 7}, 422, '"pointer":"/input"'),
        ({"input": "march.parquet", "version": 9}, 404, "has no version 9"),
    ],
)  # fmt: skip
def test_only_files_of_the_inbox_are_read(service: Service, body: dict[str, Any], status: int, said: str) -> None:
    inbox = service.house.workspace.inbox
    inbox.mkdir(exist_ok=True)
    if not (inbox / "link.parquet").is_symlink():
        (inbox / "link.parquet").symlink_to(service.house.workspace.root / "state.sqlite")
    if not (inbox / "march.parquet").exists():
        (inbox / "march.parquet").write_bytes(b"")
    answered = service.ask("POST", f"/models/{MODEL}/batch", json=body)
    assert answered.status_code == status
    assert said in answered.text


def test_a_file_that_cannot_be_scored_is_not_kept(service: Service) -> None:
    before = {file.name for file in service.house.workspace.inbox.iterdir()}
    service.house.monitor("watched", reference=pl.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}), target="y")
    key = service.house.keys.create("clinic", ["predict:watched"]).text

    def asked() -> int:
        sent = {"content": b"x\n1.0\n", "headers": {"content-type": "text/csv"}}
        return service.ask("POST", "/models/watched/batch", key, **sent).status_code

    wait_until(lambda: asked() == 409, 20)
    assert {file.name for file in service.house.workspace.inbox.iterdir()} == before
