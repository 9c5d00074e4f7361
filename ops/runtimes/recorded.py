"""What an original said to reference rows when it was registered: kept, and compared with what it says now.

The rows themselves stay where they are, among the references, so that an erasure reaches them; here stands a digest of
each with its answer. A row that is gone is not compared.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl

from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature, Value
from pilothouse.data.state.catalog import Recorded
from pilothouse.data.store import Store
from pilothouse.ops.runtimes.agree import Agreement, agreement, figures, unit_of
from pilothouse.ops.runtimes.tasks import Sample
from pilothouse.ops.scoring import Scorer

ROWS = 1_000
_ROW, _FIGURE, _DIGEST = "row", "figure_{}", "pilothouse: digest"


def record_sample(store: Store, scorer: Scorer, sample: Sample, signature: Signature) -> Recorded | None:
    """Keep what `scorer` says to the reference; None where that has not all features."""
    rows = reference_rows(Path(sample.folder), signature)
    return None if rows is None else record(store, scorer, rows, sample.profile_id)


def reference_rows(folder: Path, signature: Signature) -> pl.DataFrame | None:
    """Reference rows by feature name, evenly spread, each once; None where not every feature is kept."""
    kept = Profile.load_sample(folder)
    if any(f.column not in kept.columns for f in signature.features):
        return None
    rows = kept.select(pl.col(f.column).alias(f.name) for f in signature.features).unique(maintain_order=True)
    return rows.gather_every(max(1, -(-rows.height // ROWS)))


def record(store: Store, scorer: Scorer, rows: pl.DataFrame, profile_id: str) -> Recorded:
    """Keep what `scorer` says to `rows`."""
    said = figures(scorer.score(rows)).reshape(rows.height, -1)
    columns = {_FIGURE.format(place): column for place, column in enumerate(said.T)}
    content = io.BytesIO()
    pl.DataFrame({_ROW: digests(rows)} | columns).write_ipc(content)
    return Recorded(sha256=store.put(content.getvalue()), profile_id=profile_id, rows=rows.height)


def rescored(store: Store, recorded: Recorded, scorer: Scorer, rows: pl.DataFrame, signature: Signature) -> Agreement:
    """How far what `scorer` says to those of `rows` that were recorded is from what was said then."""
    then = pl.read_ipc(io.BytesIO(store.read(recorded.sha256)))
    both = rows.with_columns(pl.Series(_DIGEST, digests(rows))).join(then, left_on=_DIGEST, right_on=_ROW)
    before = both.select(c for c in then.columns if c != _ROW).to_numpy()
    now = scorer.score(both.select(rows.columns))
    return agreement(before, figures(now).reshape(both.height, -1), unit_of(signature, now))


def digests(rows: pl.DataFrame) -> list[str]:
    """A digest of each row's values, the same under any version of any library."""
    return [_digest(values) for values in rows.rows()]


def _digest(values: Sequence[Value]) -> str:
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:32]
