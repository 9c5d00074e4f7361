"""Questions about a model's past, answered from its roll-ups and, where they are too coarse, from its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from pilothouse.data.errors import UnknownFeature
from pilothouse.data.history.counting import Chosen, Counter
from pilothouse.data.history.results import (
    Distribution,
    Drift,
    DriftPoint,
    FeatureDrift,
    Health,
    Performance,
    State,
    TrafficPoint,
    TrendPoint,
    Watermark,
)
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.schema import TRAFFIC, Status
from pilothouse.data.measures.distribution import draw_bins, mean_of
from pilothouse.data.measures.drift import Counts, Floats
from pilothouse.data.measures.feature_drift import measure_drift, measure_psi
from pilothouse.data.measures.latency import percentile_ms
from pilothouse.data.measures.performance import measure_performance, unmeasured
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.bins import LATENCY_SLOTS, LATENCY_STEPS_PER_DECADE
from pilothouse.data.rollups.outcomes import outcomes_in
from pilothouse.data.rollups.plan import day_start, day_windows, hour_start, next_hour
from pilothouse.data.rollups.profile import SCORE, FeatureProfile, Profile
from pilothouse.data.rollups.schema import TRUE_SCORE, Part
from pilothouse.data.rollups.source import Source, table_facts
from pilothouse.data.rollups.store import Cursor, rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace

_ORDER = list(State)


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
        roles: Sequence[str] = TRAFFIC,
    ) -> None:
        self.model, self.signature, self.profile, self.policy = model, signature, profile, policy
        self._workspace, self._settings, self._roles = workspace, settings, tuple(roles)

    def watermark(self) -> Watermark:
        """How far the answers reach."""
        return self._watermark

    def data_end(self) -> datetime | None:
        """End of the business hour that holds the newest sealed row; None while nothing is sealed. Windows count back from it."""
        newest = self._watermark.data_to
        return None if newest is None else next_hour(hour_start(newest, self._settings.zone), self._settings.zone)

    def drift(self, window: Window, version: int | None = None) -> Drift:
        """Drift of every feature and of the score over `window`, worst first."""
        counts = self._count([window], (Part.VOLUME, Part.FEATURE, Part.SCORE), version)
        features = [self._feature_drift(counts, Part.FEATURE, f) for f in self.profile.features.values()]
        score = self.profile.score
        return Drift(
            model=self.model,
            version=version,
            window=window,
            reference=self.profile.reference,
            watermark=self._watermark,
            rows=_answered(counts),
            features=tuple(sorted(features, key=lambda f: (_ORDER.index(f.state), -(f.psi or 0.0), f.name))),
            score=None if score is None else self._feature_drift(counts, Part.SCORE, score),
        )

    def performance(
        self, window: Window, version: int | None = None, as_known: datetime | None = None
    ) -> Performance:
        """Realized performance over `window`.

        as_known : answers with what was known at the end of the last business day before it; None for all that is known.
        """
        counts = self._count([window], (Part.VOLUME, Part.OUTCOME), version, as_known)
        point = self._trend_point(counts, window, version)
        return Performance(
            model=self.model,
            version=version,
            window=window,
            watermark=self._watermark,
            rows=point.rows,
            labelled=point.labelled,
            coverage=point.coverage,
            mature=point.mature,
            metrics=point.metrics,
        )

    def performance_trend(
        self, window: Window, every: timedelta, *, by_version: bool = False
    ) -> tuple[TrendPoint, ...]:
        """Realized performance in steps of `every`, oldest first; a point for each version that answered, if asked for.

        Steps are whole business days (or hours, below a day), aligned back from the window's end.
        """
        windows = self._steps(window, every)
        counts = self._count(windows, (Part.VOLUME, Part.OUTCOME))
        if not by_version:
            return tuple(self._trend_point(rows, w, None) for w, rows in _by_point(counts, windows))
        return tuple(
            self._trend_point(rows, w, version)
            for w, of_point in _by_point(counts, windows)
            for version, rows in _by_version(of_point)
        )

    def drift_trend(self, window: Window, every: timedelta) -> tuple[DriftPoint, ...]:
        """PSI of every feature in steps of `every`, oldest first; steps as in `performance_trend`."""
        windows = self._steps(window, every)
        counts = self._count(windows, (Part.VOLUME, Part.FEATURE))
        dense = {f.name: _dense(counts, Part.FEATURE, f, len(windows))[0] for f in self.profile.features.values()}
        rows = [_answered(of_point) for _, of_point in _by_point(counts, windows)]
        return tuple(
            DriftPoint(
                window=w,
                rows=rows[i],
                psi={name: measure_psi(self.profile.features[name], counted[i]) for name, counted in dense.items()},
            )
            for i, w in enumerate(windows)
        )

    def traffic(self, window: Window, every: timedelta) -> tuple[TrafficPoint, ...]:
        """Rows, errors and latency of each version in steps of `every`, oldest first; steps without rows are left out."""
        windows = self._steps(window, every)
        counts = self._count(windows, (Part.VOLUME, Part.LATENCY))
        return tuple(
            _traffic_point(rows, w, version)
            for w, of_point in _by_point(counts, windows)
            for version, rows in _by_version(of_point)
        )

    def distribution(self, feature: str, window: Window, version: int | None = None) -> Distribution:
        """How `feature` (or "score") lies in `window`, over the reference. Raises UnknownFeature."""
        part, profile = self._profile_of(feature)
        counts, sums = _dense(self._count([window], (part,), version), part, profile, 1)
        return Distribution(
            feature=feature,
            kind=profile.kind,
            window=window,
            rows=int(counts[0].sum()),
            bins=draw_bins(profile, counts[0]),
            reference_mean=profile.mean,
            current_mean=mean_of(counts[0], sums[0]) if profile.mean is not None else None,
        )
