"""Columns and tiles of the model page's tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from pilothouse.app import formats
from pilothouse.data.history.results import Drift, Metric, Performance, Rows, State

_NONE = Metric(value=None, reason="not measured")
_MASKED, _LISTED = 400, 10


def _change(now: Metric, before: Metric) -> str:
    if now.value is None:
        return now.reason
    if before.value is None:
        return f"95 % band {formats.band(now.low, now.high)}"
    return f"{formats.signed(now.value - before.value)} ({formats.number(before.value)} before)"


def model_tiles(now: Performance, before: Performance, drift: Drift) -> list[tuple[str, str, str]]:
    """The model's numbers over the chosen range: label, value, and the change or the reason for none."""

    def pair(name: str) -> tuple[Metric, Metric]:
        return now.metrics.get(name, _NONE), before.metrics.get(name, _NONE)

    auc, log_loss = pair("roc_auc"), pair("log_loss")
    said, happened = pair("mean_score")[0], pair("positive_rate")[0]
    coverage = f"{formats.count(now.labelled)} of {formats.count(now.rows)} rows"
    return [
        ("ROC AUC", formats.number(auc[0].value), _change(*auc)),
        ("Log-loss", formats.number(log_loss[0].value), _change(*log_loss)),
        ("Came true", formats.share(happened.value), _said(said, happened)),
        _drifting(drift),
        ("Labels known", formats.share(now.coverage), coverage),
    ]


def _said(said: Metric, happened: Metric) -> str:
    return happened.reason if happened.value is None else f"it said {formats.share(said.value)}"


def _drifting(drift: Drift) -> tuple[str, str, str]:
    if not drift.rows:
        return "Features drifting", formats.NOTHING, "no predictions in this range"
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
