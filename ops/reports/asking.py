"""Evidently's report of a model's window: which rows go into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import BadPolicy
from pilothouse.data.rollups.profile import LABEL, SCORE, Profile
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import reportable
from pilothouse.ops.measuring.frames import SAID, TRUE, judged_version, reference_rows
from pilothouse.ops.reports.report import EvidentlyReport, Preset, make_report
from pilothouse.ops.reports.running import Child

if TYPE_CHECKING:
    from pilothouse.ops.model import ModelHandle


def report_of(
    handle: ModelHandle, window: Window, presets: Sequence[str] | None = None, child: Child | None = None
) -> EvidentlyReport:
    """The report of `window` against the reference. Raises what `make_report` does.

    Sensitive and masked features are left out: it shows distributions and single values alike.
    """
    shown = reportable(handle.signature, handle.row.classes)
    names = {f.column: f.name for f in shown.features}
    wanted = (*names, SCORE, "prediction")
    rows = handle.prediction_log.labelled(window, columns=wanted, versions=handle.signature.takers)
    asked = None if presets is None else [checked_preset(name) for name in presets]
    return make_report(
        handle.house.store, shown, window, rows.rename(names), _reference(handle, shown), handle.history.drift(window),
        presets=asked, child=child,
    )  # fmt: skip


def checked_preset(name: str) -> Preset:
    """Raises BadPolicy."""
    if name not in list(Preset):
        raise BadPolicy("preset", name[:40], ", ".join(Preset))
    return Preset(name)


def _reference(handle: ModelHandle, shown: Signature) -> pl.DataFrame:
    """Features by their own names, `label`, and what the model makes of them: kept for two classes, else said anew."""
    if shown.task is Task.BINARY or handle.champion is None:
        names = {f.column: f.name for f in shown.features}
        folder = handle.house.workspace.reference(handle.name, handle.row.profile_id)
        return Profile.load_sample(folder).select(*names, SCORE, LABEL).rename(names)
    rows = reference_rows(handle, judged_version(handle, None))
    told = {TRUE: LABEL, SAID: "prediction"}
    return rows.select(*(f.name for f in shown.features), *told).rename(told)
