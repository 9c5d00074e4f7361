"""The quality of what a model is asked: rows against the schema in force, hours against those of past weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.history.history import History
from pilothouse.data.history.opened import open_tables
from pilothouse.data.history.results import State
from pilothouse.data.limits import Limit
from pilothouse.data.log.schema import Status
from pilothouse.data.measures import volume
from pilothouse.data.measures.quality import Quality, RuleLine, Volume
from pilothouse.data.measures.rules import Rule
from pilothouse.data.measures.violations import AT, ID, count_violations, examples, line_of, points_of
from pilothouse.data.rollups.schema import Part
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import unshown_features
from pilothouse.ops.measuring.schemas import AgreedSchema, agreed, shown

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_BY_HOUR = timedelta(days=14)
"""Windows up to this long are counted by hour, longer ones by day."""


def measure_quality(handle: ModelHandle, window: Window) -> Quality:
    """Violations of each rule and the volume of each hour in `window`. Reads every row of it once. Raises QueryTooSlow.

    Rows of versions that take the features in another way are left out of the rules; sensitive columns have none here.
    """
    house = handle.house
    schema = agreed(house.workspace, house.state, handle.row)
    hidden = unshown_features(handle.row.classes)
    rules = [rule for rule in schema.terms.rules if rule.column not in hidden]
    every = HOUR if window.length <= _BY_HOUR else DAY
    with Limit(house.settings.query_limit_s):
        rows = answered_rows(handle, window, rules)
        counted = count_violations(rows, rules, every, house.settings.zone)
        points = points_of(counted, rules, every, schema.terms.tolerated, house.settings.zone)
        found = examples(rows, rules)
        came = measure_hours(handle, window)
    lines = [line_of(rule, points, schema.terms.tolerated, found) for rule in rules]
    return Quality(
        model=handle.name,
        window=window,
        schema_version=schema.version,
        tolerated=schema.terms.tolerated,
        rows=rows.height,
        every=every,
        rules=_worst_first(lines, schema),
        points=points,
        volume=came,
        unshown=sum(column.name in hidden for column in schema.terms.columns),
    )


def measure_hours(handle: ModelHandle, window: Window) -> Volume:
    """How much came in each hour of `window`, and how late the newest row is; from the roll-ups by hour, which reach
    back as many days as the setting `hours_kept_days` says."""
    house, history = handle.house, handle.history
    zone = house.settings.zone
    opened = open_tables(house.workspace, handle.name, handle.signature, handle.label_policy)
    since = opened.cursor.hours_since(zone)
    start = max(window.start - volume.WEEKS * timedelta(weeks=1), since) if since else window.start
    hours = _hours(history, Window(start, window.end)) if start < window.end and since else []
    return volume.measure_volume(hours, window, history.watermark().data_to, house.clock(), zone)


def _hours(history: History, span: Window) -> list[volume.Hour]:
    """Every business hour of the span with what came in it, be it nothing."""
    steps = history.steps(span, HOUR)
    counted = history.count(steps, (Part.VOLUME,)).group_by("point", "feature").agg(pl.col("n").sum())
    came = {(point, status): n for point, status, n in counted.iter_rows()}
    return [
        volume.Hour(window=step, rows=came.get((i, Status.OK), 0), errors=came.get((i, Status.ERROR), 0))
        for i, step in enumerate(steps)
    ]


def answered_rows(handle: ModelHandle, window: Window, rules: list[Rule]) -> pl.DataFrame:
    """The answered rows: AT, ID and the rules' columns, by their own names."""
    asked = {rule.column for rule in rules}
    names = {column.column: column.name for column in handle.signature.columns if column.name in asked}
    wanted = ("at", "prediction_id", "status", *names)
    rows = handle.prediction_log.predictions(window, columns=wanted, versions=handle.signature.takers)
    told = {"at": AT, "prediction_id": ID}
    return rows.filter(pl.col("status") == Status.OK).drop("status").rename(names | told)


def _worst_first(lines: list[RuleLine], schema: AgreedSchema) -> tuple[RuleLine, ...]:
    order = list(State)
    ranked = sorted(lines, key=lambda line: (order.index(line.state), -line.violations))
    return tuple(replace(line, rule=shown(line.rule, schema.guarded)) for line in ranked)
