"""What is there against what was acknowledged, and what was folded bit by bit against one recount of everything."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import polars as pl

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import seal
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.rollups.schema import SUMS
from pilothouse.data.rollups.store import rollup_folder, stored_periods, stored_rows
from pilothouse.data.workspace import Workspace
from tests.faults.life import MODEL, NOON, POLICY, SETTINGS, SIGNATURE, fold_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """lost : acknowledged rows not there. doubled : rows there twice. wrong : cells off a recount. why : an error met."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    why: str = ""

    def __add__(self, other: Found) -> Found:
        return Found(
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            wrong=self.wrong + other.wrong,
            why=self.why or other.why,
        )


def recover(workspace: Workspace, acknowledged: Collection[str], reference: Profile) -> Found:
    """Open what a fault left of a Life, seal, fold, and count. What cannot be read is lost; what cannot go on is wrong."""
    try:
        before = count(workspace, acknowledged)
        seal(workspace, {MODEL: SIGNATURE}, SETTINGS)
        after = count(workspace, acknowledged)
    except Exception as error:
        return Found(lost=len(acknowledged), wrong=1, why=f"{type(error).__name__}: {error}")
    try:
        fold_log(workspace, reference)
        wrong = wrong_cells(workspace, reference)
    except Exception as error:
        return before + after + Found(wrong=1, why=f"{type(error).__name__}: {error}")
    return before + after + Found(wrong=wrong)


def count(workspace: Workspace, acknowledged: Collection[str]) -> Found:
    """Rows of a Life, sealed or not; a label counts as there when it, or the higher one told after it, holds."""
    log = PredictionLog(workspace, MODEL, SIGNATURE, POLICY, clock=lambda: NOON)
    rows = log.labelled(columns=("prediction_id",))
    holds = dict(zip(rows["prediction_id"], rows["label"], strict=True))
    lost = 0
    for said in acknowledged:
        row_id, _, label = said.partition("=")
        held = holds.get(row_id) if label else 0
        lost += row_id not in holds or held is None or held < float(label or 0)
    return Found(lost=lost, doubled=rows.height - len(holds))


def wrong_cells(workspace: Workspace, reference: Profile) -> int:
    """Cells of a Life's day roll-ups that one recount of its log changes."""
    return changed_cells(
        rollup_folder(workspace, MODEL),
        lambda: rebuild(workspace, MODEL, SIGNATURE, reference, POLICY, SETTINGS, clock=lambda: NOON),
    )


def changed_cells(rollups: DeltaFolder, rebuild: Callable[[], object], *, within: float = 1e-12) -> int:
    """How many cells of the day roll-ups differ by more than `within` after `rebuild` has counted the log anew."""
    before = day_cells(rollups)
    rebuild()
    after = day_cells(rollups)
    keys = [c for c in before.columns if c not in SUMS]
    both = before.join(after, on=keys, how="full", suffix="_again", nulls_equal=True)
    differs = pl.any_horizontal(
        (pl.col(c).fill_null(0) - pl.col(f"{c}_again").fill_null(0)).abs() > within for c in SUMS
    )
    return both.filter(differs).height


def day_cells(rollups: DeltaFolder) -> pl.DataFrame:
    """Day roll-ups added up, cells of nothing left out."""
    rollups.refresh()
    days = stored_rows(rollups, stored_periods(rollups)).filter(pl.col("tier") == "day").drop("period")
    keys = [c for c in days.columns if c not in SUMS]
    summed = days.group_by(keys).agg(pl.col(SUMS).sum())
    return summed.filter((pl.col("n") != 0) | (pl.col("s").abs() > 1e-12))
