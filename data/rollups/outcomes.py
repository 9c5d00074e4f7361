"""Outcomes in and out of roll-up rows: signed contributions in, `Outcomes` out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pilothouse.data.history.results import Metric
from pilothouse.data.measures.chances import measure_chances
from pilothouse.data.measures.outcomes import Outcomes, Sums, brier_scores, log_losses
from pilothouse.data.measures.performance import measure_performance
from pilothouse.data.measures.tasks import Confusion, Errors, measure_classes, measure_errors
from pilothouse.data.rollups.bins import (
    NO_SCORE,
    SCORE_SLOTS,
    Floats,
    Ints,
    error_slots,
    measurable,
    numbers,
    score_slots,
)
from pilothouse.data.rollups.chances import chances_in, class_of, judged_parts
from pilothouse.data.rollups.schema import (
    AGAINST_REST,
    BRIER,
    CONFUSION,
    ERROR,
    KEYS,
    LOG_LOSS,
    SUMS,
    TARGET,
    TRUE_SCORE,
    Part,
    Tier,
    bucket_of,
    no_rows,
    period_of,
)
from pilothouse.data.rollups.segments import Segments
from pilothouse.data.signature import Signature, Task


def outcomes_of(scores: Floats, positive: npt.NDArray[np.bool_]) -> Outcomes:
    """Outcomes of labelled rows. scores : float64, shape (rows,), NaN for none. positive : bool, same shape."""
    scored = ~np.isnan(scores)
    slots, given, came = score_slots(scores[scored]), scores[scored], positive[scored]
    return Outcomes(
        positives=np.bincount(slots[came], minlength=SCORE_SLOTS),
        negatives=np.bincount(slots[~came], minlength=SCORE_SLOTS),
        score=Sums.of(given),
        log_loss=Sums.of(log_losses(given, came)),
        brier=Sums.of(brier_scores(given, came)),
        labelled=len(scores),
        positive=int(positive.sum()),
    )


def count_outcomes(
    contributions: pl.DataFrame,
    signature: Signature,
    zone: str,
    hours_from: datetime | None,
    *,
    days: bool = True,
    segments: Segments = (),
) -> pl.DataFrame:
    """Roll-up rows of labelled predictions.

    contributions : at, version, role, prediction, score, label (the target's own value), recorded (a day), sign (1 or
    -1), what `judged` adds, and the column that each of `segments` is stored as. hours_from, days : as in `count_rows`.
    """
    tiers = [no_rows()]
    for coded in _CODED[signature.task](contributions, signature):
        if days:
            tiers += [_summed(rows, Tier.DAY, zone) for rows in (coded, *_by_segment(coded, segments))]
        if hours_from is not None:
            tiers.append(_summed(coded.filter(pl.col("at") >= hours_from), Tier.HOUR, zone))
    return pl.concat(tiers)


def realized(counts: pl.DataFrame, signature: Signature) -> dict[str, Metric]:
    """Realized performance from roll-up rows: the metrics of the model's task."""
    if signature.task is Task.MULTICLASS:
        classes = len(signature.target.classes)
        confusion = confusion_in(counts, classes)
        return measure_classes(confusion) | measure_chances(chances_in(_outcomes(counts), confusion.labelled, classes))
    if signature.task is Task.REGRESSION:
        return measure_errors(errors_in(counts))
    return measure_performance(outcomes_in(counts))


def _binary(rows: pl.DataFrame, signature: Signature) -> Iterator[pl.DataFrame]:
    label = (pl.col("label") == signature.target.positive).cast(pl.Int32)
    rows = rows.with_columns(label.alias("label"))
    scores, positive = numbers(rows["score"]), rows["label"].fill_null(0).to_numpy() == 1
    yield _coded(rows, TRUE_SCORE, np.nan_to_num(scores), score_slots(scores))
    scored, given, came = rows.filter(~np.isnan(scores)), scores[~np.isnan(scores)], positive[~np.isnan(scores)]
    yield _coded(scored, LOG_LOSS, log_losses(given, came))
    yield _coded(scored, BRIER, brier_scores(given, came))


def _classes(rows: pl.DataFrame, signature: Signature) -> Iterator[pl.DataFrame]:
    yield _labelled(rows)
    answered = rows.filter(pl.col("prediction").is_not_null())
    true, predicted = (class_of(answered[name], signature) for name in ("label", "prediction"))
    yield _coded(answered.with_columns(true.alias("label")), CONFUSION, np.zeros(answered.height), predicted.to_numpy())
    yield from (_coded(*part) for part in judged_parts(rows, signature))


def _numbers(rows: pl.DataFrame, signature: Signature) -> Iterator[pl.DataFrame]:
    yield _labelled(rows)
    answered = rows.filter(measurable("prediction"), measurable("label"))
    errors = (answered["prediction"] - answered["label"]).to_numpy()
    unlabelled = answered.with_columns(pl.lit(None, pl.Int32).alias("label"))
    yield _coded(unlabelled, ERROR, errors, error_slots(errors))
    yield _coded(unlabelled, TARGET, numbers(answered["label"]))


