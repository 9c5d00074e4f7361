"""Erasing one entity from a model: everywhere the workspace keeps it, with a receipt of what was looked at and removed.

Each step may be done twice. The rows of the prediction table, by which everything else is found, go last; what an
interrupted erasure had removed before is kept in a note, so that the receipt of the one that ends it is whole.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pilothouse.data.errors import NoReason, NotSentYet
from pilothouse.data.log import erasure as steps
from pilothouse.data.log.door import pseudonym
from pilothouse.data.log.rewrite import ModelLog, Rewritten
from pilothouse.data.log.seal import seal
from pilothouse.data.policies import ColumnClass
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.state import audit, catalog
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.store import write_durably
from pilothouse.ops.actors import Right, require
from pilothouse.ops.forward.status import unsent
from pilothouse.ops.governance.log_policy import model_log
from pilothouse.ops.holdings import borrowed
from pilothouse.ops.pipeline import snapshot
from pilothouse.ops.references import ENTITY

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

_PARQUET = b"PAR1"
_NOT_REACHED = (
    "backups made before, and copies that were exported or downloaded: erase there too, or let them run out",
    "fitted models: they hold what they learned, not rows; retrain to learn without these",
    "roll-ups and the reference profile: counts and sums over many rows, without ids",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place that was looked at. files : those rewritten or deleted, by path in the workspace; new : their heirs."""

    name: str
    looked_at: int
    rows_removed: int
    files: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an erasure did. entity : a keyed hash of the name, never the name.

    leftovers : files in which the name can still be read after it; none when the erasure is complete. waiting : rows of
    the entity that arrived while it was under way. dry_run : nothing was removed; the counts say what would be.
    """

    model: str
    entity: str
    reason: str
    actor: str
    at: datetime
    places: tuple[Place, ...]
    leftovers: tuple[str, ...] = ()
    waiting: int = 0
    not_reached: tuple[str, ...] = _NOT_REACHED
    dry_run: bool = False

    @property
    def rows_removed(self) -> int:
        return sum(place.rows_removed for place in self.places)

    @property
    def complete(self) -> bool:
        return not (self.leftovers or self.waiting or self.dry_run)


def erase(handle: ModelHandle, entity: str, *, reason: str, dry_run: bool = False) -> Receipt:
    """Remove every row of `entity` from the model's log and what was made of it; returns the receipt, which is kept.

    entity : as callers send it; where the model's classes have it hashed, its hash is looked for.
    Raises NotAllowed, NoReason, NotSentYet, StoreBusy (try again: what was done stays done), DamagedFile.
    """
    house = handle.house
    require(house.state, house.actor, Right.ADMIN, "erase an entity of", handle.name, house.clock)
    if not reason.strip():
        raise NoReason("An erasure")
    waiting = 0 if dry_run else unsent(house.workspace, house.state, house.settings, handle.name)
    if waiting:
        raise NotSentYet(handle.name, waiting)
    names = (f"seal {socket.gethostname()}", f"fold {handle.name}")
    with borrowed(house.state, house.clock, *names):
        return _Erasure(handle, model_log(handle), entity, reason).run(dry_run)


def receipts(handle: ModelHandle) -> tuple[Receipt, ...]:
    """Receipts of the model's erasures, newest first."""
    found = [msgspec.json.decode(path.read_bytes(), type=Receipt) for path in _folder(handle).glob("receipt-*.json")]
    return tuple(sorted(found, key=lambda receipt: receipt.at, reverse=True))


