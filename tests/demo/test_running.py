"""`pilothouse demo` as a person runs it: ready, Ctrl-C, again; nothing is left running and nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
from tests.support.running import Running, running

from pilothouse.app.house import House


def logged(workspace: Path) -> tuple[int, int]:
    """Rows of the log and how many of them are distinct, sealed or not."""
    house = House.open(workspace)
    ids = house["flights"].prediction_log.predictions(columns=["prediction_id"])["prediction_id"]
    house.close()
    return ids.len(), ids.n_unique()


def sent(workspace: Path) -> int:
    count: int = json.loads((workspace / "demo-traffic.json").read_text())["sent"]
    return count


def run_a_while(workspace: Path) -> Running:
    with running(["demo", "--workspace", str(workspace), "--rate", "25"]) as started:
        time.sleep(4)
        below = [psutil.Process(pid) for pid in started.pids()]
        assert len(below) >= 5, "service with two workers, worker, dashboard, traffic"
        assert started.stop() == 0
        _, left = psutil.wait_procs(below, timeout=3)
        assert [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
        assert started.lines[-1] == "ended"
    return started


def test_ctrl_c_ends_every_process_and_a_restart_loses_nothing(demo: Path) -> None:
    before, _ = logged(demo)
    first = run_a_while(demo)
    after_first = sent(demo)
    assert after_first > 0
    second = run_a_while(demo)
    print(f"ready after {first.seconds:.1f} s and {second.seconds:.1f} s; {sent(demo)} flights sent in two runs")
    assert sent(demo) > after_first
    assert logged(demo) == (before + sent(demo), before + sent(demo))
