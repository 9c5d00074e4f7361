"""The proof of a switch from planted requests: who answered when, and in which phase a request began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pilothouse.app import trial_words
from pilothouse.app.panels.trials import proof_panel
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.processes import Switch
from pilothouse.ops.releases.proof import Proof, proof_of

FLIP = datetime(2026, 9, 20, 12, tzinfo=UTC)
SWITCH = Deployment(
    seq=2, model="flights", version=2, previous=1, act="promote", actor="ada", reason="", at=FLIP,
    clicked_at=FLIP - timedelta(milliseconds=840), audit_seq=5,
)  # fmt: skip
SCHEMA = {
    "spool": pl.String, "version": pl.Int64, "logged_at": pl.Datetime("us", "UTC"), "latency_us": pl.Int64,
    "rows": pl.Int64, "failed": pl.Boolean,
}  # fmt: skip


def requests(*found: tuple[str, int, float, float, bool]) -> pl.DataFrame:
    """Requests as (spool, version, answered ms after the flip, ms it took, failed)."""
    rows = [
        (spool, version, FLIP + timedelta(milliseconds=at), int(ms * 1000), 1, failed)
        for spool, version, at, ms, failed in found
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def adopted(**ready_ms: float) -> list[Switch]:
    return [
        Switch(deployment_seq=2, process_id=f"service-{name}", at=FLIP + timedelta(milliseconds=ms), spool=name)
        for name, ms in ready_ms.items()
    ]


@pytest.fixture
def proof() -> Proof:
    return proof_of(
        SWITCH,
        adopted(a=12, b=30),
        requests(
            ("a", 1, -5_000, 4, False),
            ("b", 1, -900, 8, True),
            ("a", 1, -400, 30, False),
            # Answered after the flip by the old version, but it had begun before.
            ("b", 1, 5, 40, False),
            ("a", 2, 41, 3, False),
            ("b", 2, 64, 5, False),
            ("b", 2, 4_000, 6, False),
            ("a", 2, 60_000, 6, False),
        ),
    )  # fmt: skip


def test_requests_are_counted_where_they_began(proof: Proof) -> None:
    shown = [(p.name, p.requests, p.failed, p.p50_ms) for p in proof.phases]
    assert shown == [("before", 2, 1, 6.0), ("preparing", 2, 0, 35.0), ("flip", 2, 0, 4.0), ("after", 1, 0, 6.0)]
    assert [(s.second, s.version, s.requests) for s in proof.seconds] == [
        (-6, 1, 1), (-1, 1, 3), (0, 2, 2), (3, 2, 1)
    ]  # fmt: skip
    assert proof.last_before_ms == -35.0


def test_a_worker_s_first_answer_is_its_own(proof: Proof) -> None:
    assert [(w.process, w.ready_ms, w.answered_ms) for w in proof.workers] == [
        ("service-a", 12.0, 41.0), ("service-b", 30.0, 64.0)
    ]  # fmt: skip
    said = trial_words.proof_sentence(proof)
    assert "From click to flip 840 ms" in said
    assert "the first answer of version 2 came 41 ms after the flip; the last of 2 workers gave its first" in said
    assert said.endswith("of 7 requests around it 1 failed.")
    last = "The last request answered by version 1 began 35 ms before the flip."
    assert trial_words.last_before_sentence(proof) == last
    panel = proof_panel(proof, "flights")
    assert panel.answer == last
    assert [trace["name"] for trace in (panel.spec or {})["data"]] == ["version 1", "version 2"]


def test_a_switch_without_traffic_says_that_there_was_none() -> None:
    proof = proof_of(SWITCH, adopted(a=12), requests())
    assert (proof.last_before_ms, proof.seconds, proof.workers[0].answered_at) == (None, (), None)
    assert [p.requests for p in proof.phases] == [0, 0, 0, 0]
    assert "No request came" in proof_panel(proof, "flights").empty
    assert "1 of 1 workers had not been asked by then" in trial_words.proof_sentence(proof)
