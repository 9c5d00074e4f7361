"""The page of API keys: a key is made and shown once, replaced and revoked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words

from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House.open(Workspace.create(tmp_path / "ws").root)
    with dashboard_of(house.workspace.root):
        yield house
    house.close()


def opened(key: str) -> AppTest:
    """The page with a dialog open. AppTest runs the whole page, so the button that opens it is pressed in every run."""
    app = open_page("keys")
    app.button(key=key).click().run()
    app.button(key=key).click()
    return app


def test_without_keys_the_page_says_how_things_stand(house: House) -> None:
    app = open_page("keys")
    assert not app.exception
    assert "the service answers this machine alone. 0 callers hold a live key." in words(app)
    assert "No key is live." in words(app)
    house.workspace.settings_file.write_text('require_keys = "yes"\n')
    with dashboard_of(house.workspace.root):
        assert "Every request needs a key" in words(open_page("keys"))


def test_a_key_is_made_and_shown_once(house: House) -> None:
    app = opened("new-key")
    app.text_input(key="key-caller").set_value("shop")
    app.multiselect(key="key-scopes").set_value(["predict:*", "feedback"])
    app.button(key="key-create").click().run()
    assert not app.exception
    (made,) = house.keys.list()
    assert (made.caller, made.scopes) == ("shop", ("predict:*", "feedback"))
    (shown,) = [block.value for block in app.code]
    assert shown.startswith(f"ph_{made.id}_")
    again = open_page("keys")
    assert not again.code
    assert made.id in words(again)
    assert shown not in words(again)


def test_what_cannot_be_is_said_in_the_dialog(house: House) -> None:
    app = opened("new-key")
    app.text_input(key="key-caller").set_value("The Shop")
    app.button(key="key-create").click().run()
    assert "cannot name a caller" in words(app)
    assert not app.code


def test_a_key_is_replaced_and_revoked(house: House) -> None:
    first = house.keys.create("shop", ["read"]).row
    app = opened(f"rotate-{first.id}")
    app.button(key="key-rotate").click().run()
    assert [block.value.startswith("ph_") for block in app.code] == [True]
    assert len(house.keys.list()) == 2
    app = opened(f"revoke-{first.id}")
    app.button(key="key-revoke").click().run()
    assert "Revoking a key needs a reason" in words(app)
    app = opened(f"revoke-{first.id}")
    app.text_input(key="key-reason").set_value("leaked")
    app.button(key="key-revoke").click().run()
    assert not app.exception
    assert [key.standing(house.clock()) for key in house.keys.list() if key.id == first.id] == ["revoked"]
    assert "revoked" in words(open_page("keys"))
