"""What an import did, or would do: values that say it in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from pilothouse.ops.imports.mapping import ColumnMap, Part

_READ_AS = frozenset({Part.FEATURE, Part.CONTEXT, Part.PREDICTION, Part.LABEL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of a source: `read` is the sum of the other three."""

    read: int = 0
    imported: int = 0
    already_there: int = 0
    set_aside: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(
            read=self.read + other.read,
            imported=self.imported + other.imported,
            already_there=self.already_there + other.already_there,
            set_aside=self.set_aside + other.set_aside,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an import is. rows : of the source, None while unknown. stage : what is being read."""

    stage: str
    read: int
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Labels told by an import. matched : those whose prediction is in the log; the others wait for it.

    bad_rows : the file of those set aside, where labels lie in a file of their own; None when there are none.
    """

    told: int = 0
    set_aside: int = 0
    matched: int = 0
    bad_rows: Path | None = None

    @property
    def waiting(self) -> int:
        return self.told - self.matched


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did. bad_rows : the file of rows set aside, None when there are none.

    first, last : event times of the rows in the log now; None without any. registered : how the model came to be here,
    empty when it was here before. done_before : the very same import had been done, and nothing was written.
    """

    model: str
    source: str
    rows: Counts
    labels: LabelCounts
    mapping: ColumnMap
    bad_rows: Path | None
    first: datetime | None
    last: datetime | None
    registered: str = ""
    seconds: float = 0.0
    done_before: bool = False

    @property
    def sentence(self) -> str:
        if self.done_before:
            return f"{self.source} is in the log of {self.model} already: this very import was done before."
        return f"{self._rows_said()} {self._labels_said()}".strip()

    def _rows_said(self) -> str:
        rows, aside = self.rows, f" in {self.bad_rows}" if self.bad_rows else ""
        return (
            f"Read {rows.read:,} rows of {self.source}: {rows.imported:,} imported into {self.model}, "
            f"{rows.already_there:,} already there, {rows.set_aside:,} set aside{aside}."
        )

    def _labels_said(self) -> str:
        labels = self.labels
        if not labels.told and not labels.set_aside:
            return ""
        where = f" in {labels.bad_rows}" if labels.bad_rows else ""
        aside = f", {labels.set_aside:,} set aside{where}" if labels.set_aside else ""
        return f"Labels: {labels.told:,} told{aside}; {labels.matched:,} matched, {labels.waiting:,} waiting."

    @property
    def frame(self) -> pl.DataFrame:
        """The mapping, one row a column."""
        return mapping_frame(self.mapping)

    def __repr__(self) -> str:
        return f"{self.sentence} ({self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an import would do, from the source's first rows; nothing has been written.

    bad, label_bad : line, reasons and the raw columns of the first rows that would be set aside, of the predictions and
    of the file of labels. good : the first rows as read. first_times : the first time of each source that can be read,
    as it stands there and as it is read, in a sentence.
    """

    model: str
    source: str
    new: bool
    task: str
    classes: tuple[str, ...]
    mapping: ColumnMap
    label_mapping: ColumnMap | None
    notes: tuple[str, ...]
    looked_at: int
    set_aside: int
    rows: int | None
    good: pl.DataFrame
    bad: pl.DataFrame
    label_bad: pl.DataFrame
    labels_set_aside: int
    first_times: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        act = "would register" if self.new else "would add to"
        known = f" of {self.rows:,}" if self.rows is not None else ""
        return (
            f"{self.source} {act} {self.model} ({self.task}). Of the first {self.looked_at:,} rows{known}, "
            f"{self.looked_at - self.set_aside:,} can be imported and {self.set_aside:,} would be set aside."
            + (f" So would {self.labels_set_aside:,} of the first labels." if self.labels_set_aside else "")
        )

    def __repr__(self) -> str:
        return self.sentence


def mapping_frame(mapping: ColumnMap) -> pl.DataFrame:
    """A mapping as a table: theirs, ours, kind, and why."""
    return pl.DataFrame(
        {
            "theirs": [c.source for c in mapping.columns],
            "ours": [ours(c.part, c.name, c.source) for c in mapping.columns],
            "kind": [c.kind.value if c.kind and c.part in _READ_AS else "" for c in mapping.columns],
            "why": [c.reason for c in mapping.columns],
        },
        schema=dict.fromkeys(("theirs", "ours", "kind", "why"), pl.String),
    )


def ours(part: str, name: str, source: str) -> str:
    """How a person names the part on the left side of a correction.

    >>> ours("feature", "wind", "Wind (m/s)")
    'feature.wind'
    """
    plain = str(part)
    return plain if name in (plain, source) else f"{plain}.{name}"
