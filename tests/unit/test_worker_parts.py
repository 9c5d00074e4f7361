"""Slots, leases and faults of a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilothouse.data.errors import StoreBusy
from pilothouse.data.state.store import State
from pilothouse.ops.actors import local_operator
from pilothouse.ops.faults import Faults
from pilothouse.ops.holdings import TTL, Holdings
from pilothouse.ops.serving.loader import Loader
from pilothouse.ops.slots import Slot
from pilothouse.ops.supervisor import Child, Command
from pilothouse.ops.worker import main


class Watch:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 9, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(f"sqlite:///{tmp_path / 'state.sqlite'}")
    yield opened
    opened.close()


def test_a_slot_is_one_process_s_and_free_again_once_it_is_dead(tmp_path: Path) -> None:
    first, second = Slot.take(tmp_path, "worker"), Slot.take(tmp_path, "worker")
    assert (first.name, second.name) == ("worker-0", "worker-1")
    first.give_back()
    code = (
        "import os, sys; from pathlib import Path; from pilothouse.ops.slots import Slot;"
        "print(Slot.take(Path(sys.argv[1]), 'worker').name, flush=True); os._exit(137)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (died.stdout, died.returncode) == ("worker-0\n", 137)
    assert Slot.take(tmp_path, "worker").name == "worker-0"


def test_a_lease_is_held_by_one_until_it_is_let_go(state: State) -> None:
    watch = Watch()
    ours, theirs = Holdings(state, "a", watch), Holdings(state, "b", watch)
    assert ours.hold("fold flights")
    assert ours.hold("fold flights")
    assert not theirs.hold("fold flights")
    ours.release()
    assert theirs.hold("fold flights")


def test_a_restart_in_the_same_slot_need_not_wait_and_a_renewed_lease_does_not_run_out(state: State) -> None:
    watch = Watch()
    assert Holdings(state, "a", watch).hold("seal")
    reborn, other = Holdings(state, "a", watch), Holdings(state, "b", watch)
    assert reborn.hold("seal")
    watch.now += 0.9 * TTL
    reborn.renew()
    watch.now += 0.9 * TTL
    assert not other.hold("seal")


def test_a_lease_that_ran_out_and_went_to_another_is_dropped(state: State) -> None:
    watch = Watch()
    sleeper, other = Holdings(state, "a", watch), Holdings(state, "b", watch)
    assert sleeper.hold("seal")
    watch.now += TTL + timedelta(seconds=1)
    assert other.hold("seal")
    sleeper.renew()
    assert not sleeper.hold("seal")


def test_a_fault_is_shown_until_its_task_succeeds_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for _ in range(3):
        with faults.watch("fold flights"):
            raise ValueError("no profile")
    with faults.watch("seal"):
        pass
    assert faults.listing() == ["fold flights: ValueError: no profile"]
    assert [r.getMessage() for r in caplog.records] == ["fold flights failed"]
    with faults.watch("fold flights"):
        pass
    assert faults.listing() == []


def test_a_worker_needs_a_workspace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--workspace", str(tmp_path)]) == 4
    assert "is not a Pilothouse workspace" in caplog.text


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert local_operator().name == f"user {os.getuid()} (local)"


def test_a_dead_child_s_session_is_ended_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    child = Child(Command(name="service", argv=["no_such_module"]), tmp_path / "service.log")
    child.process.wait()
    monkeypatch.setattr("os.killpg", lambda pid, _signal: ended.append(pid))
    child.bury()
    child.bury()
    assert ended == [child.process.pid]


def test_the_loader_looks_again_when_the_store_was_busy(tmp_path: Path, state: State) -> None:
    class Models:
        looks = 0

        def sync(self) -> list[object]:
            self.looks += 1
            if self.looks == 1:
                raise StoreBusy("The state store")
            return []

        def take_switched(self) -> list[object]:
            return []

    models = Models()
    loader = Loader(
        models, state, process_id="p", lock_file=tmp_path / "lock", clock=Watch(),  # type: ignore[arg-type]
        followed=lambda _: None, looked=lambda: None, place=lambda: None, loaded=lambda *_: None,
    )  # fmt: skip
    with pytest.raises(StoreBusy):
        loader._look()
    for _ in range(2):
        loader._look()
    assert models.looks == 2
    loader.stop()
