"""Live rows are scored by the original as well, off the request path; a form that goes wrong is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sklearn.linear_model import LogisticRegression
from sqlalchemy import update
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import FormsDiffer
from pilothouse.data.state import tables
from pilothouse.data.windows import utc_now
from pilothouse.ops.holdings import Holdings
from pilothouse.ops.house import House
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.runtimes.convert import contents, ways
from pilothouse.ops.runtimes.live import LiveChecks
from pilothouse.ops.scoring import model_frame


def soon() -> datetime:
    """A moment at which nothing that was logged is under way any more."""
    return utc_now() + timedelta(minutes=1)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return make_small(tmp_path / "w", 'onnx = "where_equal"\ncheck_share = 1.0\n')


def checks_of(house: House) -> LiveChecks:
    return LiveChecks(
        workspace=house.workspace, state=house.state, settings=house.settings,
        holdings=Holdings(house.state, "test", soon), children=Children(house.workspace.store), clock=soon,
    )  # fmt: skip


def put_wrong_form(house: House) -> None:
    """Have another model's form answer for version 1, as one would that has gone wrong unnoticed."""
    version = house[MODEL].version(1)
    numbers = replace(version.signature, features=version.signature.features[:2])
    model = LogisticRegression().fit(model_frame(numbers, planted(200, seed=7)), [0, 1] * 100)
    way, *_ = ways(model, numbers)
    content, *_ = contents(way(), numbers)
    told = msgspec.to_builtins(version.conversion) | {"sha256": house.store.put(content)}
    with house.state.write() as conn:
        conn.execute(update(tables.versions).values(conversion=told))


def test_rows_are_checked_once_and_agree(house: House) -> None:
    house[MODEL].predict(planted(300, seed=3), log=True)
    checks = checks_of(house)
    checks.turn()
    found = house.live_check(MODEL, 1)
    assert found is not None
    assert (found.rows, found.beyond) == (300, 0)
    assert found.largest < 1e-5
    checks.turn()
    assert house.live_check(MODEL, 1) == found
    said = CliRunner().invoke(app, ["versions", MODEL, "--workspace", str(house.workspace.root), "--json"])
    assert '"answers_with": "onnx"' in said.output
    assert '"rows": 300' in said.output
    house.close()


def test_a_form_that_answers_otherwise_is_noticed_and_stays_so(house: House) -> None:
    put_wrong_form(house)
    house[MODEL].predict(planted(100, seed=3), log=True)
    checks = checks_of(house)
    with pytest.raises(FormsDiffer, match=r"loans version 1 answered \d+ of 100 checked live rows otherwise"):
        checks.turn()
    found = house.live_check(MODEL, 1)
    assert found is not None
    assert found.beyond > 50
    with pytest.raises(FormsDiffer):
        checks.turn()
    house.close()


def test_a_share_of_nothing_checks_nothing(tmp_path: Path) -> None:
    house = make_small(tmp_path / "w", 'onnx = "where_equal"\ncheck_share = 0\n')
    house[MODEL].predict(planted(100, seed=3), log=True)
    checks_of(house).turn()
    assert house.live_check(MODEL, 1) is None
    house.close()
