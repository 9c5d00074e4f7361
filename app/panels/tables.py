"""Columns and tiles of the model page's tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.data.history.results import Drift, Metric, Performance, Rows, State

_NONE = Metric(value=None, reason="not measured")
_MASKED, _LISTED = 400, 10
_BINARY = "roc_auc"


def _tile(name: str, now: Performance, before: Performance) -> tuple[str, str, str]:
    metric, last = (of.metrics.get(name, _NONE) for of in (now, before))
    return words.title(name), words.value(name, metric.value), _change(name, metric, last)


def _change(name: str, now: Metric, before: Metric) -> str:
    if now.value is None:
        return now.reason
    if before.value is not None:
        return f"{words.change(name, now.value - before.value)} ({words.value(name, before.value)} before)"
    band = words.band(name, now)
    return f"95 % band {band}" if band else ""


def model_tiles(now: Performance, before: Performance, drift: Drift) -> list[tuple[str, str, str]]:
    """The model's numbers over the chosen range: label, value, and the change or the reason for none."""
    main = words.main_of(now.metrics)
    coverage = f"{formats.count(now.labelled)} of {formats.count(now.rows)} rows"
    return [
        *(_tile(name, now, before) for name in (main, *words.BESIDE[main])),
        *([_came_true(now)] if main == _BINARY else []),
        _drifting(drift),
        ("Labels known", formats.share(now.coverage), coverage),
    ]


def _came_true(now: Performance) -> tuple[str, str, str]:
    said, happened = (now.metrics.get(name, _NONE) for name in ("mean_score", "positive_rate"))
    note = happened.reason if happened.value is None else f"it said {formats.share(said.value)}"
    return "Came true", formats.share(happened.value), note


def _drifting(drift: Drift) -> tuple[str, str, str]:
    if not drift.rows:
        return "Features drifting", formats.NOTHING, "no predictions in this range"
    silent = next((f.reason for f in drift.features if f.state is State.NO_DATA), "")
    if silent and all(f.state is State.NO_DATA for f in drift.features):
        return "Features drifting", formats.NOTHING, silent
    critical, watch = (sum(f.state is state for f in drift.features) for state in (State.CRITICAL, State.WATCH))
    return "Features drifting", f"{critical} of {len(drift.features)}", f"{watch} on watch"


def row_columns(found: Rows, zone: tzinfo, names: Mapping[str, str]) -> dict[str, list[object]]:
    """The raw rows by column; times in `zone`, long texts cut, columns without any value left out.

    names : what a column is called where that is not its name in the log.
    """
    return {
        names.get(column, column): [_cell(row[place], zone) for row in found.rows]
        for place, column in enumerate(found.columns)
        if any(row[place] is not None for row in found.rows)
    }


def _cell(value: object, zone: tzinfo) -> object:
    if isinstance(value, datetime):
        return formats.second(value, zone)
    if isinstance(value, list):
        return _listed(value)
    return f"{value[:_MASKED]}…" if isinstance(value, str) and len(value) > _MASKED else value


def _listed(values: list[float]) -> str:
    """The probabilities of classes, those of the first few.

    >>> _listed([0.25, 0.5, 0.25])
    '0.25, 0.5, 0.25'
    """
    shown = ", ".join(f"{value:.3g}" for value in values[:_LISTED])
    return f"{shown}, …" if len(values) > _LISTED else shown
