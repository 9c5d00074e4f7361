"""Questions about a model's past, answered from its roll-ups and, where they are too coarse, from its log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import polars as pl

from pilothouse.data.errors import OnlyRollups, Unavailable, UnknownFeature
from pilothouse.data.history.apart import Apart, count_apart
from pilothouse.data.history.counting import Chosen, Counter
from pilothouse.data.history.exact import Measured, exact_performance, scan_drift
from pilothouse.data.history.facts import gather_facts, long_points
from pilothouse.data.history.labels import cohort_point, label_delays
from pilothouse.data.history.opened import Opened, open_tables
from pilothouse.data.history.results import (
    CohortPoint,
    Distribution,
    Drift,
    DriftPoint,
    FeatureDrift,
    Health,
    LabelFacts,
    Labels,
    Performance,
    SchemaChange,
    SegmentTable,
    State,
    TrafficPoint,
    TrendPoint,
    Watermark,
)
from pilothouse.data.history.schemas import schema_changes
from pilothouse.data.history.segments import is_watched, segment_counts, segment_of, segment_rows
from pilothouse.data.history.split import (
    answered_rows,
    by_point,
    dense_counts,
    each_version,
    traffic_point,
    trend_point,
)
from pilothouse.data.history.takers import of_takers, shown_features, under_shown_names
from pilothouse.data.limits import Limit
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.schema import TRAFFIC, Role
from pilothouse.data.measures.changes import adjusted
from pilothouse.data.measures.distribution import draw_bins, mean_of
from pilothouse.data.measures.drift_thresholds import DriftThresholds, judged, judged_answer
from pilothouse.data.measures.feature_drift import measure_drift, measure_psi
from pilothouse.data.measures.health import HEALTH_RULES, HealthRules, judge
from pilothouse.data.measures.objective import Kept
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.gaps import raw_from
from pilothouse.data.rollups.plan import day_windows, midnight
from pilothouse.data.rollups.profile import SCORE, FeatureProfile, Profile
from pilothouse.data.rollups.schema import Part
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window, as_utc
from pilothouse.data.workspace import Workspace

_ORDER = list(State)
_DAY = timedelta(days=1)


class History:
    """What has happened to one model, as of the moment this was made.

    The versions of the tables are pinned at the first question, so all answers of one History agree with each other;
    make a new one to see what came since (that costs a few milliseconds). Rows count once: only the roles of `roles`.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: str,
        signature: Signature,
        profile: Profile,
        policy: LabelPolicy,
        settings: Settings,
        *,
        roles: Sequence[Role] = TRAFFIC,
        thresholds: DriftThresholds | None = None,
    ) -> None:
        self.model, self.signature, self.profile, self.policy = model, signature, profile, policy
        self.zone, self._thresholds = settings.zone, thresholds
        self._workspace, self._settings, self._roles = workspace, settings, tuple(role.value for role in roles)

    def watermark(self) -> Watermark:
        """How far the answers reach."""
        return self._watermark

    def data_end(self) -> datetime | None:
        """End of the business hour that holds the newest sealed row: windows count back from it. None without rows."""
        return self._opened.data_end(self.zone)

    def drift(self, window: Window, version: int | None = None, *, exact: bool = False) -> Drift:
        """Drift of every feature and of the score over `window`, worst first.

        exact : read every row instead of the counts by bin; tenths of a second for each million of them.
        Raises QueryTooSlow when that takes longer than the setting `query_limit_s`.
        """
        found = self._scanned_drift(window, version) if exact else self._counted_drift(window, version)
        features = under_shown_names(adjusted(judged(found.features, self._thresholds, window)), self.signature)
        return Drift(
            model=self.model,
            version=version,
            window=window,
            reference=self.profile.reference,
            watermark=self._watermark,
            rows=found.rows,
            features=tuple(sorted(features, key=lambda f: (_ORDER.index(f.state), -(f.psi or 0.0), f.name))),
            score=judged_answer(found.score, self._thresholds, window),
            exact=exact,
        )

    def performance(
        self, window: Window, version: int | None = None, as_known: datetime | None = None, *, exact: bool = False
    ) -> Performance:
        """Realized performance over `window`.

        as_known : with what was known when the business day that holds it began; None for all that is known.
        exact : ROC AUC from every score instead of from counts by step of it; for models of classes.
        Raises QueryTooSlow when that takes longer than the setting `query_limit_s`.
        """
        apart = self.count_apart(window, version, as_known)
        point = self.trend_point(apart.whole, window, version)
        scan = exact and self.signature.task is not Task.REGRESSION
        metrics = exact_performance(self.labelled(window, version, as_known), self.signature) if scan else point.metrics
        return Performance(
            model=self.model,
            version=version,
            window=window,
            watermark=self._watermark,
            rows=point.rows,
            labelled=point.labelled,
            coverage=point.coverage,
            mature=point.mature,
            metrics=apart.widen(metrics, self.signature),
            exact=scan,
        )

    def count_apart(
        self, window: Window, version: int | None = None, as_known: datetime | None = None, part: Part = Part.OUTCOME
    ) -> Apart:
        """Counts of rows and of `part` over `window`, and by day or hour; `as_known` as in `performance`."""
        return count_apart(self, self._counter, window, version, as_known, part)

    def performance_trend(
        self, window: Window, every: timedelta, *, by_version: bool = False
    ) -> tuple[TrendPoint, ...]:
        """Realized performance in steps of `every`, oldest first; a point for each version that answered, if asked for.

        Steps are whole business days (or hours, below a day), aligned back from the window's end.
        """
        windows = self.steps(window, every)
        counts = self.count(windows, (Part.VOLUME, Part.OUTCOME))
        if not by_version:
            return tuple(self.trend_point(rows, w, None) for w, rows in by_point(counts, windows))
        return tuple(
            self.trend_point(rows, w, version)
            for w, of_point in by_point(counts, windows)
            for version, rows in each_version(of_point)
        )

    def stretches(self, window: Window, length: timedelta) -> tuple[TrendPoint, ...]:
        """Performance over every run of `length`, which is whole weeks, within the weeks of `window`, oldest first."""
        return long_points(self, window, length)

    def drift_trend(self, window: Window, every: timedelta) -> tuple[DriftPoint, ...]:
        """PSI of every feature in steps of `every`, oldest first; steps as in `performance_trend`."""
        windows = self.steps(window, every)
        counts = self.count(windows, (Part.VOLUME, Part.FEATURE))
        dense = {
            shown: dense_counts(of_takers(counts, feature, self.signature), Part.FEATURE, feature, len(windows))[0]
            for shown, feature in self._shown.items()
        }
        rows = [answered_rows(of_point) for _, of_point in by_point(counts, windows)]
        return tuple(
            DriftPoint(
                window=w,
                rows=rows[i],
                psi={name: measure_psi(self._shown[name], counted[i]) for name, counted in dense.items()},
            )
            for i, w in enumerate(windows)
        )

    def traffic(self, window: Window, every: timedelta) -> tuple[TrafficPoint, ...]:
        """Rows, errors and latency of each version in steps of `every`, oldest first; empty steps are left out."""
        windows = self.steps(window, every)
        counts = self.count(windows, (Part.VOLUME, Part.LATENCY))
        return tuple(
            traffic_point(rows, w, version)
            for w, of_point in by_point(counts, windows)
            for version, rows in each_version(of_point)
        )

    def distribution(self, feature: str, window: Window, version: int | None = None) -> Distribution:
        """How `feature` (or "score") lies in `window`, over the reference. Raises UnknownFeature."""
        part, profile = self._profile_of(feature)
        counted = self.count([window], (part,), version)
        if part is Part.FEATURE:
            counted = of_takers(counted, profile, self.signature)
        counts, sums = dense_counts(counted, part, profile, 1)
        return Distribution(
            feature=feature,
            kind=profile.kind,
            window=window,
            rows=int(counts[0].sum()),
            bins=draw_bins(profile, counts[0]),
            reference_mean=profile.mean,
            current_mean=mean_of(counts[0], sums[0]) if profile.mean is not None else None,
        )

    def label_coverage(self, window: Window, every: timedelta, version: int | None = None) -> tuple[CohortPoint, ...]:
        """Of how many rows a label was told, and after how long, by the time of the events; oldest first.

        every : at least a day; steps as in `performance_trend`. What silence means after the horizon is not counted.
        """
        windows = self.steps(window, max(every, _DAY))
        volume = [answered_rows(rows) for _, rows in by_point(self.count(windows, (Part.VOLUME,), version), windows)]
        delays = label_delays(self._opened.rollups, windows, self.zone, self._roles, version)
        return tuple(
            cohort_point(w, volume[i], delays.filter(pl.col("point") == i), mature=self._mature(w))
            for i, w in enumerate(windows)
        )

    def segments(self, column: str, window: Window, version: int | None = None) -> SegmentTable:
        """Rows and performance by the values of a feature or context column, worst first.

        A watched column is answered from roll-ups, and the ends of the window that are no whole days from rows; for any
        other every row is read. Raises UnknownColumn, and as `drift` does QueryTooSlow and OnlyRollups.
        """
        chosen, counter = self._chosen(version), self._counter
        with self._limit():
            segment = segment_of(self, counter, column, window, chosen)
            watched = is_watched(counter, segment)
            if not watched:
                self._refuse_thinned(window)
            counts = segment_counts(counter, segment, window, chosen)
        return SegmentTable(
            model=self.model,
            column=column,
            version=version,
            window=window,
            watermark=self._watermark,
            segments=segment_rows(self, segment, counts),
            watched=watched,
        )

    def labels(self, window: Window, every: timedelta = _DAY) -> Labels:
        """Coverage and delay by cohort, and what the labels recorded in `window` are worth: a scan of their ids.

        Raises QueryTooSlow when that takes longer than the setting `query_limit_s`.
        """
        with self._limit():
            facts = self._log.label_facts(window)
        return Labels(
            model=self.model,
            window=window,
            watermark=self._watermark,
            cohorts=self.label_coverage(window, every),
            facts=LabelFacts(**facts),
        )

    def schema_changes(self, window: Window) -> tuple[SchemaChange, ...]:
        """Columns of the log that came, went or changed their type within `window`, oldest first."""
        with self._limit():
            return schema_changes(self._opened.source.predictions, self.signature, window)

    def health(
        self, now: datetime, version: int | None = None, rules: HealthRules = HEALTH_RULES, kept: Kept | None = None
    ) -> Health:
        """Whether the model needs somebody, and why; with `version`, judged by that version's own answers.

        kept : how its latency objective was kept lately.
        """
        return judge(gather_facts(self, now, version, rules, kept), rules)

    def count(
        self,
        windows: Sequence[Window],
        parts: Collection[Part],
        version: int | None = None,
        as_known: datetime | None = None,
    ) -> pl.DataFrame:
        """Counts by number of the window; see Counter.count. `as_known`: as in `performance`."""
        chosen, asked = self._chosen(version, as_known), frozenset(parts)
        question = (self.profile.profile_id, self.zone.key, tuple(windows), asked, chosen)
        with self._limit():
            return self._opened.memory.recall(question, lambda: self._counter.count(windows, asked, chosen))

    def labelled(self, window: Window, version: int | None = None, as_known: datetime | None = None) -> pl.DataFrame:
        """The labelled rows that counts of outcomes are made of, signed; see Counter.contributions. Raises OnlyRollups."""
        self._refuse_thinned(window)
        with self._limit():
            return self._counter.contributions(window, self._chosen(version, as_known))

    def steps(self, window: Window, every: timedelta) -> list[Window]:
        """`window` in whole business days or hours; see day_windows."""
        return day_windows(window, every, self.zone)

    def trend_point(self, counts: pl.DataFrame, window: Window, version: int | None) -> TrendPoint:
        """Performance from the counts of one window."""
        return trend_point(counts, window, version, self.signature, self._mature(window))

    def _mature(self, window: Window) -> bool:
        """Whether all labels of `window` have had time to come."""
        end = self.data_end()
        return end is not None and window.end + self.policy.horizon <= end

    @property
    def _log(self) -> PredictionLog:
        return PredictionLog(self._workspace, self.model, self.signature, self.policy, settings=self._settings)

    @cached_property
    def _seen(self) -> tuple[int, Opened]:
        """Rows that wait to be sealed, and the tables. Counted first: one sealed in between is told twice, not missed."""
        return self._log.unsealed_rows(), open_tables(self._workspace, self.model, self.signature, self.policy)

    @property
    def _opened(self) -> Opened:
        return self._seen[1]

    @cached_property
    def _counter(self) -> Counter:
        cursor = self._opened.cursor
        if not cursor.counted_in(self._settings.time_zone):
            raise Unavailable(
                f"The figures of {self.model} were counted in another time zone than {self._settings.time_zone}. "
                "The worker counts them anew when it starts; try again in a moment."
            )
        end = self.data_end() or datetime.max.replace(tzinfo=UTC)
        return Counter(
            rollups=self._opened.rollups,
            source=self._opened.source,
            cursor=cursor,
            profile=self.profile,
            settings=self._settings,
            data_end=end,
        )

    @cached_property
    def _watermark(self) -> Watermark:
        waiting, opened = self._seen
        return opened.watermark(waiting)

    def _limit(self) -> Limit:
        return Limit(self._settings.query_limit_s)

    def _chosen(self, version: int | None, as_known: datetime | None = None) -> Chosen:
        known_until = None if as_known is None else _day_before(as_known, self.zone)
        return Chosen(roles=self._roles, version=version, known_until=known_until)

    def _counted_drift(self, window: Window, version: int | None) -> Measured:
        counts = self.count([window], (Part.VOLUME, Part.FEATURE, Part.SCORE), version)
        score = self.profile.score
        return Measured(
            rows=answered_rows(counts),
            features=tuple(
                self._feature_drift(of_takers(counts, f, self.signature), Part.FEATURE, f) for f in self._shown.values()
            ),
            score=None if score is None else self._feature_drift(counts, Part.SCORE, score),
        )

    def _scanned_drift(self, window: Window, version: int | None) -> Measured:
        folder = self._workspace.reference(self.model, self.profile.profile_id)
        self._refuse_thinned(window)
        with self._limit():
            return scan_drift(self._counter.rows(window, self._chosen(version)), self.profile, self.signature, folder)

    def _refuse_thinned(self, window: Window) -> None:
        """Raises OnlyRollups when the log no longer has every row of the window."""
        first = raw_from(self._opened.rollups)
        if first is not None and window.start < midnight(first, self.zone):
            raise OnlyRollups(self.model, first)

    def _feature_drift(self, counts: pl.DataFrame, part: Part, feature: FeatureProfile) -> FeatureDrift:
        counted, sums = dense_counts(counts, part, feature, 1)
        return measure_drift(feature, counted[0], sums[0])

    def _profile_of(self, feature: str) -> tuple[Part, FeatureProfile]:
        if feature in self._shown:
            return Part.FEATURE, self._shown[feature]
        if feature == SCORE and self.profile.score is not None:
            return Part.SCORE, self.profile.score
        raise UnknownFeature(self.model, feature, self._shown)

    @cached_property
    def _shown(self) -> dict[str, FeatureProfile]:
        """Features by the name that people see."""
        return shown_features(self.profile, self.signature)


def _day_before(moment: datetime, zone: ZoneInfo) -> date:
    return as_utc(moment, "as_known").astimezone(zone).date() - timedelta(days=1)
