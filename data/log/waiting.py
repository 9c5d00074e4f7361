"""What waits in the spools to be sealed: how much, and since when."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pilothouse.data.errors import DamagedFile
from pilothouse.data.log.decode import LabelDecoder, PredictionDecoder, decode
from pilothouse.data.log.pending import Budget, SpoolFile, pending
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.log.tables import prediction_folder
from pilothouse.data.signature import Signature
from pilothouse.data.workspace import Workspace

_FIRST = Budget(rows=1, size=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """Predictions of one model that are not in its table yet. since : when the oldest was logged; None without any."""

    rows: int = 0
    since: datetime | None = None


def unsealed(workspace: Workspace, signatures: Mapping[str, Signature]) -> dict[str, Unsealed]:
    """What waits, by model. Retries are counted too. A model whose table is damaged is left out, and logged."""
    with pending(workspace.spool, left_out=[]) as spools:
        waiting = {model for spool in spools for model, kind in spool.waiting() if kind is EntryKind.PREDICTIONS}
        found = {model: Unsealed() for model in signatures}
        for model in waiting & set(signatures):
            try:
                found[model] = _unsealed(workspace, spools, model, signatures[model])
            except DamagedFile as damage:
                _log.warning("what waits to be sealed of %s is not known: %s", model, damage)
                del found[model]
    return found


def _unsealed(workspace: Workspace, spools: list[SpoolFile], model: str, signature: Signature) -> Unsealed:
    folder, kind = prediction_folder(workspace, model, signature), EntryKind.PREDICTIONS
    marks = {spool: folder.mark(spool.id) for spool in spools}
    rows = {spool: spool.count(model, kind, after=mark) for spool, mark in marks.items()}
    times = [
        time
        for spool, mark in marks.items()
        if rows[spool]
        for time in first_logged_at(spool, model, kind, mark, signature)
    ]
    return Unsealed(rows=sum(rows.values()), since=min(times, default=None))


def first_logged_at(
    spool: SpoolFile, model: str, kind: EntryKind, after: int | None, signature: Signature
) -> list[datetime]:
    """When the first entry above `after` was taken in; none where it cannot be read."""
    entries = [e for e in spool.read(model, kind, after=after, budget=_FIRST) if e.fault is None]
    predictions = kind is EntryKind.PREDICTIONS
    decoder = PredictionDecoder(signature) if predictions else LabelDecoder(signature)
    times = decode(decoder, entries, "").table["logged_at" if predictions else "recorded_at"]
    return [time.as_py() for time in times[:1]]