@dataclass(frozen=True, slots=True)
class _Erasure:
    handle: ModelHandle
    log: ModelLog
    name: str
    reason: str

    def run(self, dry_run: bool) -> Receipt:
        handle = self.handle
        seal(handle.house.workspace, {handle.name: handle.signature}, handle.house.settings, clock=handle.house.clock)
        predictions, labels, _ = self.log.folded()
        traces = steps.trace(self.log, predictions, self.logged)
        if dry_run:
            found = Place(name="predictions", looked_at=len(predictions.files()), rows_removed=traces.rows)
            return replace(self._receipt([found]), dry_run=True)
        self._kept(self._snapshots(traces.ids))
        told = steps.forget_labels(self.log, predictions, labels, traces)
        self._kept([_place("labels", len(labels.files(check=False)), told)])
        self._kept(self._references())
        gone = steps.forget_rows(self.log, predictions, traces)
        self._kept([_place("predictions", len(predictions.files(check=False)), gone)])
        self.log.crash("erase:rows")
        self.log.fold()
        purged = steps.purge_tables(predictions, labels)
        self._kept([Place(name="older versions", looked_at=len(purged), rows_removed=0, files=tuple(purged))])
        deleted, waiting = steps.clean_spools(handle.house.workspace, handle.name, self.logged)
        self._kept([Place(name="rows set aside in spools", looked_at=deleted, rows_removed=deleted)])
        left = tuple(steps.leftovers(handle.house.workspace, self.logged))
        receipt = replace(self._receipt(self._so_far()), leftovers=left, waiting=waiting)
        self._hand_over(receipt)
        return receipt

    @property
    def logged(self) -> str:
        """The entity as the log has it."""
        handle = self.handle
        value = handle.door.value(self.name, handle.row.classes.get(ENTITY, ColumnClass.PLAIN))
        return self.name if value is None else str(value)

    @property
    def pseudonym(self) -> str:
        return pseudonym(self.handle.house.workspace, self.name)

    def _snapshots(self, ids: frozenset[str]) -> list[Place]:
        """Training snapshots without the rows: under another hash, which runs and versions are told of."""
        house, looked, places = self.handle.house, 0, []
        for path in sorted(house.store.root.iterdir()):
            if not _is_snapshot(path):
                continue
            looked += 1
            rows = snapshot.read(house.store, path.name)
            kept = rows.filter(~pl.col("prediction_id").is_in(list(ids)))
            if kept.height == rows.height:
                continue
            new = snapshot.keep(house.store, kept)
            note = {"at": house.clock().isoformat(), "rows": rows.height - kept.height, "was": path.name}
            with house.state.write() as conn:
                catalog.replace_snapshot(conn, path.name, new, note)
            path.unlink()
            places.append(
                Place(
                    name="training snapshot", looked_at=1, rows_removed=rows.height - kept.height,
                    files=(f"store/{path.name}",), new=(f"store/{new}",),
                )
            )  # fmt: skip
        return places or [Place(name="training snapshots", looked_at=looked, rows_removed=0)]

    def _references(self) -> list[Place]:
        """The reference holds no ids: rows go that have the entity's name as a value, and so does such an example."""
        handle, places = self.handle, []
        root = handle.house.workspace.reference(handle.name, handle.row.profile_id).parent
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            removed = _from_sample(folder, self.logged) + _from_example(folder, self.logged)
            places.append(Place(name=f"reference {folder.name}", looked_at=1, rows_removed=removed))
        return places

    def _receipt(self, places: Iterable[Place]) -> Receipt:
        house = self.handle.house
        return Receipt(
            model=self.handle.name, entity=self.pseudonym, reason=self.reason, actor=house.actor.name, at=house.clock(),
            places=tuple(places),
        )  # fmt: skip

    def _kept(self, places: Sequence[Place]) -> None:
        """Note what has been done, for the receipt, before the next step."""
        done = [*self._so_far(), *(place for place in places if place.rows_removed or place.files)]
        looked = [place for place in places if not (place.rows_removed or place.files)]
        known = {place.name for place in done}
        write_durably(self._note, msgspec.json.encode([*done, *(place for place in looked if place.name not in known)]))

    def _so_far(self) -> list[Place]:
        return msgspec.json.decode(self._note.read_bytes(), type=list[Place]) if self._note.exists() else []

    @property
    def _note(self) -> Path:
        return _folder(self.handle) / f"begun-{self.pseudonym}.json"

    def _hand_over(self, receipt: Receipt) -> None:
        file = _folder(self.handle) / f"receipt-{receipt.at:%Y%m%dT%H%M%S%f}-{receipt.entity[:8]}.json"
        write_durably(file, msgspec.json.encode(receipt))
        details = {
            "entity": receipt.entity, "reason": self.reason, "rows": receipt.rows_removed, "receipt": file.name,
            "complete": receipt.complete,
        }  # fmt: skip
        house = self.handle.house
        with house.state.write() as conn:
            audit.append(
                conn, actor=house.actor.name, act="erase", target=self.handle.name, details=details, at=receipt.at
            )
        self._note.unlink()


def erased_rows(version: VersionRow) -> int:
    """Rows that erasures have taken out of the version's training snapshot since it was judged."""
    return sum(int(note["rows"]) for note in (version.scorecard or {}).get("erased", []))


def _place(name: str, looked_at: int, done: Rewritten) -> Place:
    return Place(
        name=name, looked_at=looked_at, rows_removed=done.rows_before - done.rows_after,
        files=tuple(Path(path).name for path in done.files), new=tuple(Path(path).name for path in done.written),
    )  # fmt: skip


def _folder(handle: ModelHandle) -> Path:
    return handle.house.workspace.root / "erasures" / handle.name


def _is_snapshot(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(len(_PARQUET)) != _PARQUET:
            return False
    return "prediction_id" in pl.read_parquet_schema(path)


def _from_sample(folder: Path, entity: str) -> int:
    path = folder / Profile.SAMPLE
    if not path.exists():
        return 0
    rows = pl.read_parquet(path)
    texts = [name for name, kind in rows.schema.items() if kind == pl.String]
    kept = rows.filter(~pl.any_horizontal([pl.col(name).eq_missing(entity) for name in texts] or [pl.lit(False)]))
    if kept.height < rows.height:
        from io import BytesIO

        content = BytesIO()
        kept.write_parquet(content)
        write_durably(path, content.getvalue())
    return rows.height - kept.height


def _from_example(folder: Path, entity: str) -> int:
    path = folder / "example.json"
    example = json.loads(path.read_text()) if path.exists() else {}
    if entity not in example.values():
        return 0
    clean = {name: None if value == entity else value for name, value in example.items()}
    write_durably(path, json.dumps(clean).encode())
    return 1