_CODED: dict[Task, Callable[[pl.DataFrame, Signature], Iterator[pl.DataFrame]]] = {
    Task.BINARY: _binary,
    Task.MULTICLASS: _classes,
    Task.REGRESSION: _numbers,
}


def _by_segment(coded: pl.DataFrame, segments: Segments) -> Iterator[pl.DataFrame]:
    """`coded` once for each of `segments`, the features named by the segment that each row lies in.

    Not each class against the rest: twenty histograms for each of fifty values would be most of the roll-ups.
    """
    if coded.height and coded["feature"][0].startswith(AGAINST_REST):
        return
    for segment in segments:
        slots = segment.bins.codes(coded[segment.stored])
        named = pl.format("{} {} {}", "feature", pl.Series("slot", slots), pl.lit(segment.name))
        yield coded.with_columns(pl.lit(Part.SEGMENT_OUTCOME.value).alias("part"), named.alias("feature"))


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """Each labelled row, whether it has a prediction or not."""
    nothing = rows.with_columns(pl.lit(None, pl.Int32).alias("label"))
    return _coded(nothing, TRUE_SCORE, np.zeros(rows.height), np.full(rows.height, NO_SCORE))


def _coded(rows: pl.DataFrame, feature: str, values: Floats, slots: Ints | None = None) -> pl.DataFrame:
    """`rows` with the slot and the value that each adds to `feature`."""
    return rows.with_columns(
        pl.lit(Part.OUTCOME.value).alias("part"),
        pl.lit(feature).alias("feature"),
        pl.Series("bin", np.zeros(rows.height) if slots is None else slots).cast(pl.Int32),
        pl.Series("value", values, pl.Float64),
    )


def _summed(rows: pl.DataFrame, tier: Tier, zone: str) -> pl.DataFrame:
    sign, amount = pl.col("sign").cast(pl.Int64), pl.col("value")
    keyed = rows.with_columns(pl.lit(tier.value).alias("tier"), period_of(tier, zone), bucket_of(tier, zone))
    return (
        keyed.group_by(KEYS)
        .agg(n=sign.sum(), s=(sign * amount).sum(), s2=(sign * amount**2).sum())
        .select(*KEYS, *SUMS)
    )


def outcomes_in(rows: pl.DataFrame) -> Outcomes:
    """`Outcomes` of roll-up rows: part, feature, bin, label and the sums; rows of other parts are passed over."""
    # A page asks for hundreds of these: the rows are looked through once, and the rest is arithmetic on arrays.
    parts = {str(name): part for (name,), part in _outcomes(rows).partition_by("feature", as_dict=True).items()}
    labelled, nothing = parts.get(TRUE_SCORE, rows.clear()), rows.clear()
    slots, n, came = (labelled[name].to_numpy() for name in ("bin", "n", "label"))
    scored, positive = slots != NO_SCORE, came == 1
    return Outcomes(
        positives=_histogram(slots, n, scored & positive),
        negatives=_histogram(slots, n, scored & (came == 0)),
        score=_added(labelled, scored),
        log_loss=_added(parts.get(LOG_LOSS, nothing)),
        brier=_added(parts.get(BRIER, nothing)),
        labelled=int(n.sum()),
        positive=int(n[positive].sum()),
    )


def confusion_in(rows: pl.DataFrame, classes: int) -> Confusion:
    """`Confusion` of roll-up rows of a model with that many classes."""
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    cells = _outcomes(rows, CONFUSION)
    np.add.at(counts, (cells["label"].to_numpy(), cells["bin"].to_numpy()), cells["n"].to_numpy())
    return Confusion(counts=counts, labelled=int(_outcomes(rows, TRUE_SCORE)["n"].sum()))


def errors_in(rows: pl.DataFrame) -> Errors:
    """`Errors` of roll-up rows."""
    error = _outcomes(rows, ERROR)
    return Errors(
        error=_added(error),
        absolute=_added(error.with_columns(pl.col("s").abs())),
        target=_added(_outcomes(rows, TARGET)),
        labelled=int(_outcomes(rows, TRUE_SCORE)["n"].sum()),
    )


def _outcomes(rows: pl.DataFrame, feature: str | None = None) -> pl.DataFrame:
    found = rows.filter(pl.col("part") == Part.OUTCOME)
    return found if feature is None else found.filter(pl.col("feature") == feature)


def _histogram(slots: Ints, n: Ints, those: npt.NDArray[np.bool_]) -> Ints:
    counts = np.zeros(SCORE_SLOTS, np.int64)
    np.add.at(counts, slots[those], n[those])
    return counts


def _added(rows: pl.DataFrame, those: npt.NDArray[np.bool_] | slice = slice(None)) -> Sums:
    n, s, s2 = (rows[name].to_numpy()[those] for name in SUMS)
    return Sums(n=int(n.sum()), total=float(s.sum()), squares=float(s2.sum()))
