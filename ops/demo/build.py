"""The demo's workspace: real flights, a model gone stale, and the log it has left behind.

Everything goes through the doors that a user's own data would take: the registry, the spool, the seal, the fold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from pilothouse.data.demo import flights
from pilothouse.data.errors import BadData
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.store import write_durably
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from pilothouse.ops.house import DEMO_FILE, House

MODEL = "flights"
DEFAULT_UNTIL = date(2013, 9, 24)
TRAINED_WEEKS = (0, 6)
REFERENCE_WEEKS = (6, 8)
FIRST_LOGGED_WEEK = 8
TRUSTED = (
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
"""What skops asks about in gradient boosting: scikit-learn's own classes, looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """Where in 2013 the demo stands, and by how much its times are moved to end within the last seven days."""

    until: datetime
    shift: timedelta

    @property
    def shift_weeks(self) -> int:
        return self.shift // timedelta(weeks=1)


def find_standpoint(until: date, now: datetime) -> Standpoint:
    """The start of the week of 2013 nearest to `until`, moved by whole weeks to within the seven days before `now`.

    Raises BadData when there would be no ten logged weeks before it, or no flights after it.
    """
    weeks = round((datetime.combine(until, flights.FIRST_DAY.timetz()) - flights.FIRST_DAY) / timedelta(weeks=1))
    first, last = FIRST_LOGGED_WEEK + 10, 51
    if not first <= weeks <= last:
        allowed = f"{flights.week_start(first):%Y-%m-%d} to {flights.week_start(last):%Y-%m-%d}"
        raise BadData(f"--until {until} is outside of what the demo can tell. Choose a day from {allowed}.")
    stands = flights.week_start(weeks)
    return Standpoint(until=stands, shift=(now - stands) // timedelta(weeks=1) * timedelta(weeks=1))


def make_pipeline() -> Any:
    """Encoder and gradient boosting over the named columns, as a team would write it."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline as pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((encoder, list(flights.CATEGORIES)), remainder="passthrough")
    return pipeline(columns, HistGradientBoostingClassifier(max_iter=100, random_state=0))


def weeks_of(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """The flights scheduled in weeks `first` (included) to `last` (excluded) of 2013."""
    scheduled = pl.col("at") + flights.ASKED_BEFORE
    return frame.filter(scheduled >= flights.week_start(first), scheduled < flights.week_start(last))


def build(house: House, until: date, say: Callable[[str], None]) -> None:
    """Fill an empty workspace: train on weeks 0-5, hold out 6-7, log and label every flight from week 8 to `until`."""
    step = _Stopwatch(say)
    standpoint = find_standpoint(until, house.clock())
    frame = flights.load_flights()
    step.done(f"read {frame.height:,} real flights of 2013 with their weather")
    pipeline = _train(frame)
    step.done("trained the model on January and half of February, as its team did")
    _register(house, pipeline, frame, standpoint)
    step.done("registered it, with the two weeks after as its reference")
    logged = _log(house, frame, standpoint)
    step.done(f"scored and logged {logged:,} flights through the log's own door, labels as the flights landed")
    house.catch_up()
    step.done("sealed them into the table and folded the roll-ups")
    _write_note(house.workspace, standpoint)


def _train(frame: pl.DataFrame) -> Any:
    train = weeks_of(frame, *TRAINED_WEEKS).drop_nulls(flights.TARGET)
    return make_pipeline().fit(train.select(flights.FEATURES).to_pandas(), train[flights.TARGET].to_numpy())


def _register(house: House, pipeline: Any, frame: pl.DataFrame, standpoint: Standpoint) -> None:
    held_out = weeks_of(frame, *REFERENCE_WEEKS).select(*flights.FEATURES, flights.TARGET)
    # It went live when its first flight was logged, so that is when the act stands in the moved calendar too.
    went_live = flights.week_start(FIRST_LOGGED_WEEK) + standpoint.shift
    then = House(house.workspace, house.settings, house.actor, clock=lambda: went_live)
    then.register(
        MODEL,
        pipeline,
        reference=held_out,
        target=flights.TARGET,
        trusted=TRUSTED,
        reference_window=_shifted_window(REFERENCE_WEEKS, standpoint),
        trained=_shifted_window(TRAINED_WEEKS, standpoint),
        label_policy=LabelPolicy(horizon=timedelta(days=1)),
    )
    then.close()


def _shifted_window(weeks: tuple[int, int], standpoint: Standpoint) -> Window:
    first, last = weeks
    return Window(flights.week_start(first) + standpoint.shift, flights.week_start(last) + standpoint.shift)


def _log(house: House, frame: pl.DataFrame, standpoint: Standpoint) -> int:
    """Score the flights up to the standpoint as live traffic is scored, and log them with the times they had, moved."""
    scheduled = pl.col("at") + flights.ASKED_BEFORE
    past = frame.filter(scheduled >= flights.week_start(FIRST_LOGGED_WEEK), scheduled < standpoint.until).with_columns(
        at=pl.col("at") + standpoint.shift, landed=pl.col("landed") + standpoint.shift
    )
    handle = house[MODEL]
    asked = past.select("at", *flights.FEATURES, id="flight_id", entity_id="flight_id", logged_at="at")
    handle.log(handle.predict(asked), caller="demo")
    known = past.drop_nulls(flights.TARGET)
    handle.label(
        known.select(id="flight_id", label=flights.TARGET, observed_at="landed", recorded_at="landed"),
        source="demo",
    )
    return past.height


def _write_note(workspace: Workspace, standpoint: Standpoint) -> None:
    moved = f"moved forward by {standpoint.shift_weeks} weeks"
    facts = {
        "until": standpoint.until.isoformat(),
        "shift_weeks": standpoint.shift_weeks,
        "sentence": (
            f"Real flights from New York City in 2013, {moved}; the log ends where the data stood on "
            f"{standpoint.until:%-d %B %Y}. While the demo runs, the flights that followed are sent as of now, "
            "several a second, and their labels a few seconds later."
        ),
    }
    write_durably(workspace.root / DEMO_FILE, json.dumps(facts, indent=1).encode())


class _Stopwatch:
    """Says each step with the seconds it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.last = say, time.perf_counter()

    def done(self, what: str) -> None:
        now = time.perf_counter()
        self.say(f"{now - self.last:5.1f} s  {what}")
        self.last = now
