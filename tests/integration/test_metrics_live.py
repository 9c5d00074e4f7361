"""The service's own figures, from two real services of two workers each beside one another on one workspace."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.support.processes import running_service, wait_until
from tests.support.small import MODEL, ROW, make_small

from pilothouse.data.state import processes
from pilothouse.ops import artifacts
from pilothouse.ops.house import House
from pilothouse.ops.serving.metrics import Metrics

DOCS = Path(__file__).resolve().parents[2] / "docs"
_PARTS = {"le", "pid"}
"""Labels that a kind of metric brings along."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its model has two versions, and an objective that nothing can miss."""
    made = make_small(tmp_path_factory.mktemp("metrics") / "workspace", "max_in_flight = 1\nmax_waiting = 1\n")
    version = made[MODEL].versions[0]
    made.add_version(MODEL, artifacts.load(made.store.read(version.artifact), version.trusted_types))
    made[MODEL].objective("60s", share="90%")
    yield made
    made.close()


@pytest.fixture(scope="module")
def services(house: House) -> Iterator[tuple[str, str]]:
    with running_service(house) as first, running_service(house) as second:
        wait_until(lambda: len(workers(house)) == 4, 30)
        yield first, second


def workers(house: House, url: str = "") -> list[processes.ProcessRow]:
    return [p for p in house.processes() if p.kind == "service" and (p.url or "").startswith(url)]


def ask(service: str, path: str = f"/models/{MODEL}/predict", **more: Any) -> httpx.Response:
    return httpx.post(f"{service}{path}", json={"rows": [ROW]}, timeout=10, trust_env=False, **more)


def families(service: str) -> dict[str, Metric]:
    text = httpx.get(f"{service}/metrics", timeout=10, trust_env=False).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(service: str, name: str, **labels: str) -> float:
    """The sum over all series of a sample that have these labels."""
    return sum(
        sample.value
        for family in families(service).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_what_workers_count_is_summed_and_services_do_not_mix(services: tuple[str, str]) -> None:
    first, second = services
    predict = "/models/{name}/predict"
    with ThreadPoolExecutor(4) as pool:
        answers = [a.status_code for a in pool.map(lambda _: ask(first), range(60))]
    good, away = answers.count(200), answers.count(503)
    assert good + away == 60
    assert value(first, "pilothouse_requests_total", route=predict, status="200") == good
    assert value(first, "pilothouse_request_seconds_count", route=predict, model=MODEL) == 60
    assert value(first, "pilothouse_shed_total") == away
    assert value(first, "pilothouse_rows_total", kind="predictions", model=MODEL) == good
    assert value(first, "pilothouse_commit_rows_sum") == good
    assert value(first, "pilothouse_commit_seconds_count") == value(first, "pilothouse_commit_rows_count") <= good
    assert value(first, "pilothouse_objective_requests_total", model=MODEL, within="yes") == good
    assert value(first, "pilothouse_objective_requests_total", model=MODEL, within="no") == 0
    assert value(first, "pilothouse_loop_lag_seconds_count") > 0
    assert value(second, "pilothouse_requests_total", route=predict) == 0
    assert value(second, "pilothouse_rows_total") == 0
    # What waits is the workspace's, whoever is asked.
    assert value(second, "pilothouse_unsealed_rows", model=MODEL) == good
    assert value(second, "pilothouse_unsealed_age_seconds", model=MODEL) > 0


def test_a_switch_and_what_is_agreed_on_can_be_seen(house: House, services: tuple[str, str]) -> None:
    model, (first, _) = house[MODEL], services
    model.canary(2, share="25%", reason="try it")
    wait_until(lambda: value(first, "pilothouse_canary_share", model=MODEL, version="2") == 0.25, 5)
    model.promote(2, reason="better")
    wait_until(lambda: value(first, "pilothouse_switches_total") == 2, 5)
    assert [s.value for s in families(first)["pilothouse_live_version"].samples] == [2, 2]
    assert [s.value for s in families(first)["pilothouse_warm_versions"].samples] == [2, 2]
    assert value(first, "pilothouse_canary_share") == 0
    assert value(first, "pilothouse_adoption_seconds_count") == 2
    assert 0 < value(first, "pilothouse_adoption_seconds_sum") < 2
    assert value(first, "pilothouse_load_seconds_count", model=MODEL) == 4
    assert value(first, "pilothouse_objective_share", model=MODEL) == 0.9
    model.objective("0.001ms", share="90%")
    wait_until(lambda: value(first, "pilothouse_objective_seconds", model=MODEL) == pytest.approx(1e-6), 5)
    # Both workers look twenty times a second, and either may answer.
    wait_until(
        lambda: ask(first).status_code == 200 and value(first, "pilothouse_objective_requests_total", within="no") >= 3,
        5,
    )


def test_labels_stay_bounded_whatever_is_asked_for(services: tuple[str, str]) -> None:
    _, second = services
    with httpx.Client(base_url=second, trust_env=False) as client:
        before = len(client.get("/metrics").text.splitlines())
        for number in range(100):
            client.post(f"/models/nobody-{number}/predict", json={"rows": [ROW]})
            client.get(f"/nowhere/{number}")
            client.put(f"/v2/models/other-{number}/infer")
        text = client.get("/metrics").text
    assert not re.search(r"nobody|nowhere|other-\d", text)
    assert value(second, "pilothouse_requests_total", model="") >= 300
    assert len(text.splitlines()) < before + 100


def test_a_killed_workers_counts_stay_and_its_gauges_go(house: House, services: tuple[str, str]) -> None:
    first, _ = services
    counted = value(first, "pilothouse_rows_total", model=MODEL)
    victim = workers(house, first)[0]
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: len(others(house, first, victim)) == 2, 30)
    assert value(first, "pilothouse_rows_total", model=MODEL) == counted
    pids = {str(w.pid) for w in others(house, first, victim)}
    for name in ("pilothouse_worker_start_time_seconds", "pilothouse_live_version"):
        assert {s.labels["pid"] for s in families(first)[name].samples} == pids


def others(house: House, url: str, victim: processes.ProcessRow) -> list[processes.ProcessRow]:
    return [w for w in workers(house, url) if w.id != victim.id]


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels by name, as the table of docs/http.md has them."""
    rows = re.findall(r"^\| `(pilothouse_\w+)` \| (\w+) \|([^|]*)\|", (DOCS / "http.md").read_text(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_figure_is_documented_with_its_labels(house: House, services: tuple[str, str]) -> None:
    table = documented()
    shown = dict(families(services[0]))
    unsaid = text_string_to_metric_families(Metrics().text().decode())
    there = shown | {family.name: family for family in unsaid if family.name not in shown}
    kinds = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in there.values()
        if not family.name.endswith("_created")
    }
    forwarded = {name for name in table if name.startswith("pilothouse_forward_")}
    assert len(forwarded) == 2
    assert {name: kind for name, (kind, _) in table.items() if name not in forwarded} == kinds
    for family in shown.values():
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            assert sample.labels.keys() - _PARTS == table[name][1], name


def test_the_alert_rules_ask_for_what_there_is() -> None:
    table, rules = documented(), (DOCS / "prometheus-rules.yml").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"pilothouse_\w+", rules)}
    assert len(re.findall(r"- alert:", rules)) == 3
    assert names <= set(table)
