"""Two real houses: a site whose central house is away for a while, and whose worker is killed between two marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.support.processes import running_service, running_worker, wait_until
from tests.support.small import MODEL, ROW, make_small

from pilothouse.data.errors import InvalidSetting, NotSentYet
from pilothouse.data.log.entries import LabelEntry, PredictionEntry
from pilothouse.data.log.pending import pending
from pilothouse.data.log.schema import Role, Status
from pilothouse.data.log.spool import Spool
from pilothouse.data.settings import load_settings
from pilothouse.ops.forward.figures import ForwardFigures
from pilothouse.ops.forward.status import Lag, forward_status
from pilothouse.ops.house import House
from pilothouse.ops.serving.metrics import Metrics
from pilothouse.ops.supervisor import free_port

THEN = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Houses:
    """A central house, which asks for keys and may be served on `port`, and a site that sends its log there."""

    central: House
    site: House
    port: int


@pytest.fixture
def houses(tmp_path: Path) -> Iterator[Houses]:
    port = free_port(0)
    central = make_small(tmp_path / "central", 'require_keys = "yes"')
    key = tmp_path / "key"
    key.write_text(central.keys.create("site-1", ["log", "feedback"]).text + "\n")
    site = make_small(tmp_path / "site", f'central_url = "http://127.0.0.1:{port}"\ncentral_key_file = "{key}"')
    yield Houses(central=central, site=site, port=port)
    central.close()
    site.close()


def answered(site: House, first: int, count: int, **more: Any) -> None:
    """Log as a service logs: one request, `count` rows, an hour apart from THEN on."""
    rows = ",".join('{"amount":1200.5,"months":24,"purpose":"car"}' for _ in range(count)).join("[]")
    given: dict[str, Any] = {
        "ids": [f"r{number}" for number in range(first, first + count)],
        "at": [_micros(THEN + timedelta(hours=number)) for number in range(first, first + count)],
        "entities": ["ann", *[None] * (count - 1)],
        "keys": [{"loan": number} for number in range(first, first + count)],
        "scores": [0.25] * count,
        "predictions": [0] * count,
        "version": 1,
    }
    entry = PredictionEntry(
        rows=msgspec.Raw(rows.encode()), logged_at=_micros(datetime.now(UTC)), latency_us=750, **given | more
    )
    with Spool.open(site.workspace.spool, "service") as spool:
        spool.append(entry.entry(MODEL, caller_ids=False))


def labelled(site: House, ids: list[str]) -> None:
    now = _micros(datetime.now(UTC))
    entry = LabelEntry(labels=[1.0] * len(ids), observed_at=[now] * len(ids), recorded_at=now, ids=list(ids))
    with Spool.open(site.workspace.spool, "service") as spool:
        spool.append(entry.entry(MODEL))


def _micros(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000


def test_nothing_is_lost_and_nothing_doubled_over_an_outage_and_a_kill(houses: Houses) -> None:
    site, central = houses.site, houses.central
    answered(site, 0, 5)
    answered(site, 50, 1, role=Role.SHADOW)
    answered(site, 60, 1, status=Status.ERROR, predictions=[None], scores=None)
    labelled(site, ["r0", "r1"])
    # Central is away: the site seals what it logs, and keeps all of it to be sent.
    with running_worker(site):
        wait_until(lambda: site[MODEL].prediction_log.unsealed_rows() == 0, 60)
        wait_until(lambda: "takes nothing just now" in " ".join(errors(site)), 30)
    waits = lag_of(site, MODEL)
    assert (waits.waiting, waits.counted.sent) == (9, 0)
    assert waits.since is not None
    figures = Metrics(None, [ForwardFigures(site.workspace, site.state, site.settings, site.clock)]).text().decode()
    assert 'pilothouse_forward_waiting_rows{model="loans"} 9.0' in figures
    assert site[MODEL].prediction_log.count() == 7
    with pytest.raises(NotSentYet, match="9 rows and labels of loans have yet to be sent"):
        site[MODEL].erase("ann", reason="asked to")
    with running_service(central, houses.port):
        # It dies after central has taken rows, and before it could write so down.
        with running_worker(site, crash_at="forward:told") as worker:
            assert worker.wait(60) == 137
        assert forward_status(site).waiting == 9
        # A frame logged from a notebook, in another form, goes the same way.
        site[MODEL].log(pl.DataFrame([ROW | {"id": "n0", "prediction": 1, "score": 0.75}]), version=1)
        answered(site, 5, 5)
        # Nor do a row that central has reasons to refuse, and a model that it does not know, hold anybody up.
        answered(site, 70, 3, scores=[0.5, 1.5, 0.5])
        site.monitor("apart", reference=pl.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}), target="y")
        site["apart"].log(pl.DataFrame({"x": [1.0], "prediction": [1], "id": ["a"]}), version=1)
        with running_worker(site):
            wait_until(lambda: lag_of(site, MODEL).waiting == 0, 60)
            wait_until(lambda: "apart: 404" in " ".join(errors(site)), 30)
            wait_until(lambda: waiting_entries(site) == {("apart", "predictions")}, 30)
            answered(site, 10, 2)
            wait_until(lambda: lag_of(site, MODEL).waiting == 0, 60)
    told = lag_of(site, MODEL)
    assert (told.counted.sent, told.counted.kept, told.counted.refused) == (17, 2, 1)
    assert re.fullmatch(r"422: /scores/\d+ must lie from 0 to 1", told.counted.reason)
    assert lag_of(site, "apart").waiting == 1
    central.catch_up()
    rows = central[MODEL].prediction_log.predictions()
    assert sorted(rows["prediction_id"]) == sorted([*(f"r{n}" for n in (*range(12), 70, 72)), "n0"])
    same = (
        site[MODEL].prediction_log.predictions().filter(pl.col("prediction_id").is_in(rows["prediction_id"].implode()))
    )
    same = same.filter(status="ok", role="champion")
    compared = ["prediction_id", "at", "version", "entity_id", "keys", "x_amount", "x_months", "x_purpose",
                "prediction", "score", "latency_us"]  # fmt: skip
    assert rows.select(compared).sort("prediction_id").equals(same.select(compared).sort("prediction_id"))
    first = rows.filter(prediction_id="r0").row(0, named=True)
    assert (first["at"], first["caller"], first["latency_us"]) == (THEN, "site-1", 750)
    labels = central[MODEL].prediction_log.labelled().filter(pl.col("label").is_not_null())
    assert sorted(labels["prediction_id"]) == ["r0", "r1"]
    site[MODEL].erase("ann", reason="asked to")


def test_a_central_url_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="central_url = 'ftp://x'"):
        load_settings(tmp_path / "pilothouse.toml", {"PILOTHOUSE_CENTRAL_URL": "ftp://x"})


def errors(house: House) -> list[str]:
    return [text for process in house.processes() for text in process.details.get("errors", [])]


def lag_of(house: House, model: str) -> Lag:
    lag = forward_status(house).of(model)
    assert lag is not None
    return lag


def waiting_entries(house: House) -> set[tuple[str, str]]:
    with pending(house.workspace.spool) as spools:
        return set().union(*(spool.waiting() for spool in spools))
