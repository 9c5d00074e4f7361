"""The answers to questions about the past: frozen values, the same for page, notebook, command line and gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pilothouse.data.signature import Kind, Value
from pilothouse.data.windows import Window

if TYPE_CHECKING:
    import polars as pl


class State(StrEnum):
    """How a thing stands, worst first. Each is shown by shape, word and colour."""

    CRITICAL = "critical"
    WATCH = "watch"
    HEALTHY = "healthy"
    NO_DATA = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far an answer reaches. `unsealed_rows` are acknowledged, but not yet in the table, so not in roll-ups."""

    data_to: datetime | None
    sealed_rows: int
    unsealed_rows: int
    prediction_version: int | None
    label_version: int | None
    folded_prediction_version: int | None
    folded_label_version: int | None

    @property
    def behind(self) -> bool:
        """Whether roll-ups have yet to take in commits of the tables or rows of a spool."""
        return (
            self.unsealed_rows > 0
            or self.prediction_version != self.folded_prediction_version
            or self.label_version != self.folded_label_version
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The rows everything is compared with: labelled, and held out from training."""

    profile_id: str
    rows: int
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of a change. `value` None: it cannot be said, and `reason` says why.

    p : how likely chance alone makes a value as large; q : that, adjusted for all features that were asked about
    together. Both None for a size, which is no test.
    """

    value: float | None
    p: float | None = None
    q: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """Drift of one feature (or of the score) in a window against the reference.

    A measure that cannot be said is None, with a reason. psi : nats. ks, missing, reference_missing, new_share : 0 to 1.
    jensen_shannon : 0 to 0.833. wasserstein : in standard deviations of the reference.
    name : as Signature.shown has it; rows of versions that take the feature in another way are left out.
    feature : its own name, which those of both types share.
    impact : None: what drift costs is asked apart (measures/impact.py); the key stays for those who read the JSON.
    more : further measures by name, in the order of data/measures/changes.py. threshold : the PSI from which it counts
    as drifted, where that was calibrated.
    """

    name: str
    feature: str
    kind: Kind
    rows: int
    psi: float | None
    ks: float | None
    ks_p: float | None
    wasserstein: float | None
    jensen_shannon: float | None
    missing: float | None
    reference_missing: float
    new_share: float | None
    impact: float | None
    state: State
    reason: str
    more: dict[str, Measure] = field(default_factory=dict)
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Drift of every feature over a window; `features` worst first, `score` the model's own output.

    prediction : of what it answered, where that was asked for: it is read from the log.
    exact : whether every row was read; else it is from counts by bin.
    """

    model: str
    version: int | None
    window: Window
    reference: Reference
    watermark: Watermark
    rows: int
    features: tuple[FeatureDrift, ...]
    score: FeatureDrift | None
    exact: bool = False
    prediction: FeatureDrift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A value with its 95 % band. `value` None: it cannot be said, and `reason` says why.

    by : what the band takes as one draw each: "rows", or whole "hours", "days" or "weeks" of them, whose rows share
    something. wider : by what factor that makes it wider than rows alone would.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    kind: str = "realized"
    reason: str = ""
    by: str = "rows"
    wider: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Realized performance over a window.

    coverage : labelled rows / rows. mature : whether the labels of the window have all had time to arrive.
    exact : whether every score was read; else ROC AUC is from 4,096 steps of it.
    """

    model: str
    version: int | None
    window: Window
    watermark: Watermark
    rows: int
    labelled: int
    coverage: float | None
    mature: bool
    metrics: dict[str, Metric]
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One bucket of a trend. `version` None: all versions that carried traffic."""

    window: Window
    version: int | None
    rows: int
    labelled: int
    coverage: float | None
    mature: bool
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPoint:
    """PSI of every feature in one bucket; None where there are too few rows to say."""

    window: Window
    rows: int
    psi: dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPoint:
    """Volume and latency of one bucket; latencies None where no row carries one (rows imported or scored in bulk)."""

    window: Window
    version: int
    rows: int
    errors: int
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    """The rows that share one value of a column. `is_value` False: other values together, or missing ones."""

    value: str
    is_value: bool
    rows: int
    labelled: int
    coverage: float | None
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTable:
    """Rows and realized performance by the values of one column, worst first.

    watched : whether the roll-ups hold it; else every row was read.
    """

    model: str
    column: str
    version: int | None
    window: Window
    watermark: Watermark
    segments: tuple[SegmentRow, ...]
    watched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPoint:
    """The labels of the rows of one span: of how many one was told, and after how long.

    delay_p50, delay_p95 : whole business days from the event to the day the label was known, over the labelled rows
    alone; None without any. Of an immature cohort both are too short: what comes late has not come yet.
    """

    window: Window
    rows: int
    labelled: int
    coverage: float | None
    delay_p50: timedelta | None
    delay_p95: timedelta | None
    mature: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFacts:
    """What the labels recorded in a window are worth.

    told : how many. unknown : of a prediction that is not in the log. late : true only after the horizon's end.
    conflicting : predictions of which two labels, true at the same time, differ. corrected : predictions whose label
    another one, true at another time, has replaced.
    """

    told: int
    unknown: int
    late: int
    conflicting: int
    corrected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of a model: `cohorts` by the time of the events, `facts` by the time the labels were recorded."""

    model: str
    window: Window
    watermark: Watermark
    cohorts: tuple[CohortPoint, ...]
    facts: LabelFacts


class Change(StrEnum):
    """What became of a column."""

    NEW = "new"
    DROPPED = "dropped"
    RETYPED = "retyped"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """A column of the log that came, went or changed its type. at : start of the first UTC day of which that is so."""

    at: datetime
    column: str
    kind: Change
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bar of a distribution: shares of the rows that are not missing. `left` and `right` are for numbers alone."""

    label: str
    left: float | None
    right: float | None
    reference: float
    current: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A feature's distribution in a window over the reference's."""

    feature: str
    kind: Kind
    window: Window
    rows: int
    bins: tuple[Bin, ...]
    reference_mean: float | None = None
    current_mean: float | None = None


class EventKind(StrEnum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a model, to stand on its charts. `audit_seq` leads to its audit row."""

    at: datetime
    kind: EventKind
    title: str
    actor: str
    detail: str = ""
    audit_seq: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a model stands as it does: the rule, the value, the threshold, in one sentence; and what to do next."""

    rule: str
    state: State
    value: float | None
    threshold: float | None
    sentence: str
    act: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A model's state and the reasons that made it so, worst first."""

    state: State
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Raw rows of the log, newest first; `columns` names their values: the table's own, and those of the label.

    total : rows of the window, of which `rows` may be some; None where counting them would take a scan, and
    `total_reason` says so. next : where the rows after these begin, to be asked on with; None when these are the last.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value | datetime, ...], ...]
    total: int | None
    watermark: Watermark = field(repr=False)
    total_reason: str = ""
    next: str | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame."""
        import polars as pl

        return pl.DataFrame(self.rows, schema=list(self.columns), orient="row", infer_schema_length=None)
