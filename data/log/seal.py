"""Sealing: from the spools to the Delta tables, exactly once, and only then out of the spools.

Every spool's progress is a mark in the table itself, written in the same commit as the rows. So a sealer may die
anywhere: the next one reads the mark, appends what lies above it, and forgets what lies below: a mark that can be read
stands in a commit that is durable.
Two sealers at once are safe too, since a commit fails when the table has moved on; the loser reads anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import pyarrow as pa

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.errors import CommitConflict, DamagedFile
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
_T = TypeVar("_T")


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
    """What a call of `seal` did.

    unknown : models that have rows waiting but no signature was given for. strays : rows set aside whose model cannot be
    told any more. damaged : spool files that cannot be read, or that have lost entries; all that can be read was sealed.
    """

    by_model: Mapping[str, ModelSeal] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    strays: int = 0
    damaged: tuple[DamagedFile, ...] = ()

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
        return self.strays + sum(m.predictions.set_aside + m.labels.set_aside for m in self.by_model.values())


Crash = Callable[[str], None]
Sent = Callable[[str, str, EntryKind], int]
"""(spool, model, kind) -> the entry up to which a central house has it: what lies above stays in the spool."""


def seal(
    workspace: Workspace,
    signatures: Mapping[str, Signature],
    settings: Settings,
    clock: Clock = utc_now,
    crash: Crash = lambda point: None,
) -> SealReport:
    """One `Sealer.seal`, for who seals once."""
    return Sealer(workspace, settings, clock=clock, crash=crash).seal(signatures)


class Sealer:
    """Seals the spools of a workspace, again and again. It keeps the tables open, which spares a third of a small seal.

    sent : None where nothing is sent on.
    crash : called at "seal:read", "seal:written" (the data files), "seal:committed" (not synced yet), "seal:appended",
    "seal:forgotten", and at "seal:labels-read" and so on.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        clock: Clock = utc_now,
        crash: Crash = lambda point: None,
        sent: Sent | None = None,
    ) -> None:
        self._workspace, self._settings, self._clock, self._crash = workspace, settings, clock, crash
        self._sent = sent
        self._streams: dict[str, tuple[Signature, tuple[_Stream, _Stream]]] = {}

    def seal(self, signatures: Mapping[str, Signature]) -> SealReport:
        """Move everything that waits in the workspace's spools into the tables of the models in `signatures`.

        Loops until a turn finds less than a turn may take. An entry that cannot be read is set aside in its spool.
        Raises CommitConflict when other writers keep winning; what was sealed before stays sealed.
        """
        damaged: list[DamagedFile] = []
        with pending(self._workspace.spool, left_out=damaged) as found:
            spools = _Spools(found, damaged)
            # What a damaged spool has lost is named in `damaged`; what it still has goes on.
            spools.each(lambda spool: spool.give_up_missing(self._clock()))
            strays = sum(spools.each(lambda spool: _set_aside(spool, spool.strays(signatures), self._clock)))
            waiting: set[tuple[str, EntryKind]] = set().union(*spools.each(SpoolFile.waiting))
            models = sorted({model for model, _ in waiting})
            by_model = {
                model: self._seal_model(model, signatures[model], spools, waiting)
                for model in models
                if model in signatures
            }
            spools.each(SpoolFile.shrink)
        unknown = tuple(model for model in models if model not in signatures)
        return SealReport(by_model=by_model, unknown=unknown, strays=strays, damaged=tuple(damaged))

    def _seal_model(
        self, model: str, signature: Signature, spools: _Spools, waiting: set[tuple[str, EntryKind]]
    ) -> ModelSeal:
        known = self._streams.get(model)
        if known is None or known[0] != signature:
            known = signature, _streams(self._workspace, model, signature, self._settings, self._crash, self._sent)
            self._streams[model] = known
        streams = [stream for stream in known[1] if (model, stream.kind) in waiting]
        sealed = {stream.kind: _seal_stream(stream, spools, self._clock) for stream in streams}
        return ModelSeal(
            predictions=sealed.get(EntryKind.PREDICTIONS, Sealed()), labels=sealed.get(EntryKind.LABELS, Sealed())
        )


class _Spools:
    """The spool files of a seal. One that turns out to be damaged is left out from then on; the others go on."""

    def __init__(self, files: Sequence[SpoolFile], damaged: list[DamagedFile]) -> None:
        self._files, self._damaged = list(files), damaged

    def each(self, act: Callable[[SpoolFile], _T]) -> list[_T]:
        """What `act` gives for every file that can be read."""
        given = []
        for file in tuple(self._files):
            try:
                given.append(act(file))
            except DamagedFile as damage:
                self._files.remove(file)
                self._damaged.append(damage)
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """Entries of one kind on their way from the spools to a table."""

    model: str
    kind: EntryKind
    folder: DeltaFolder
    decoder: Decoder
    new_rows: Repeats
    crash: Crash
    sent: Sent | None


