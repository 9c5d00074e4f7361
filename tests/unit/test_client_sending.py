"""The client keeps its word: nothing raised, nothing doubled, everything counted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.receiver import Receiver

from pilothouse_client import AsyncClient, Client
from pilothouse_client.backlog import OnDisk
from pilothouse_client.items import Batch, Kind

ROW = {"age": 41}


def client_of(receiver: Receiver, **more: Any) -> Client:
    return Client("http://127.0.0.1:3000", "churn", transport=receiver.transport, flush_s=0.02, **more)


def test_rows_and_labels_arrive_with_the_key() -> None:
    receiver = Receiver()
    with client_of(receiver, key="ph_1_secret") as client:
        row_id = client.log(ROW, 1, score=0.8)
        client.label(row_id, 0)
        assert client.flush()
        assert client.stats == (2, 2, 0, 0, 0, 0, None)
    assert receiver.rows[0]["id"] == receiver.labels[0]["id"] == row_id
    assert receiver.headers["authorization"] == "Bearer ph_1_secret"


def test_a_row_is_sent_again_under_its_id_until_it_is_taken() -> None:
    receiver = Receiver(0, 503, 404)
    with client_of(receiver) as client:
        ids = client.log_many([ROW, ROW], [1, 0])
        assert client.flush(timeout_s=10)
        assert client.stats.retries == 3
        assert client.stats.last_error == "404: not now"
    assert receiver.ids == ids


def test_bad_rows_go_alone() -> None:
    receiver = Receiver()
    with client_of(receiver) as client:
        client.log_many([ROW, {"bad": 1}, ROW], [1, 0, 1], ids=["a", "b", "c"])
        client.flush()
        assert (client.stats.delivered, client.stats.refused) == (2, 1)
        assert client.stats.last_error == "422: /rows/1/bad is not a field here"
    assert receiver.ids == ["a", "c"]


def test_a_body_too_large_is_halved() -> None:
    receiver = Receiver()
    receiver.most_rows = 3
    with client_of(receiver) as client:
        ids = client.log_many([ROW] * 10, [1] * 10)
        client.flush()
    assert receiver.ids == ids


def test_above_the_bound_rows_are_dropped_and_counted() -> None:
    receiver = Receiver(*[0] * 1000)
    client = client_of(receiver, max_waiting=5)
    for _ in range(8):
        client.log(ROW, 1)
    assert (client.stats.dropped, client.stats.waiting) == (3, 5)
    assert client.stats.last_error == "too many rows are waiting"
    client.close()
    client.log(ROW, 1)
    assert (client.stats.taken, client.stats.dropped, client.stats.waiting) == (9, 9, 0)


@pytest.mark.parametrize("features", [None, 3, {"age": object()}, {("a",): 1}])
def test_nothing_is_ever_raised(features: Any) -> None:
    with client_of(Receiver()) as client:
        assert client.log(features, 1, id="mine") == "mine"
        client.label(features, object())
        client.log_many(features, None)  # type: ignore[arg-type]
        assert client.stats.refused == 3
        assert client.stats.last_error is not None


def test_only_its_making_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="url must begin with http"):
        Client("127.0.0.1:3000", "churn")
    with pytest.raises(ValueError, match="must be above 0"):
        Client("http://127.0.0.1:3000", "churn", batch_rows=0)


def test_what_the_host_does_to_a_row_afterwards_changes_nothing() -> None:
    receiver = Receiver()
    with client_of(receiver) as client:
        row = {"age": 41}
        client.log(row, 1)
        row["age"] = 99
        client.flush()
    assert receiver.rows[0]["features"] == {"age": 41}


def test_rows_on_disk_outlive_the_process(tmp_path: Path) -> None:
    away = client_of(Receiver(*[0] * 1000), spool=tmp_path)
    ids = away.log_many([ROW] * 3, [1, 0, 1])
    away.label(ids[0], 1)
    away.close()
    assert away.stats.waiting == 4
    receiver = Receiver()
    with client_of(receiver, spool=tmp_path) as back:
        wait_for(lambda: back.stats.delivered == 4)
    assert receiver.ids == ids
    assert [told["id"] for told in receiver.labels] == ids[:1]
    assert [p.name for p in (tmp_path / "0").iterdir()] == ["lock"]


def test_processes_share_a_spool_and_inherit_what_the_ended_left(tmp_path: Path) -> None:
    first, second = OnDisk(tmp_path, 1000), OnDisk(tmp_path, 1000)
    second.put(Batch(Kind.ROWS, b"{}", 7))
    assert first.found() == 0
    second.close()
    assert first.found() == 7
    assert first.first() == Batch(Kind.ROWS, b"{}", 7)
    first.close()


def test_the_spool_keeps_its_bound(tmp_path: Path) -> None:
    with client_of(Receiver(*[0] * 1000), spool=tmp_path, spool_bytes=300, batch_rows=1) as client:
        for _ in range(9):
            client.log(ROW, 1)
        wait_for(lambda: client.stats.dropped > 0)
        assert client.stats.last_error is not None
        assert sum(path.stat().st_size for path in (tmp_path / "0").iterdir()) <= 300


def test_an_unusable_spool_leaves_rows_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    receiver = Receiver()
    with client_of(receiver, spool=tmp_path / "file") as client:
        client.log(ROW, 1)
        assert client.flush()
    assert len(receiver.rows) == 1


def test_a_cleared_spool_is_counted_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    receiver = Receiver(0)
    with client_of(receiver, spool=tmp_path) as client:
        client.log(ROW, 1)
        wait_for(lambda: client.stats.retries == 1)
        for path in (tmp_path / "0").glob("*.log"):
            path.unlink()
        receiver.answers = [400]
        client.log(ROW, 0)
        assert client.flush()
        assert (client.stats.delivered, client.stats.refused) == (1, 1)


def test_the_async_twin_waits_without_holding_up_the_loop() -> None:
    receiver = Receiver(0)

    async def talk() -> tuple[bool, int]:
        turns = 0
        async with AsyncClient("http://127.0.0.1:3000", "churn", transport=receiver.transport) as client:
            client.log(ROW, 1)
            flushing = asyncio.create_task(client.flush())
            while not flushing.done():
                turns += 1
                await asyncio.sleep(0.01)
            return flushing.result(), turns

    done, turns = asyncio.run(talk())
    assert done
    assert turns > 5
    assert len(receiver.rows) == 1


def test_a_watched_function_is_logged_and_gives_what_it_gave() -> None:
    receiver = Receiver()
    with client_of(receiver) as client:

        @client.watch
        def alone(row: dict[str, Any]) -> tuple[int, float]:
            return 1, 0.9

        @client.watch(features=["age"], key=["order"], prediction=lambda said: (said["answer"], None))
        async def named(age: int, order: int = 17) -> dict[str, int]:
            await asyncio.sleep(0.02)
            return {"answer": age}

        assert alone(ROW) == (1, 0.9)
        assert asyncio.run(named(41)) == {"answer": 41}
        client.flush()
    assert [(r["features"], r["prediction"], r.get("score"), r.get("key")) for r in receiver.rows] == [
        (ROW, 1, 0.9, None), (ROW, 41, None, {"order": 17})
    ]  # fmt: skip
    assert receiver.rows[0]["latency_us"] < 20_000 <= receiver.rows[1]["latency_us"]


def test_a_watched_function_s_exception_passes_and_ours_does_not() -> None:
    with client_of(Receiver()) as client:

        @client.watch
        def fails(row: dict[str, Any]) -> int:
            raise KeyError("the host's own")

        @client.watch
        def strange(row: dict[str, Any]) -> dict[str, int]:
            return {"answer": 3}

        with pytest.raises(KeyError, match="the host's own"):
            fails(ROW)
        assert client.stats.taken == 0
        assert strange(ROW) == {"answer": 3}
        assert client.stats.refused == 1


def wait_for(found: Any, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.01)
