"""Counts for windows: from buckets where they answer exactly, from the log's own rows for the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.history.exact import Rows
from pilothouse.data.limits import check_limit
from pilothouse.data.policies import Silence
from pilothouse.data.rollups.contributions import outcomes_between
from pilothouse.data.rollups.count import columns_counted, count_rows
from pilothouse.data.rollups.gaps import raw_from
from pilothouse.data.rollups.outcomes import count_outcomes
from pilothouse.data.rollups.plan import Plan, day_start, make_plan, midnight, next_day
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import Part, no_rows
from pilothouse.data.rollups.source import Source, batches, files_holding
from pilothouse.data.rollups.store import Cursor, read_counts
from pilothouse.data.settings import Settings
from pilothouse.data.windows import Window

GROUP = ("point", "version", "part", "feature", "bin", "label")
"""What counts are told apart by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which rows are asked about. version : None for all. known_until : only what was known at the end of that day."""

    roles: tuple[str, ...]
    version: int | None = None
    known_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Roll-ups and log of one model at pinned versions; both paths give the same figures."""

    rollups: DeltaFolder
    source: Source
    cursor: Cursor
    profile: Profile
    settings: Settings
    data_end: datetime

    def count(self, windows: Sequence[Window], parts: Collection[Part], chosen: Chosen) -> pl.DataFrame:
        """Counts by number of the window: columns point, version, part, feature, bin, label, n, s, s2.

        A window may overlap another. Where silence means the negative class, outcomes come from the log alone: buckets
        hold what was said, not what was left unsaid.
        """
        windows = [self.answerable(window) for window in windows]
        plan = make_plan(windows, self.settings.zone, self.cursor.hours_since(self.settings.zone), self.data_end)
        unsaid = Part.OUTCOME in parts and self.source.policy.silence is Silence.NEGATIVE
        in_buckets = [part for part in parts if not (unsaid and part is Part.OUTCOME)]
        found = [self._from_buckets(plan, in_buckets, chosen), self._scanned(plan.scans, in_buckets, chosen)]
        if unsaid:
            found.append(self._scanned([(w, point) for point, w in enumerate(windows)], [Part.OUTCOME], chosen))
        return pl.concat(found).group_by(GROUP).agg(pl.col("n", "s", "s2").sum())

    def answerable(self, window: Window) -> Window:
        """`window`, its ends moved to the nearest business day's where roll-ups by day are all there is.

        Of these days single rows are gone, so that a scan of a part of one would find too few.
        """
        gone = raw_from(self.rollups)
        if gone is None:
            return window
        start, end = (self._whole(moment, midnight(gone, self.settings.zone)) for moment in (window.start, window.end))
        return Window(start, end) if start < end else window

    def rows(self, window: Window, chosen: Chosen) -> Rows:
        """The rows themselves, for an exact scan."""
        known = pl.DataFrame(self.source.predictions.schema.empty_table()).schema
        files = files_holding(self.source.predictions, self.prediction_files(), [], "at", window)
        return Rows(files=files, columns=known, window=window, roles=chosen.roles, version=chosen.version)

    def contributions(self, window: Window, chosen: Chosen) -> pl.DataFrame:
        """Labelled rows of `window`, signed: at, version, role, score, label, recorded, sign; see contributions.sql."""
        return _kept(self._outcomes(window, whole=True), chosen)

    def _whole(self, moment: datetime, rows_since: datetime) -> datetime:
        hours = self.cursor.hours_since(self.settings.zone)
        if moment >= rows_since or (hours is not None and moment >= hours):
            return moment
        before = day_start(moment, self.settings.zone)
        after = next_day(before, self.settings.zone)
        return before if moment - before < after - moment else after

    def _from_buckets(self, plan: Plan, parts: Collection[Part], chosen: Chosen) -> pl.DataFrame:
        return read_counts(
            self.rollups,
            plan.buckets if parts else (),
            parts,
            roles=chosen.roles,
            version=chosen.version,
            known_until=chosen.known_until,
        )

    def _scanned(self, scans: Sequence[tuple[Window, int]], parts: Collection[Part], chosen: Chosen) -> pl.DataFrame:
        # A model without rows has no buckets at all, so each hour of a range would be a scan of its own.
        files = self.prediction_files() if parts and scans else []
        held = [(w, point) for w, point in scans if files_holding(self.source.predictions, files, [], "at", w)]
        counted = [self._one_scan(span, point, parts, chosen) for span, point in held]
        return pl.concat([read_counts(self.rollups, (), (), roles=()), *counted])

    def _one_scan(self, span: Window, point: int, parts: Collection[Part], chosen: Chosen) -> pl.DataFrame:
        rows = pl.concat([no_rows(), *self._scan_rows(span, parts), *self._scan_outcomes(span, parts)])
        kept = _kept(rows.filter(pl.col("part").is_in([p.value for p in parts])), chosen)
        return kept.select(pl.lit(point, pl.Int64).alias("point"), *GROUP[1:], "n", "s", "s2")

    def _scan_rows(self, span: Window, parts: Collection[Part]) -> Iterator[pl.DataFrame]:
        if set(parts) <= {Part.OUTCOME}:
            return
        files = files_holding(self.source.predictions, self.prediction_files(), [], "at", span)
        for batch in batches(files, columns_counted(self.profile), self.source.predictions.schema):
            check_limit()
            inside = batch.filter(pl.col("at") >= span.start, pl.col("at") < span.end)
            yield count_rows(inside, self.profile, self.settings.time_zone, span.start, days=False)

    def _scan_outcomes(self, span: Window, parts: Collection[Part]) -> Iterator[pl.DataFrame]:
        if Part.OUTCOME in parts:
            zone = self.settings.time_zone
            yield count_outcomes(self._outcomes(span), self.source.signature, zone, span.start, days=False)

    def _outcomes(self, span: Window, *, whole: bool = False) -> pl.DataFrame:
        silent_at = self.data_end if self.source.policy.silence is Silence.NEGATIVE else None
        zone = self.settings.time_zone
        return outcomes_between(
            self.source, self.prediction_files(), self.label_files(), span, zone, silent_at, whole=whole
        )

    def prediction_files(self) -> list[str]:
        return _files_at(self.source.predictions, self.cursor.predictions)

    def label_files(self) -> list[str]:
        return _files_at(self.source.labels, self.cursor.labels)


def _kept(rows: pl.DataFrame, chosen: Chosen) -> pl.DataFrame:
    kept = rows.filter(pl.col("role").is_in(list(chosen.roles)))
    if chosen.version is not None:
        kept = kept.filter(pl.col("version") == chosen.version)
    return kept if chosen.known_until is None else kept.filter(pl.col("recorded") <= chosen.known_until)


def _files_at(folder: DeltaFolder, version: int | None) -> list[str]:
    """Files of the version that the roll-ups have taken in, so that both paths speak of the same rows."""
    if version is None:
        return []
    return folder.files(None if version == folder.version else version)
