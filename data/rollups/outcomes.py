"""Outcomes in and out of roll-up rows: signed contributions in, `Outcomes` out."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.measures.outcomes import Outcomes, Sums, brier_scores, log_losses
from pilothouse.data.rollups.bins import NO_SCORE, SCORE_SLOTS, Floats, Ints, numbers, score_slots
from pilothouse.data.rollups.schema import (
    BRIER,
    KEYS,
    LOG_LOSS,
    SUMS,
    TRUE_SCORE,
    Part,
    Tier,
    bucket_of,
    no_rows,
    period_of,
)
from pilothouse.data.signature import Signature, Task


def outcomes_of(scores: Floats, positive: npt.NDArray[np.bool_]) -> Outcomes:
    """Outcomes of labelled rows. scores : float64, shape (rows,), NaN for none. positive : bool, same shape."""
    scored = ~np.isnan(scores)
    slots, given, came = score_slots(scores[scored]), scores[scored], positive[scored]
    return Outcomes(
        positives=np.bincount(slots[came], minlength=SCORE_SLOTS),
        negatives=np.bincount(slots[~came], minlength=SCORE_SLOTS),
        score=_sums(given),
        log_loss=_sums(log_losses(given, came)),
        brier=_sums(brier_scores(given, came)),
        labelled=len(scores),
        positive=int(positive.sum()),
    )


def _sums(values: Floats) -> Sums:
    return Sums(n=len(values), total=float(values.sum()), squares=float((values**2).sum()))


def count_outcomes(
    contributions: pl.DataFrame, signature: Signature, zone: str, hours_from: datetime | None, *, days: bool = True
) -> pl.DataFrame:
    """Roll-up rows of labelled predictions.

    contributions : at, version, role, score, label (the target's own value), recorded (a day), sign (1 or -1).
    For a task other than binary rows are counted, without a label or a score. hours_from, days : as in `count_rows`.
    """
    coded = _coded(contributions, signature)
    tiers = [no_rows()]
    if days:
        tiers.append(_tier(coded, Tier.DAY, zone))
    if hours_from is not None:
        tiers.append(_tier(coded.filter(pl.col("at") >= hours_from), Tier.HOUR, zone))
    return pl.concat(tiers)


def _coded(contributions: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    binary = signature.task is Task.BINARY
    label = pl.col("label") == signature.target.positive if binary else pl.lit(None, pl.Boolean)
    rows = contributions.with_columns(label.cast(pl.Int8).alias("label"))
    scores = numbers(rows["score"]) if binary else np.full(rows.height, np.nan)
    positive = rows["label"].fill_null(0).to_numpy() == 1
    return rows.with_columns(
        pl.Series("bin", score_slots(scores), pl.Int32),
        pl.Series(TRUE_SCORE, np.nan_to_num(scores), pl.Float64),
        pl.Series(LOG_LOSS, np.nan_to_num(log_losses(scores, positive)), pl.Float64),
        pl.Series(BRIER, np.nan_to_num(brier_scores(scores, positive)), pl.Float64),
    )


def _tier(coded: pl.DataFrame, tier: Tier, zone: str) -> pl.DataFrame:
    keyed = coded.with_columns(
        pl.lit(tier.value).alias("tier"),
        period_of(tier, zone),
        bucket_of(tier, zone),
        pl.lit(Part.OUTCOME.value).alias("part"),
    )
    scored = keyed.filter(pl.col("bin") != NO_SCORE).with_columns(pl.lit(0, pl.Int32).alias("bin"))
    return pl.concat([_summed(keyed, TRUE_SCORE), _summed(scored, LOG_LOSS), _summed(scored, BRIER)])


def _summed(rows: pl.DataFrame, value: str) -> pl.DataFrame:
    sign, amount = pl.col("sign").cast(pl.Int64), pl.col(value)
    return (
        rows.with_columns(pl.lit(value).alias("feature"))
        .group_by(KEYS)
        .agg(n=sign.sum(), s=(sign * amount).sum(), s2=(sign * amount**2).sum())
        .select(*KEYS, *SUMS)
    )


def outcomes_in(rows: pl.DataFrame) -> Outcomes:
    """`Outcomes` of roll-up rows: part, feature, bin, label and the sums; rows of other parts are passed over."""
    outcome = rows.filter(pl.col("part") == Part.OUTCOME)
    labelled = outcome.filter(pl.col("feature") == TRUE_SCORE)
    scored = labelled.filter(pl.col("bin") != NO_SCORE)
    return Outcomes(
        positives=_histogram(scored.filter(pl.col("label") == 1)),
        negatives=_histogram(scored.filter(pl.col("label") == 0)),
        score=_added(scored),
        log_loss=_added(outcome.filter(pl.col("feature") == LOG_LOSS)),
        brier=_added(outcome.filter(pl.col("feature") == BRIER)),
        labelled=int(labelled["n"].sum()),
        positive=int(labelled.filter(pl.col("label") == 1)["n"].sum()),
    )


def _histogram(rows: pl.DataFrame) -> Ints:
    counts = np.zeros(SCORE_SLOTS, np.int64)
    np.add.at(counts, rows["bin"].to_numpy(), rows["n"].to_numpy())
    return counts


def _added(rows: pl.DataFrame) -> Sums:
    return Sums(n=int(rows["n"].sum()), total=float(rows["s"].sum()), squares=float(rows["s2"].sum()))
