"""One model of a house: its past, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pilothouse.data.history.history import History
from pilothouse.data.history.opened import open_tables
from pilothouse.data.history.results import Drift, Event, Health, Labels, Rows, SchemaChange, SegmentTable
from pilothouse.data.history.rows import page_of_rows
from pilothouse.data.limits import Limit
from pilothouse.data.log.door import Door
from pilothouse.data.log.filters import Filter, parse_filter
from pilothouse.data.log.find import Place
from pilothouse.data.log.frames import append_frame, append_labels
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.retention import RetentionReport
from pilothouse.data.log.scrub import DamagedPart, ScrubReport, scrub
from pilothouse.data.log.spool import Spool
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.measures.health import HealthRules
from pilothouse.data.policies import GatePolicy, LabelPolicy, LogPolicy
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature, Task
from pilothouse.data.state import catalog
from pilothouse.data.state.audit import AuditRow
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.runs import Run
from pilothouse.data.windows import Window, parse_span, parse_window
from pilothouse.ops.events import deployment_event, retrain_events
from pilothouse.ops.frames import as_polars, under_our_names
from pilothouse.ops.governance.columns import (
    ColumnLine,
    allow_unmasking,
    column_lines,
    hide,
    set_class,
    without_sensitive,
)
from pilothouse.ops.governance.erasure import Receipt, erase, receipts
from pilothouse.ops.governance.log_policy import drop, keep_now, preview, set_log_policy
from pilothouse.ops.governance.log_state import LogState, log_state
from pilothouse.ops.measuring.acts import MeasureActs
from pilothouse.ops.objectives import USUAL_SHARE, Standing, lately, parse_objective, set_objective, standing
from pilothouse.ops.releases.acts import ReleaseActs
from pilothouse.ops.releases.proof import Proof, prove
from pilothouse.ops.releases.switch import champion_version
from pilothouse.ops.releases.trying import Shadowed, Tried, shadowed, tried
from pilothouse.ops.reports.asking import report_of
from pilothouse.ops.reports.report import EvidentlyReport
from pilothouse.ops.reports.running import Child
from pilothouse.ops.segments import segments_by, watch_segments

if TYPE_CHECKING:
    from pilothouse.ops.house import House

LOCAL_SPOOL = "local"
_OF_PREDICTIONS = {"id": "prediction_id", "entity": "entity_id", "key": "keys"}
_OF_LABELS = {"id": "prediction_id"}


class ModelHandle(ReleaseActs, MeasureActs):
    """One model of a house: its past, and what can be done with it."""

    def __init__(self, house: House, row: ModelRow) -> None:
        self.house, self.row = house, row

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def task(self) -> Task:
        return self.row.task

    @property
    def signature(self) -> Signature:
        return self.row.signature

    @cached_property
    def door(self) -> Door:
        """What the model's column classes keep out of the log."""
        return Door.of(self.house.workspace, self.signature, self.row.classes)

    @property
    def label_policy(self) -> LabelPolicy:
        return self.row.label_policy

    @property
    def gate_policy(self) -> GatePolicy:
        return self.row.gate_policy

    @property
    def log_policy(self) -> LogPolicy:
        return self.row.log_policy

    def set_log_policy(self, policy: LogPolicy) -> LogPolicy:
        """Agree on how long single rows are kept; the worker sees to it daily. Raises BadPolicy, NotAllowed."""
        agreed = set_log_policy(self, policy)
        self.row = replace(self.row, log_policy=agreed)
        return agreed

    def preview_log_policy(self, policy: LogPolicy) -> RetentionReport:
        """What `policy` would let go now; nothing is changed."""
        return preview(self, policy)

    def keep_now(self) -> RetentionReport:
        """Carry out the log policy at once. Raises NotAllowed, StoreBusy, DamagedFile."""
        return keep_now(self)

    @property
    def columns(self) -> tuple[ColumnLine, ...]:
        """What the log holds of the caller's own, and the class of each."""
        return column_lines(self.signature, self.row.classes)

    def set_class(self, column: str, told: str) -> tuple[ColumnLine, ...]:
        """Give a column another class from now on. Raises UnknownColumn, BadData, FixedClass, NotAllowed."""
        classes = set_class(self.house.state, self.house.actor, self.name, column, told, self.house.clock)
        self.row = replace(self.row, classes=dict(classes))
        return self.columns

    def erase(self, entity: str, *, reason: str, dry_run: bool = False) -> Receipt:
        """Remove every row of one entity from the log and what was made of it. See `governance.erasure.erase`."""
        return erase(self, entity, reason=reason, dry_run=dry_run)

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """Receipts of erasures, newest first."""
        return receipts(self)

    @property
    def log_state(self) -> LogState:
        """What the log holds, what waits, what is damaged."""
        return log_state(self)

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> ScrubReport:
        """Hash every file of the model's tables, and say which are damaged. progress : told bytes read, and of how many."""
        return scrub(self.house.workspace, self.name, self.signature, self.house.clock(), progress=progress)

    def drop_damaged(self, file: str, *, reason: str) -> DamagedPart:
        """Give up a damaged file, its rows counted as lost. Raises NothingDamaged, NotAllowed, StoreBusy."""
        return drop(self, file, reason)

    @cached_property
    def prediction_log(self) -> PredictionLog:
        house = self.house
        return PredictionLog(
            house.workspace, self.name, self.signature, self.label_policy, settings=house.settings, clock=house.clock
        )

    @cached_property
    def profile(self) -> Profile:
        return Profile.load(self._reference_folder)

    @property
    def _reference_folder(self) -> Path:
        return self.house.workspace.reference(self.name, self.row.profile_id)

    @property
    def history(self) -> History:
        """Questions about the past, as of now: the answers of one History agree with each other."""
        return History(
            self.house.workspace, self.name, self.signature, self.profile, self.label_policy, self.house.settings,
            thresholds=self.row.drift_thresholds,
        )  # fmt: skip

    def window(self, text: str) -> Window:
        """`7d`, `24h`, `8w` back from the data's end, or `START/END`. Raises InvalidWindow."""
        return parse_window(text, self.data_end() or self.house.clock())

    def data_end(self) -> datetime | None:
        # Without a History, which counts what waits to be sealed: every question about a window comes by here.
        house = self.house
        tables = open_tables(house.workspace, self.name, self.signature, self.label_policy)
        return tables.data_end(house.settings.zone)

    def health(self) -> Health:
        """Whether the model needs somebody, and why; judged by the champion's own answers."""
        champion, kept = self.champion, lately(self)
        rules = HealthRules.by(self.row.watch)
        return self.history.health(self.house.clock(), champion.version if champion else None, rules, kept)

    def objective(
        self, within: str | None = None, *, share: str = USUAL_SHARE, clear: bool = False, window: str | Window = "7d"
    ) -> Standing | None:
        """How the latency objective was kept over `window` and the last hour; None where there is none.

        within, share : agree on another one first, such as 25ms for 99% of the requests. clear : on none.
        Raises BadPolicy, NotAllowed, QueryTooSlow.
        """
        if clear or within is not None:
            asked = None if clear or within is None else parse_objective(within, share)
            set_objective(self, asked)
            self.row = replace(self.row, objective=asked)
        return standing(self, self.window(window) if isinstance(window, str) else window)

    def predict(self, frame: Any, *, log: bool = False) -> pl.DataFrame:
        """`frame` with the champion's `prediction` (and `score`, or `scores` of classes), computed here; logged if `log`.

        frame : polars, pandas or Arrow, with every feature of the signature. Raises NoChampion, MissingColumn.
        """
        from pilothouse.ops.scoring import load_scorer

        given, version = as_polars(frame), champion_version(self.house.state, self.name)
        scored = load_scorer(self.house.store, self.version(version)).score(given)
        answered = given.with_columns(c for c in scored.columns() if c.name not in self.signature.names)
        if log:
            self.log(answered, version=version)
        return answered

    def log(
        self,
        frame: Any,
        *,
        version: int | None = None,
        caller: str | None = None,
        mapping: Mapping[str, str] | None = None,
    ) -> int:
        """Log predictions made elsewhere; returns how many, once they are durable.

        frame : the features and `prediction`; if there, also `score`, of several classes `scores` (lists in the target's
        order) or a `score_<class>` for each, `id` (of your own: a repeat is dropped), `at`, `logged_at`, `entity` and
        `key` (JSON). version : who predicted; None for the champion.
        mapping : from our name of a column to the frame's, where they differ.
        Raises MissingColumn, NaiveTime, BadData, NoChampion, LogUnavailable.
        """
        by = version if version is not None else champion_version(self.house.state, self.name)
        rows = under_our_names(as_polars(frame), mapping or {}, _OF_PREDICTIONS)
        with self._spool() as spool:
            return append_frame(
                spool, self.name, self.signature, rows, version=by, caller=caller, door=self.door,
                clock=self.house.clock,
            )  # fmt: skip

    def label(self, frame: Any, *, source: str | None = None, mapping: Mapping[str, str] | None = None) -> int:
        """Log labels; returns how many, once they are durable.

        frame : `label`, and `id` or `key` (JSON); if there, `observed_at` and `recorded_at`, else now.
        mapping : from our name of a column to the frame's, where they differ.
        Raises MissingColumn, NaiveTime, BadData, LogUnavailable.
        """
        rows = under_our_names(as_polars(frame), mapping or {}, _OF_LABELS)
        with self._spool() as spool:
            return append_labels(spool, self.name, self.signature, rows, source=source, clock=self.house.clock)

    def _spool(self) -> Spool:
        return Spool.open(self.house.workspace.spool, LOCAL_SPOOL, self.house.settings.durability)

    def rows(
        self,
        window: str | Window,
        limit: int = 100,
        *,
        filters: Sequence[str | Filter] = (),
        id: str | None = None,
        key: Mapping[str, str | int | float] | None = None,
        before: str | None = None,
        unmask: bool = False,
        reason: str = "",
    ) -> Rows:
        """The newest rows of the window with their labels, sealed or not, that meet every filter.

        filters : `Filter` values, or texts such as "carrier=UA", "wind>30", "wind is missing".
        id, key : of one prediction, or of those whose business keys hold all pairs. before : the `next` of an answer,
        for the rows that follow it. unmask : show sensitive and masked values too, for a `reason`, which is audited.
        Raises BadFilter, QueryTooSlow, NotAllowed.
        """
        if unmask:
            house = self.house
            allow_unmasking(house.state, house.actor, self.name, self.row.classes, reason, house.clock)
        span = self.window(window) if isinstance(window, str) else window
        asked = [parse_filter(each, self.signature) if isinstance(each, str) else each for each in filters]
        place = None if before is None else Place.parse(before)
        with Limit(self.house.settings.query_limit_s):
            found = self.prediction_log.find(span, limit=limit + 1, filters=asked, id=id, key=key, before=place)
        page = page_of_rows(found, limit, self.history, span, chosen=bool(asked or id or key))
        return page if unmask else hide(page, self.signature, self.row.classes)

    def shown_drift(
        self, window: Window, *, exact: bool = False, unmask: bool = False, reason: str = ""
    ) -> tuple[Drift, str]:
        """Drift without sensitive features, and the sentence that says so; with them for a `reason`, which is audited."""
        found = self.history.drift(window, exact=exact)
        if not unmask:
            return without_sensitive(found, self.row.classes)
        house = self.house
        allow_unmasking(house.state, house.actor, self.name, self.row.classes, reason, house.clock)
        return found, ""

    def labels(self, window: str | Window = "4w", every: str = "1w") -> Labels:
        """How many rows have a label and how long labels take, by cohorts of `every`; and what is odd about labels."""
        span = self.window(window) if isinstance(window, str) else window
        return self.history.labels(span, parse_span(every))

    def segments(
        self,
        by: str,
        window: str | Window = "28d",
        version: int | None = None,
        *,
        unmask: bool = False,
        reason: str = "",
    ) -> SegmentTable:
        """Rows and performance by the values of the column `by`, worst first. See `ops.segments.segments_by`."""
        span = self.window(window) if isinstance(window, str) else window
        return segments_by(self, by, span, version=version, unmask=unmask, reason=reason)

    @property
    def segments_watched(self) -> tuple[str, ...]:
        """Columns by whose values the roll-ups count."""
        return self.row.segments

    def watch_segments(self, *columns: str) -> tuple[str, ...]:
        """Have the roll-ups count by the values of these columns and no others; the log is counted anew, and audited."""
        self.row = replace(self.row, segments=watch_segments(self, columns))
        self.__dict__.pop("profile", None)
        return self.row.segments

    def schema_changes(self, window: str | Window = "26w") -> tuple[SchemaChange, ...]:
        """Columns of the log that came, went or changed their type, oldest first."""
        return self.history.schema_changes(self.window(window) if isinstance(window, str) else window)

    @property
    def versions(self) -> tuple[VersionRow, ...]:
        """Newest first."""
        with self.house.state.read() as conn:
            return tuple(catalog.list_versions(conn, self.name))

    def version(self, number: int) -> VersionRow:
        with self.house.state.read() as conn:
            return catalog.get_version(conn, self.name, number)

    def tried(self) -> Tried | None:
        """The canary beside the champion, since it began; None when there is none."""
        return tried(self)

    def shadowed(self) -> tuple[Shadowed, ...]:
        """Each shadow against the answers to the same rows, over the last week at most."""
        return shadowed(self)

    def proof(self, deployment_seq: int | None = None) -> Proof:
        """What a switch did to the requests around it, from the log; of the newest one by default. Raises UnknownSwitch."""
        return prove(self, deployment_seq)

    def audit(self, limit: int = 200) -> tuple[AuditRow, ...]:
        """This model's acts, newest first."""
        return self.house.audit(self.name, limit)

    def retrain(self, *, train: str = "8w", judge: str = "2w") -> Run:
        """Ask for a retraining; the worker runs it. While one is under way, that one is given back.

        train, judge : how long a span to learn from, and how long a later, untouched one to judge champion and
        challenger on: `8w`, `56d`. Raises NoChampion, InvalidWindow, BadData for a part of a day, NotAllowed.
        """
        from pilothouse.ops.pipeline.requests import retrain, whole_days

        arguments = {"train_days": whole_days(train), "judge_days": whole_days(judge)}
        return retrain(self.house.state, self.house.actor, self.name, arguments, self.house.clock)

    def compare(self, champion: int, challenger: int, window: Window) -> Comparison:
        """Two versions on the same labelled rows of the log, scored anew. Raises UnknownVersion, EmptyWindow."""
        from pilothouse.ops.pipeline.compare import compare

        old, new = self.version(champion), self.version(challenger)
        return compare(self.prediction_log, self.house.store, old, new, window)

    def report(
        self, window: Window, presets: Sequence[str] | None = None, child: Child | None = None
    ) -> EvidentlyReport:
        """Evidently's report of the window against the reference, made in a child process (some ten seconds).

        presets : of drift, summary, classification, regression; None for all that there can be. See `ops.reports.asking`.
        """
        return report_of(self, window, presets, child)

    def runs(self, limit: int = 50, kind: str | None = "retrain") -> tuple[Run, ...]:
        return self.house.runs(self.name, limit, kind)

    def events(self, window: Window | None = None) -> tuple[Event, ...]:
        """What happened to the model, newest first: promotions, roll backs, retrains."""
        found = [*map(deployment_event, self.deployments), *retrain_events(self.runs())]
        inside = [e for e in found if window is None or e.at in window]
        return tuple(sorted(inside, key=lambda e: e.at, reverse=True))
