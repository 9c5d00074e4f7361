"""Column classes where values are shown: hidden by default, seen by an admin with a reason, changed by an admin alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted
from typer.testing import CliRunner

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import BadPolicy, FixedClass, NoReason, NotAllowed
from pilothouse.data.policies import LogPolicy
from pilothouse.ops.actors import Actor, Right
from pilothouse.ops.governance.columns import HIDDEN, reportable, without_sensitive
from pilothouse.ops.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = make_small(tmp_path_factory.mktemp("classes") / "house")
    frame = planted(20, seed=4).drop("failed").with_columns(
        pl.Series("entity_id", [f"p{n}" for n in range(20)]), pl.Series("keys", ['{"loan":1}'] * 20),
        prediction=0, score=pl.Series(np.linspace(0, 1, 20)),
    )  # fmt: skip
    made[MODEL].log(frame, version=1)
    for column, told in (("purpose", "sensitive"), ("amount", "masked"), ("entity_id", "masked")):
        made[MODEL].set_class(column, told)
    made.catch_up()
    return made


def test_single_values_are_hidden_and_the_rest_is_not(house: House) -> None:
    rows = house[MODEL].rows("1d", 5)
    shown = [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
    assert {row[c] for row in shown for c in ("x_purpose", "x_amount", "entity_id", "keys")} == {HIDDEN}
    assert all(isinstance(row["x_months"], float) for row in shown)


def test_an_admin_sees_them_for_a_reason_that_is_kept(house: House) -> None:
    rows = house[MODEL].rows("1d", 5, unmask=True, reason="a complaint")
    assert HIDDEN not in {value for row in rows.rows for value in row}
    row = house[MODEL].audit(1)[0]
    assert row.act == "unmask"
    assert row.details == {
        "columns": ["amount", "entity_id", "purpose"],
        "reason": "a complaint",
    }
    with pytest.raises(NoReason):
        house[MODEL].rows("1d", 5, unmask=True)
    viewer = House(house.workspace, house.settings, Actor(name="vic", roles=frozenset({Right.ANALYST})))
    with pytest.raises(NotAllowed, match="unmask columns of"):
        viewer[MODEL].rows("1d", 5, unmask=True, reason="curious")


def test_sensitive_features_leave_the_drift_page_and_reports(house: House) -> None:
    handle = house[MODEL]
    found, words = without_sensitive(handle.history.drift(handle.window("1d")), handle.row.classes)
    assert [f.name for f in found.features if f.name == "purpose"] == []
    assert words == "1 sensitive column is not shown."
    assert reportable(handle.signature, handle.row.classes).names == ("months",)


def test_the_command_line_hides_them_too_unless_there_is_a_reason(house: House) -> None:
    arguments = ["drift", MODEL, "--window", "1d", "-w", str(house.workspace.root)]
    hidden = CliRunner().invoke(app, arguments).output
    assert "purpose" not in hidden
    assert "1 sensitive column is not shown." in hidden
    shown = CliRunner().invoke(app, [*arguments, "--unmask", "--reason", "a complaint"]).output
    assert "purpose" in shown
    assert house[MODEL].audit(1)[0].act == "unmask"
    with pytest.raises(NoReason):
        house[MODEL].shown_drift(house[MODEL].window("1d"), unmask=True)


def test_hashing_is_decided_at_registration(house: House) -> None:
    with pytest.raises(FixedClass, match="hashed from its first row on or never"):
        house[MODEL].set_class("purpose", "hashed")


def test_the_command_lists_and_changes(house: House) -> None:
    arguments = ["columns", MODEL, "-w", str(house.workspace.root)]
    assert "sensitive" in CliRunner().invoke(app, arguments).output
    changed = CliRunner().invoke(app, [*arguments, "--class", "months=masked"])
    assert changed.exit_code == 0
    assert {line.name: line.told for line in house[MODEL].columns}["months"] == "masked"
    house[MODEL].set_class("months", "plain")


def test_a_policy_leaves_rows_whole_until_their_labels_are_due(house: House) -> None:
    with pytest.raises(BadPolicy, match="at least 8 days, since labels may come for that long"):
        house[MODEL].set_log_policy(LogPolicy(keep_days=3))
    with pytest.raises(BadPolicy, match="full_days = None"):
        house[MODEL].set_log_policy(LogPolicy(sample_share=0.5))
    arguments = [
        "retention",
        MODEL,
        "--keep",
        "52w",
        "--full",
        "30d",
        "--sample",
        "0.1",
        "-w",
        str(house.workspace.root),
    ]
    said = CliRunner().invoke(app, arguments).output
    assert "Rows are removed after 364 days." in said
    assert house[MODEL].log_policy == LogPolicy(keep_days=364, full_days=30, sample_share=0.1)
    assert house[MODEL].audit(1)[0].act == "log policy"
