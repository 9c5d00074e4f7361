"""The demo's two verdicts, from a real worker: in September the challenger is promoted, in November it is kept back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import running_worker

from pilothouse.app.house import House


def pilothouse(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pilothouse.app.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def retrained(workspace: Path) -> dict[str, Any]:
    """What the command prints as JSON once a worker has run it to its end."""
    house = House.open(workspace)
    with running_worker(house):
        done = pilothouse("retrain", "flights", "--wait", "--json", "--workspace", str(workspace))
    assert done.returncode == 0, done.stderr
    run: dict[str, Any] = json.loads(done.stdout)
    house.close()
    return run


def test_in_september_the_challenger_gains_and_can_be_promoted_and_rolled_back(demo: Path) -> None:
    run = retrained(demo)
    card = run["outcome"]
    print(pilothouse("runs", run["id"], "--workspace", str(demo)).stdout)
    assert (run["state"], run["verdict"], run["version"]) == ("succeeded", "promote", 2)
    assert card["rows"] == 12_607
    assert card["champion"]["roc_auc"]["value"] == pytest.approx(0.666, abs=0.005)
    assert card["gain"]["value"] == pytest.approx(0.059, abs=0.01)
    assert card["gain"]["low"] > 0.04
    promoted = pilothouse("promote", "flights", "2", "--reason", "gains", "--workspace", str(demo))
    assert "version 2 is the champion, in the place of version 1" in promoted.stdout
    again = pilothouse("promote", "flights", "2", "--reason", "gains", "--workspace", str(demo))
    assert (again.returncode, again.stderr) == (
        5,
        "pilothouse: Version 2 is the champion of flights already; nothing was changed.\n",
    )
    back = pilothouse("rollback", "flights", "--reason", "a drill", "--workspace", str(demo))
    assert "version 1 is the champion, in the place of version 2" in back.stdout
    nothing = pilothouse("rollback", "flights", "--reason", "again", "--workspace", str(demo))
    assert nothing.returncode == 5
    assert pilothouse("audit", "verify", "--workspace", str(demo)).stdout == "The audit trail is whole.\n"


def test_in_november_the_gate_keeps_the_champion_and_says_why(november: Path, tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(november, tmp_path / "demo"))
    run = retrained(workspace)
    print(pilothouse("runs", run["id"], "--workspace", str(workspace)).stdout)
    card = run["outcome"]
    assert (run["state"], run["verdict"]) == ("succeeded", "keep")
    assert card["gain"]["value"] == pytest.approx(-0.041, abs=0.01)
    assert "it loses 0.04" in card["decision"]["reason"]
    assert "the policy asks for a gain of 0.010" in card["decision"]["reason"]
    house = House.open(workspace)
    assert house["flights"].champion.version == 1  # type: ignore[union-attr]
    assert [v.version for v in house["flights"].versions] == [2, 1], "the evidence stays"
    house.close()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["drift", "fligths"], 4, "No model is named 'fligths'. Registered: flights. Did you mean 'flights'?"),
        (["drift", "flights", "--window", "soon"], 6, "'soon' is not a window. Use 7d"),
        (["promote", "flights", "9", "--reason", "r"], 4, "flights has no version 9. It has: 1."),
        (["rollback", "flights", "--reason", "r"], 5, "flights has no earlier champion to return to"),
        (["runs", "nonsense"], 4, "No run has the id 'nonsense'"),
    ],
)
def test_the_command_line_says_what_is_wrong(september: Path, arguments: list[str], code: int, says: str) -> None:
    done = pilothouse(*arguments, "--workspace", str(september))
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_machine_readable_shapes_hold(september: Path) -> None:
    drift = json.loads(pilothouse("drift", "flights", "--window", "14d", "--json", "-w", str(september)).stdout)
    assert {"model", "version", "window", "reference", "watermark", "rows", "features"} <= set(drift)
    assert {"start", "end"} == set(drift["window"])
    wanted = {
        "name",
        "kind",
        "psi",
        "ks",
        "ks_p",
        "wasserstein",
        "jensen_shannon",
        "missing",
        "new_share",
        "impact",
        "state",
        "reason",
    }
    assert wanted <= set(drift["features"][0])
    measured = json.loads(pilothouse("performance", "flights", "--json", "-w", str(september)).stdout)
    assert {"model", "window", "watermark", "rows", "labelled", "coverage", "metrics"} <= set(measured)
    assert set(measured["metrics"]["roc_auc"]) >= {"value", "low", "high", "kind"}
    status = json.loads(pilothouse("status", "--json", "-w", str(september)).stdout)
    assert {"name", "champion", "challengers", "state", "last_prediction_at"} <= set(status["models"][0])
