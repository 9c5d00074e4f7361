"""Sealing: from the spools to the Delta tables, exactly once, and only then out of the spools.

Every spool's progress is a mark in the table itself, written in the same commit as the rows. So a sealer may die
anywhere: the next one reads the mark, appends what lies above it, makes commits durable, and forgets what lies below.
Two sealers at once are safe too, since a commit fails when the table has moved on; the loser reads anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.errors import CommitConflict
from pilothouse.data.log.decode import Decoder, LabelDecoder, PredictionDecoder, decode
from pilothouse.data.log.pending import Budget, SpoolFile, Stored, pending
from pilothouse.data.log.repeats import Repeats, new_labels, new_predictions
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace

TURN = Budget(rows=200_000, size=64 * 1024 * 1024)
"""How much is sealed in one commit; it bounds memory."""

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What was sealed of one kind. `rows` are new; `repeats` were there already; `set_aside` could not be read."""

    rows: int = 0
    repeats: int = 0
    set_aside: int = 0

    def plus(self, other: Sealed) -> Sealed:
        return Sealed(
            rows=self.rows + other.rows,
            repeats=self.repeats + other.repeats,
            set_aside=self.set_aside + other.set_aside,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSeal:
    """What one model's spooled rows came to."""

    predictions: Sealed = Sealed()
    labels: Sealed = Sealed()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """What a call of `seal` did. `unknown`: models that have rows waiting but no signature was given for."""

    by_model: Mapping[str, ModelSeal] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def predictions(self) -> int:
        return sum(m.predictions.rows for m in self.by_model.values())

    @property
    def duplicates(self) -> int:
        return sum(m.predictions.repeats for m in self.by_model.values())

    @property
    def labels(self) -> int:
        return sum(m.labels.rows for m in self.by_model.values())

    @property
    def set_aside(self) -> int:
        return sum(m.predictions.set_aside + m.labels.set_aside for m in self.by_model.values())


Crash = Callable[[str], None]


def seal(
    workspace: Workspace,
    signatures: Mapping[str, Signature],
    settings: Settings,
    clock: Clock = utc_now,
    crash: Crash = lambda point: None,
) -> SealReport:
    """Move everything that waits in the workspace's spools into the tables of the models in `signatures`.

    Loops until a turn finds less than a turn may take. An entry that cannot be read is set aside in its spool.
    crash : called at "seal:read", "seal:appended", "seal:synced", "seal:forgotten", and "seal:labels-read" and so on.
    Raises CommitConflict when other writers keep winning; what was sealed before stays sealed.
    """
    with pending(workspace.spool) as spools:
        waiting = set().union(*(spool.waiting() for spool in spools))
        models = sorted({model for model, _ in waiting})
        by_model = {}
        for model in models:
            if model in signatures:
                streams = _streams(workspace, model, signatures[model], settings, crash)
                sealed = {s.kind: _seal_stream(s, spools, clock) for s in streams if (model, s.kind) in waiting}
                by_model[model] = ModelSeal(
                    predictions=sealed.get(EntryKind.PREDICTIONS, Sealed()),
                    labels=sealed.get(EntryKind.LABELS, Sealed()),
                )
        for spool in spools:
            spool.shrink()
    return SealReport(by_model=by_model, unknown=tuple(model for model in models if model not in signatures))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """Entries of one kind on their way from the spools to a table."""

    model: str
    kind: EntryKind
    folder: DeltaFolder
    decoder: Decoder
    new_rows: Repeats
    crash: Crash


def _streams(
    workspace: Workspace, model: str, signature: Signature, settings: Settings, crash: Crash
) -> tuple[_Stream, _Stream]:
    predictions = _Stream(
        model=model,
        kind=EntryKind.PREDICTIONS,
        folder=prediction_folder(workspace, model, signature),
        decoder=PredictionDecoder(signature),
        new_rows=new_predictions(settings.dedup_days),
        crash=lambda point: crash(f"seal:{point}"),
    )
    labels = _Stream(
        model=model,
        kind=EntryKind.LABELS,
        folder=label_folder(workspace, model, signature),
        decoder=LabelDecoder(signature),
        new_rows=new_labels,
        crash=lambda point: crash(f"seal:labels-{point}"),
    )
    return predictions, labels


def _seal_stream(stream: _Stream, spools: Sequence[SpoolFile], clock: Clock) -> Sealed:
    total, more = Sealed(), True
    while more:
        sealed, more = _retried(partial(_turn, stream, spools, clock))
        total = total.plus(sealed)
    return total


def _retried(turn: Callable[[], tuple[Sealed, bool]]) -> tuple[Sealed, bool]:
    """`turn` until nobody else commits in its middle. Whoever wins has moved the marks, so this ends."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return turn()
        except CommitConflict:
            continue
    return turn()


def _turn(stream: _Stream, spools: Sequence[SpoolFile], clock: Clock) -> tuple[Sealed, bool]:
    """Append what lies above the marks, make it durable, forget what lies below; and whether more may be waiting."""
    stream.folder.refresh()
    taken, full = _take(stream, spools)
    before = _last_durable(stream, spools)
    stream.crash("read")
    sealed = _append(stream, taken, clock) if taken else Sealed()
    stream.crash("appended")
    stream.folder.sync_since(before)
    stream.crash("synced")
    for spool in spools:
        if (mark := stream.folder.mark(spool.id)) is not None:
            spool.forget(stream.model, stream.kind, upto=mark)
    stream.crash("forgotten")
    return sealed, full


def _take(stream: _Stream, spools: Sequence[SpoolFile]) -> tuple[list[tuple[SpoolFile, list[Stored]]], bool]:
    """Entries above each spool's mark, as many as a turn may hold; and whether that limit was reached."""
    taken, budget = [], TURN
    for spool in spools:
        entries = spool.read(stream.model, stream.kind, after=stream.folder.mark(spool.id), budget=budget)
        if entries:
            taken.append((spool, entries))
            budget = budget.without(entries)
        if not budget.left:
            return taken, True
    return taken, False


def _last_durable(stream: _Stream, spools: Sequence[SpoolFile]) -> int | None:
    """The version up to which the table is known to be on disk.

    Rows that stand in a spool although the table has them were appended by a sealer that died before it could forget
    them, or is about to: its commits may not be durable yet.
    """
    unforgotten = {}
    for spool in spools:
        mark, oldest = stream.folder.mark(spool.id), spool.oldest(stream.model, stream.kind)
        if mark is not None and oldest is not None and oldest <= mark:
            unforgotten[spool.id] = oldest
    return stream.folder.version_before(unforgotten) if unforgotten else stream.folder.version


def _append(stream: _Stream, taken: Sequence[tuple[SpoolFile, list[Stored]]], clock: Clock) -> Sealed:
    """Decode, drop repeats, append. The marks move even when no row is new."""
    batches, set_aside = [], 0
    for spool, entries in taken:
        decoded = decode(stream.decoder, entries, spool.id)
        batches.append(decoded.table)
        rows = {stored.seq: stored.rows for stored in entries}
        for seq, reason in decoded.unreadable:
            spool.set_aside(seq, reason, clock())
            set_aside += rows[seq]
    batch = pa.concat_tables(batches)
    new = stream.new_rows(batch, stream.folder)
    stream.folder.append(new, {spool.id: entries[-1].seq for spool, entries in taken})
    return Sealed(rows=new.num_rows, repeats=batch.num_rows - new.num_rows, set_aside=set_aside)
