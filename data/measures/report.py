"""A report of realized performance: frozen values, the same for page, notebook, command line and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pilothouse.data.history.results import Metric, Watermark
from pilothouse.data.policies import Costs, OwnMetric, Silence
from pilothouse.data.signature import Task
from pilothouse.data.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Labelled rows by what came true (rows) and what was said (columns); `names` of both, in order.

    Of a binary model: the class that is not flagged first.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Rows of like scores: what was said on average, and the share that came true, with its Wilson band."""

    rows: int
    mean_score: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What flagging from `threshold` on would have done. All of it are shares; None where there is nothing to divide by.

    flagged : of all rows. recall : of the positive rows that are flagged. fall_out : of the negative rows that are.
    missed : share of positives among the rows that pass. cost : a row, in the currency of the costs; None without them.
    """

    threshold: float
    flagged: float
    precision: float | None
    recall: float | None
    fall_out: float | None
    f1: float | None
    missed: float | None
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBand:
    """Rows whose score lies from `low` on and below `high` (the last band holds its end too).

    rate : share that came true. lift : `rate` over that of all rows. gain : share of all positives that lie in this
    band or in a higher one.
    """

    low: float
    high: float
    rows: int
    positives: int
    rate: Metric
    mean_score: float | None
    lift: float | None
    gain: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One class of a multiclass model. support : labelled rows that are of it; predicted : rows that were said to be."""

    name: str
    support: int
    predicted: int
    precision: Metric
    recall: Metric
    f1: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBar:
    """Rows whose error (prediction - label) lies from `low` on and below `high`."""

    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnValue:
    """What a metric of the team's own says; a failed one has a reason in place of a value."""

    metric: OwnMetric
    found: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReport:
    """Every metric of a model's task over a window, and what lies behind them.

    rows, labelled, coverage, mature : as in Performance. horizon, silence : the label policy that says which labels count.
    as_known : with what was known then; None for now. exact : from every row; else from counts by step of the score.
    threshold : from which score on a row is flagged, for a binary model. threshold_slack : rows of the step that holds
    it, which may stand on the wrong side. auc_slack : by how much ROC AUC may be off at most for rows counted as ties.
    points : over all thresholds, highest first. What does not belong to the task is empty.
    """

    model: str
    task: Task
    version: int | None
    window: Window
    watermark: Watermark
    rows: int
    labelled: int
    coverage: float | None
    mature: bool
    horizon: timedelta
    silence: Silence
    as_known: datetime | None
    exact: bool
    metrics: dict[str, Metric]
    threshold: float | None = None
    threshold_slack: int = 0
    auc_slack: float = 0.0
    crossing: Crossing | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    points: tuple[Point, ...] = ()
    classes: tuple[ClassRow, ...] = ()
    errors: tuple[ErrorBar, ...] = ()
    own: tuple[OwnValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What another threshold would have saved over the window, in money.

    threshold : where the costs over the labelled rows are least. calibrated : what the costs alone ask for where scores
    are true probabilities (Elkan 2001); None where no threshold follows. present : the one in force.
    cost, present_cost : of the labelled rows at either. saving : present_cost - cost, less what choosing the best on the
    very rows it is judged on adds by chance (`by_chance`).
    """

    costs: Costs
    rows: int
    threshold: Metric
    calibrated: float | None
    present: float
    cost: float
    present_cost: float
    saving: Metric
    by_chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What each threshold would have done over a window. saving : None where nobody has said what mistakes cost."""

    model: str
    version: int | None
    window: Window
    watermark: Watermark
    rows: int
    labelled: int
    mature: bool
    exact: bool
    present: float
    points: tuple[Point, ...]
    saving: Saving | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vintage:
    """Rows made in one month, or another span, and how many of them had come out positive by each age.

    shares : of all its rows, by age in steps of the table's `every`; None where not all rows are that old yet.
    """

    window: Window
    rows: int
    positives: int
    shares: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """What lenders read of a model: bands of the score from the lowest up, and vintages, oldest first.

    every : the step of a vintage's age. Age counts from a row's event to the moment its label was observed.
    """

    model: str
    version: int | None
    window: Window
    watermark: Watermark
    rows: int
    labelled: int
    metrics: dict[str, Metric]
    bands: tuple[ScoreBand, ...]
    points: tuple[Point, ...]
    vintages: tuple[Vintage, ...] = ()
    every: timedelta = field(default=timedelta(weeks=1))