def _streams(
    workspace: Workspace, model: str, signature: Signature, settings: Settings, crash: Crash, sent: Sent | None
) -> tuple[_Stream, _Stream]:
    def at(point: str) -> None:
        crash(f"seal:{point}")

    def at_labels(point: str) -> None:
        crash(f"seal:labels-{point}")

    predictions = _Stream(
        model=model,
        kind=EntryKind.PREDICTIONS,
        folder=prediction_folder(workspace, model, signature, crash=at),
        decoder=PredictionDecoder(signature),
        new_rows=new_predictions(settings.dedup_days),
        crash=at,
        sent=sent,
    )
    labels = _Stream(
        model=model,
        kind=EntryKind.LABELS,
        folder=label_folder(workspace, model, signature, crash=at_labels),
        decoder=LabelDecoder(signature),
        new_rows=new_labels(settings.dedup_days),
        crash=at_labels,
        sent=sent,
    )
    return predictions, labels


def _seal_stream(stream: _Stream, spools: _Spools, clock: Clock) -> Sealed:
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


def _turn(stream: _Stream, spools: _Spools, clock: Clock) -> tuple[Sealed, bool]:
    """Append what lies above the marks, forget what lies below, which is durable; and whether more may be waiting."""
    stream.folder.refresh()
    taken, full = _take(stream, spools)
    stream.crash("read")
    sealed = _append(stream, taken, clock) if taken else Sealed()
    stream.crash("appended")
    marks = {spool.id: stream.folder.mark(spool.id) for spool in spools.each(lambda spool: spool)}
    spools.each(lambda spool: _forget(spool, stream, marks[spool.id]))
    stream.crash("forgotten")
    return sealed, full


def _forget(spool: SpoolFile, stream: _Stream, mark: int | None) -> None:
    if mark is not None:
        upto = mark if stream.sent is None else min(mark, stream.sent(spool.id, stream.model, stream.kind))
        spool.forget(stream.model, stream.kind, upto=upto)


def _take(stream: _Stream, spools: _Spools) -> tuple[list[tuple[SpoolFile, list[Stored]]], bool]:
    """Entries above each spool's mark, as many as a turn may hold; and whether that limit was reached."""
    budget = TURN

    def take(spool: SpoolFile) -> tuple[SpoolFile, list[Stored]]:
        nonlocal budget
        mark = stream.folder.mark(spool.id)
        entries = spool.read(stream.model, stream.kind, after=mark, budget=budget) if budget.left else []
        budget = budget.without(entries)
        return spool, entries

    taken = [(spool, entries) for spool, entries in spools.each(take) if entries]
    return taken, not budget.left


def _append(stream: _Stream, taken: Sequence[tuple[SpoolFile, list[Stored]]], clock: Clock) -> Sealed:
    """Decode, drop repeats, append. The marks move even when no row is new."""
    batches: list[pa.Table] = []
    marks: dict[str, int] = {}
    set_aside = 0
    for spool, entries in taken:
        whole = [entry for entry in entries if entry.fault is None]
        decoded = decode(stream.decoder, whole, spool.id)
        batches.append(decoded.table)
        reasons = dict(decoded.unreadable)
        unreadable = [replace(entry, fault=reasons[entry.seq]) for entry in whole if entry.seq in reasons]
        altered = [entry for entry in entries if entry.fault is not None]
        set_aside += _set_aside(spool, [*altered, *unreadable], clock)
        # The number of an altered entry may be altered too: a mark at it would hide what comes after.
        marks |= {spool.id: whole[-1].seq} if whole else {}
    batch = pa.concat_tables(batches)
    if not marks:
        return Sealed(set_aside=set_aside)
    new = stream.new_rows(batch, stream.folder)
    stream.folder.append(new, marks)
    return Sealed(rows=new.num_rows, repeats=batch.num_rows - new.num_rows, set_aside=set_aside)


def _set_aside(spool: SpoolFile, entries: Sequence[Stored], clock: Clock) -> int:
    """Move entries with a fault out of the way; returns their rows."""
    for entry in entries:
        spool.set_aside(entry.seq, entry.fault or "", clock())
    return sum(entry.rows for entry in entries)
