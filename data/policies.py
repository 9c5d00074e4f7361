"""What a team has agreed on for a model: when labels are due, what a challenger must show, how fast it answers, what
its mistakes cost, what the log may keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Silence(StrEnum):
    """What it means that no label has come once the horizon is over."""

    UNKNOWN = "unknown"
    NEGATIVE = "negative"


class ColumnClass(StrEnum):
    """What may be done with a column's values. The last two never reach the log."""

    PLAIN = "plain"
    SENSITIVE = "sensitive"
    """Logged and measured; neither its values nor its distribution are shown unless unmasked."""
    MASKED = "masked"
    """Logged and measured; its distribution is shown, single values only when unmasked."""
    HASHED = "hashed"
    """Logged as a keyed hash: equal values stay equal, and nobody can read them."""
    DROPPED = "dropped"


ALTERED = frozenset({ColumnClass.HASHED, ColumnClass.DROPPED})
"""Classes whose values do not stand in the log as they came."""
UNSHOWN = frozenset({ColumnClass.SENSITIVE, ColumnClass.MASKED})
"""Classes whose single values are hidden on pages, in samples and in exports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """How long the log keeps single rows; roll-ups are kept for good. Ages in whole days; None keeps for ever.

    keep_days : rows older than this are removed.
    keep_private_days : in rows older than this, sensitive and masked columns, entity ids and business keys are emptied.
    full_days, sample_share : of rows older than `full_days` this share is kept, each with the weight of those it stands
    for; rows with an error or a label of the rarest class are all kept.
    """

    keep_days: int | None = None
    keep_private_days: int | None = None
    full_days: int | None = None
    sample_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPolicy:
    """When labels arrive and what their absence says.

    horizon : how long after a prediction its label may take; before that the row is immature.
    silence : `unknown` leaves a row without label out of every metric; `negative` counts it as the negative class.
    """

    horizon: timedelta = timedelta(days=7)
    silence: Silence = Silence.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How fast a model is to answer: this share of its requests, between 0 and 1, within so many milliseconds."""

    within_ms: float
    share: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTerms:
    """How a model's performance is watched: over which span, and how far from the reference is an alarm.

    metric : one of the model's task. days : of the span, whole weeks. margin : standard errors of the difference.
    expected, error : the metric on the reference and its standard error. loss, budget : what the plan was made for.
    together : by what factor the metric of a span is off further because rows of a day share something.
    """

    metric: str
    days: int
    margin: float
    expected: float
    error: float
    loss: float
    budget: float
    high_is_good: bool = True
    together: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one answer of each kind costs, in `currency`; a gain is a negative cost.

    tp, fp, fn, tn : a positive row flagged, a negative row flagged, a positive row let pass, a negative row let pass.
    """

    tp: float = 0.0
    fp: float
    fn: float
    tn: float = 0.0
    currency: str = "EUR"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric:
    """A metric of a team's own: a function of the labelled rows.

    entry : `module:object`. code_sha256, code_name : of the archive in the store that holds the module; None where it is
    installed wherever the metric is asked for. unit : what the value is counted in. better : higher or lower.
    """

    name: str
    entry: str
    unit: str = ""
    better: str = "higher"
    code_sha256: str | None = None
    code_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """What the gate asks of a challenger, judged on the same untouched rows as the champion.

    min_gain : by how much its ROC AUC must be higher; the paired 95 % band of the gain must lie above 0 as well.
    min_labelled : how many labelled rows the verdict must rest on.
    max_log_loss_increase : by how much its log-loss may be higher, in nats.
    """

    min_gain: float = 0.01
    min_labelled: int = 1000
    max_log_loss_increase: float = 0.01
