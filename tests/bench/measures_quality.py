"""Violations of every rule over a window, in processor time: one pass of ours, and pandera's own validation of the rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from pilothouse.data.measures import rule_forms
from pilothouse.data.measures.violations import count_violations
from pilothouse.ops.measuring.quality import answered_rows
from pilothouse.ops.model import ModelHandle
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

UNIT = "CPU ms"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """All rules over 28 days, rows in memory: ours by hour, pandera's over all. And the whole answer, the log read for it."""
    window, terms = model.window("28d"), model.schema.terms
    frame, zone = answered_rows(model, window, list(terms.rules)), model.house.settings.zone
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: count_violations(frame, terms.rules, timedelta(hours=1), zone),
        "whole": lambda: model.quality(window),
        "pandera": lambda: rule_forms.failures(terms, frame),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, times))
    what = f"violations of {len(terms.rules)} rules, 28 d, {frame.height:,} rows"
    return [
        Row(name=f"{what}: pandera, rows in memory", ours=found["ours"], rival=found["pandera"], unit=UNIT, size=size),
        Row(name="quality, 28 d, with reading the log", ours=found["whole"], unit=UNIT, size=size),
    ]
