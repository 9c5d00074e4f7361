"""API keys: made once and shown once, two live ones a caller, each act in the audit trail; by notebook and command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadScope, InvalidName, NoReason, NotAllowed, TooManyKeys, UnknownKey
from pilothouse.data.workspace import Workspace
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.house import House

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[House]:
    house = House.open(Workspace.create(tmp_path / "ws").root, clock=clock)
    yield house
    house.close()


def test_of_a_key_only_its_hash_is_kept(house: House) -> None:
    made = house.keys.create("shop", ["predict:churn", "feedback", "feedback"], expires="90d")
    assert made.text.startswith(f"ph_{made.row.id}_")
    assert made.text not in repr(made)
    (kept,) = house.keys.list()
    assert (kept.caller, kept.scopes, kept.expires_at) == (
        "shop",
        ("predict:churn", "feedback"),
        NOW + timedelta(days=90),
    )
    assert kept.sha256 == hashlib.sha256(made.text.encode()).hexdigest()
    secret = made.text.rpartition("_")[2].encode()
    files = [file for file in house.workspace.root.rglob("*") if file.is_file()]
    assert not [file for file in files if secret in file.read_bytes()]
    (act,) = house.audit()
    assert (act.act, act.target, act.details["caller"]) == ("key created", f"key {made.row.id}", "shop")


def test_a_key_is_replaced_without_a_gap(house: House, clock: Clock) -> None:
    first = house.keys.create("shop", ["predict:*"], expires="90d").row
    clock.now += timedelta(days=80)
    second = house.keys.rotate("shop", overlap="3d").row
    assert (second.scopes, second.expires_at) == (first.scopes, clock.now + timedelta(days=90))
    with pytest.raises(TooManyKeys, match=f"shop has two live keys already .{second.id}, {first.id}."):
        house.keys.rotate("shop")
    assert [key.standing(clock.now) for key in house.keys.list()] == ["live", "live"]
    clock.now += timedelta(days=3)
    assert [key.standing(clock.now) for key in house.keys.list()] == ["live", "expired"]
    assert house.keys.rotate("shop").row.id not in (first.id, second.id)
    assert house.audit()[0].details["before"] == second.id
    assert house.verify_audit() is None


def test_a_shorter_life_is_not_prolonged_by_the_overlap(house: House) -> None:
    house.keys.create("shop", ["read"], expires="1d")
    house.keys.rotate("shop", overlap="7d")
    assert house.keys.list()[1].expires_at == NOW + timedelta(days=1)


def test_a_revoked_key_stays_revoked_and_is_audited_once(house: House, clock: Clock) -> None:
    key = house.keys.create("shop", ["read"]).row
    with pytest.raises(NoReason):
        house.keys.revoke(key.id, reason=" ")
    house.keys.revoke(key.id, reason="leaked")
    clock.now += timedelta(hours=1)
    assert house.keys.revoke(key.id, reason="again").revoked_at == NOW
    assert [row.act for row in house.audit()] == ["key revoked", "key created"]


def test_what_cannot_be_is_refused_in_words(house: House) -> None:
    with pytest.raises(BadScope, match=r"'predict' is nothing .* Allowed: predict:\*, predict:NAME, feedback, log"):
        house.keys.create("shop", ["predict"])
    with pytest.raises(InvalidName):
        house.keys.create("shop", ["predict:../x"])
    with pytest.raises(InvalidName, match="cannot name a caller"):
        house.keys.create("The Shop", ["read"])
    with pytest.raises(BadScope):
        house.keys.create("shop", [])
    with pytest.raises(UnknownKey, match="`pilothouse keys list` names them"):
        house.keys.revoke("nobody", reason="x")
    house.keys.create("shop", ["read"])
    with pytest.raises(UnknownKey, match="Did you mean 'shop'"):
        house.keys.rotate("shpo")


def test_only_an_admin_may_and_the_denial_is_written_down(house: House) -> None:
    ann = Actor(name="ann", roles=frozenset({Right.OPERATOR}))
    theirs = House(house.workspace, house.settings, ann, house.clock)
    with pytest.raises(NotAllowed, match="ann may not create a key for shop: it needs the role admin"):
        theirs.keys.create("shop", ["read"])
    theirs.close()
    assert (house.audit()[0].act, house.keys.list()) == ("denied", ())


def test_on_the_command_line_a_key_is_printed_once(tmp_path: Path) -> None:
    at = ["--workspace", str(Workspace.create(tmp_path / "ws").root)]
    runner = CliRunner()

    def said(*words: str) -> str:
        done = runner.invoke(app, ["keys", *words, *at], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    made = said("create", "shop", "--scope", "predict:churn", "--scope", "feedback", "--expires", "90d")
    text = made.splitlines()[0]
    assert text.startswith("ph_")
    assert 'set require_keys = "yes"' in made
    key_id = text.split("_")[1]
    listed = json.loads(said("list", "--json"))["keys"]
    assert [(key["id"], key["standing"]) for key in listed] == [(key_id, "live")]
    assert "sha256" not in listed[0]
    successor = json.loads(said("rotate", "shop", "--overlap", "2d", "--json"))
    assert successor["key"].startswith(f"ph_{successor['id']}_")
    assert "is revoked since" in said("revoke", key_id, "--reason", "moved on")
    table = said("list")
    assert "revoked" in table
    assert text not in table
