"""State and jobs on PostgreSQL, with real processes: retrain, promote, a switch from elsewhere, a server that is gone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
from tests.support.postgres import Postgres
from tests.support.processes import running_service, running_worker, wait_until
from tests.support.small import MODEL, ROW, make_small, planted

from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.spool import Spool
from pilothouse.data.state import deployments
from pilothouse.data.state.runs import RunState
from pilothouse.data.windows import utc_now
from pilothouse.ops.house import House

ROWS, DAYS = 4_000, 75


def log_the_past(house: House) -> None:
    """Predictions of the last weeks, each with its label."""
    rows, end = planted(ROWS, seed=5), utc_now() - timedelta(days=1)
    times = [int((end - timedelta(days=DAYS) * (1 - i / ROWS)).timestamp() * 1e6) for i in range(ROWS)]
    ids = [f"past-{i}" for i in range(ROWS)]
    predictions = PredictionEntry(
        version=1, ids=ids, at=times, logged_at=times[-1], predictions=[0] * ROWS, scores=[0.5] * ROWS,
        rows=msgspec.Raw(msgspec.json.encode(rows.drop("failed").to_dicts())),
    )  # fmt: skip
    labels = LabelEntry(
        ids=ids, labels=rows["failed"].to_list(), observed_at=[t + 1_000_000 for t in times], recorded_at=times[-1]
    )
    with Spool.open(house.workspace.spool, "test") as spool:
        spool.append(predictions.entry(MODEL, caller_ids=True))
        spool.append(labels.entry(MODEL))


def answering(service: str) -> int:
    answer = httpx.post(f"{service}/models/{MODEL}/predict", json={"rows": [ROW]}, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def test_the_loop_runs_on_postgresql_and_answers_without_it(tmp_path: Path, postgres: Postgres) -> None:
    urls = [postgres.new_database() for _ in range(2)]
    house = make_small(tmp_path / "workspace", f'state_url = "{urls[0]}"\njobs_url = "{urls[1]}"\n')
    log_the_past(house)
    with running_service(house) as service, running_worker(house):
        asked = house[MODEL].retrain()
        wait_until(lambda: not house.run(asked.id).active, 120)
        run = house.run(asked.id)
        assert run.state is RunState.SUCCEEDED, (run.error, house.run_log(asked.id))
        assert not list(house.workspace.root.glob("*.sqlite"))

        house[MODEL].promote(2, reason="better")
        assert {answering(service) for _ in range(20)} == {2}

        # As from another host: written to the database, and nobody here rings the bell.
        with house.state.write() as conn:
            deployments.append(
                conn, model=MODEL, version=1, expected_epoch=house[MODEL].epoch, act="rollback", actor="ann",
                reason="seen elsewhere", clicked_at=utc_now(), at=utc_now(),
            )  # fmt: skip
        wait_until(lambda: {answering(service) for _ in range(10)} == {1}, 2)

        postgres.stop()
        try:
            assert {answering(service) for _ in range(20)} == {1}
        finally:
            postgres.start()
        wait_until(lambda: house.service_url is not None, 20)
        house[MODEL].promote(2, reason="after the restart")
        assert {answering(service) for _ in range(20)} == {2}
    assert house.verify_audit() is None
    house.close()
