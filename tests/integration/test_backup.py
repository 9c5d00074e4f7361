"""Safety copies: taken while everything writes, put back after a loss, refused when they are not whole."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.faults.load import Load
from tests.support.postgres import PASSWORD, Postgres
from tests.support.processes import running_service, running_worker, wait_until
from tests.support.small import MODEL, ROW, make_small
from typer.testing import CliRunner

import pilothouse as ph
from pilothouse.app.cli.commands import app
from pilothouse.data.copies.delta import pin
from pilothouse.data.copies.vault import Vault
from pilothouse.data.errors import AlreadyExists, BadBackup, NotAllowed, StoreBusy, UnknownBackup
from pilothouse.data.log.entries import PredictionEntry
from pilothouse.data.log.spool import Spool
from pilothouse.data.rollups.recount import counted_days, recount
from pilothouse.data.state import processes
from pilothouse.data.windows import utc_now
from pilothouse.ops.actors import Actor, Right, local_operator
from pilothouse.ops.backup.backup import back_up, verify
from pilothouse.ops.backup.restore import restore
from pilothouse.ops.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = make_small(tmp_path / "workspace")
    yield made
    made.close()


def log_rows(house: House, ids: list[str]) -> None:
    """Predictions acknowledged through the spool, whether sealed afterwards or not."""
    with Spool.open(house.workspace.spool, "test") as spool:
        entry = PredictionEntry(
            version=1, ids=ids, rows=[dict(ROW) for _ in ids], predictions=[0] * len(ids), scores=[0.25] * len(ids),
            logged_at=int(utc_now().timestamp() * 1e6),
        )  # fmt: skip
        spool.append(entry.entry(MODEL, caller_ids=False))


def logged(house: House) -> list[str]:
    return sorted(house[MODEL].prediction_log.labelled(columns=("prediction_id",))["prediction_id"])


def differing_cells(house: House) -> int:
    """Cells of the roll-ups that a count of the log would change."""
    handle, found = house[MODEL], []
    for day in counted_days(house.workspace, MODEL, house.settings):
        found.append(
            recount(
                house.workspace, MODEL, handle.signature, handle.profile, handle.label_policy, house.settings, day
            )
        )  # fmt: skip
    assert sum(report.cells for report in found) > 0
    return sum(report.differing for report in found)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_was_acknowledged_before_the_point_is_back_and_the_load_goes_on(
    tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    server: Postgres | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    house = make_small(tmp_path / "workspace", settings_of(server))
    with ExitStack() as stack:
        service = stack.enter_context(running_service(house))
        stack.enter_context(running_worker(house))
        load = stack.enter_context(Load(service, "r").going())
        wait_until(lambda: len(load.labelled) > 50 and pin(house.workspace.predictions(MODEL)) is not None, 60)
        house.backup(tmp_path / "copy")
        wait_until(further(load), 60)
        before, labelled = set(load.predicted), set(load.labelled)
        done = house.backup(tmp_path / "copy")
        wait_until(further(load), 60)
    assert load.refused == []
    house.close()
    shutil.rmtree(house.workspace.root)

    url = server.new_database() if server else None
    restored = restore(tmp_path / "copy", tmp_path / "again", local_operator(), state_url=url)
    assert (restored.point, restored.models, restored.audit_broken_at) == (done.point, (MODEL,), None)
    again = House.open(restored.workspace)
    with running_service(again) as service, running_worker(again):
        with Load(service, "s").going() as more:
            wait_until(lambda: len(more.predicted) > 50, 60)
    again.catch_up()
    rows = again[MODEL].prediction_log.labelled(columns=("prediction_id",))
    found = rows["prediction_id"].to_list()
    assert len(found) == len(set(found))
    assert before | more.predicted <= set(found)
    told = set(rows.drop_nulls("label")["prediction_id"])
    assert labelled | more.labelled <= told
    assert differing_cells(again) == 0
    assert again.verify_audit() is None
    assert [row.act for row in again.audit()][:1] == ["restore"]
    again.close()


def settings_of(server: Postgres | None) -> str:
    if server is None:
        return ""
    return f'state_url = "{server.new_database()}"\njobs_url = "{server.new_database()}"\n'


def further(load: Load) -> Callable[[], bool]:
    """A question: has the load come a good deal further since now?"""
    seen = len(load.predicted)
    return lambda: len(load.predicted) > seen + 30


def test_rows_that_went_from_spool_to_table_in_the_middle_are_there_once_and_new_ones_are_kept(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_rows(house, ["a", "b"])

    def sealed_in_between(folder: Path) -> list[Path]:
        from pilothouse.data.copies.delta import tables_below

        log_rows(house, ["c"])
        house.catch_up()
        return tables_below(folder)

    monkeypatch.setattr("pilothouse.data.copies.take.tables_below", sealed_in_between)
    house.backup(tmp_path / "copy")
    again = ph.restore(tmp_path / "copy", tmp_path / "again")
    again.catch_up()
    assert logged(again) == ["a", "b", "c"]
    # The spool's copy is older than the table's: its numbers must not be given out a second time.
    log_rows(again, ["d"])
    again.catch_up()
    assert logged(again) == ["a", "b", "c", "d"]
    assert differing_cells(again) == 0
    again.close()


def test_a_second_copy_reads_what_is_new_and_drops_what_is_gone(tmp_path: Path, house: House) -> None:
    log_rows(house, ["a"])
    house.catch_up()
    (house.workspace.root / "note.txt").write_text("to be removed")
    first = house.backup(tmp_path / "copy")
    assert first.read == first.size
    assert house.last_backup is not None
    assert (house.last_backup.point, house.last_backup.verified_at) == (first.point, None)
    (house.workspace.root / "note.txt").unlink()
    log_rows(house, ["b"])
    house.catch_up()
    second = house.backup(tmp_path / "copy")
    sealed = sum(p.stat().st_size for p in (house.workspace.root / "tables").rglob("*.parquet"))
    assert second.read < second.size
    assert second.read < first.read + sealed
    contents = [p for p in (tmp_path / "copy" / "contents").rglob("*") if p.is_file()]
    assert "to be removed" not in {p.read_bytes()[:13].decode(errors="ignore") for p in contents}
    verify(tmp_path / "copy")
    assert house.last_backup.verified_at is not None
    again = ph.restore(tmp_path / "copy", tmp_path / "again")
    assert logged(again) == ["a", "b"]
    again.close()


def test_a_copy_killed_in_the_middle_leaves_the_one_before(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.backup(tmp_path / "copy")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    log_rows(house, ["a"])
    house.catch_up()
    with monkeypatch.context() as patched:
        patched.setattr(Vault, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            house.backup(tmp_path / "copy")
    assert verify(tmp_path / "copy").point == first.point
    house.backup(tmp_path / "copy")
    assert not list((tmp_path / "copy").glob(".scratch-*"))


def test_files_that_vanish_while_they_are_copied_make_it_look_again(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_rows(house, ["a"])
    house.catch_up()
    seen: list[Path] = []

    def erased(source: Path) -> tuple[str, int]:
        if source.suffix == ".parquet" and not seen:
            seen.append(source)
            raise FileNotFoundError(source)
        return linked(vault, source)

    linked, vault = Vault._linked, Vault((tmp_path / "copy").resolve())
    monkeypatch.setattr(Vault, "_linked", lambda _self, source: erased(source))
    house.backup(tmp_path / "copy")
    assert seen
    assert verify(tmp_path / "copy").damaged == ()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has been changed or cut off"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "has been changed or cut off"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_copy_that_is_not_whole_is_not_restored(
    tmp_path: Path, house: House, harm: Callable[[Path], object], says: str
) -> None:
    house.backup(tmp_path / "copy", link=False)
    victim = max(
        (p for p in (tmp_path / "copy" / "contents").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    harm(victim)
    with pytest.raises(BadBackup, match=says):
        ph.restore(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_manifest_that_was_changed_is_refused_and_leads_nowhere(tmp_path: Path, house: House) -> None:
    house.backup(tmp_path / "copy")
    manifest = tmp_path / "copy" / "backup.json"
    facts = json.loads(manifest.read_text())
    facts["files"][0]["path"] = "../../outside"
    manifest.write_text(json.dumps(facts))
    with pytest.raises(BadBackup, match="its manifest has been changed"):
        verify(tmp_path / "copy")


def test_what_stands_is_not_written_over(tmp_path: Path, house: House) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(AlreadyExists, match="holds other things, exists already"):
        house.backup(tmp_path / "other")
    with pytest.raises(BadBackup, match="inside the workspace"):
        house.backup(house.workspace.root / "copy")
    with pytest.raises(UnknownBackup, match="holds no backup"):
        ph.restore(tmp_path / "other", tmp_path / "again")
    house.backup(tmp_path / "copy")
    with pytest.raises(AlreadyExists, match="a restore replaces nothing"):
        ph.restore(tmp_path / "copy", house.workspace.root)
    with Vault.opened(tmp_path / "copy", make=True), pytest.raises(StoreBusy, match=r"The backup in .* is busy"):
        house.backup(tmp_path / "copy")
    analyst = Actor(name="ann", roles=frozenset({Right.ANALYST}))
    with pytest.raises(NotAllowed, match="ann may not back up workspace: it needs the role admin"):
        back_up(house.workspace, house.state, analyst, tmp_path / "hers")


def test_a_file_that_was_damaged_already_is_named_and_kept(tmp_path: Path, house: House) -> None:
    log_rows(house, ["a"])
    house.catch_up()
    pinned = pin(house.workspace.predictions(MODEL))
    assert pinned is not None
    victim = next(path for path in pinned.files if path.suffix == ".parquet")
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    done = house.backup(tmp_path / "copy")
    assert [Path(name).name for name in done.damaged] == [victim.name]


def test_the_state_moves_between_the_databases_and_no_password_travels(tmp_path: Path, postgres: Postgres) -> None:
    here = make_small(tmp_path / "workspace", f'state_url = "{postgres.new_database()}"\n')
    with here.state.write() as conn:
        asked = [processes.request_preparation(conn, MODEL, 1, utc_now()).seq for _ in range(3)]
    here.backup(tmp_path / "copy")
    there = ph.restore(tmp_path / "copy", tmp_path / "file")
    assert [v.version for v in there[MODEL].versions] == [1]
    assert there.audit(limit=9)[1:] == here.audit(limit=9)[1:]
    assert PASSWORD not in (tmp_path / "file" / "pilothouse.toml").read_text()
    there.backup(tmp_path / "copy of file")
    filled = here.settings.state_url
    with pytest.raises(AlreadyExists, match="A state in that database exists already"):
        ph.restore(tmp_path / "copy of file", tmp_path / "refused", state_url=filled)
    assert not (tmp_path / "refused").exists()
    back = ph.restore(tmp_path / "copy of file", tmp_path / "database", state_url=postgres.new_database())
    assert back.verify_audit() is None
    assert not (tmp_path / "database" / "state.sqlite").exists()
    with back.state.write() as conn:
        assert processes.request_preparation(conn, MODEL, 1, utc_now()).seq == asked[-1] + 1
    for opened in (here, there, back):
        opened.close()
    for path in (tmp_path / "copy").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_the_commands_say_up_to_which_moment(tmp_path: Path, house: House) -> None:
    run, copy, new = CliRunner(), str(tmp_path / "copy"), str(tmp_path / "again")
    made = run.invoke(app, ["backup", copy, "-w", str(house.workspace.root), "--json"])
    assert made.exit_code == 0
    point = datetime.fromisoformat(json.loads(made.stdout)["point"])
    read = run.invoke(app, ["backup", copy, "--verify"])
    assert f"is whole: {json.loads(made.stdout)['files']} files" in read.stdout.replace("\n", " ")
    back = run.invoke(app, ["restore", copy, "--workspace", new])
    assert f"Every row acknowledged before {point.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC is back" in back.stdout
    assert "Restored 1 models" in back.stdout
    assert (os.stat(new).st_mode & 0o777, os.stat(Path(new, "state.sqlite")).st_mode & 0o777) == (0o700, 0o600)


def test_two_backups_at_once_do_not_mix(tmp_path: Path, house: House) -> None:
    refused: list[StoreBusy] = []

    def copy() -> None:
        try:
            back_up(house.workspace, house.state, house.actor, tmp_path / "copy")
        except StoreBusy as error:
            refused.append(error)

    threads = [threading.Thread(target=copy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) < 3
    verify(tmp_path / "copy")
