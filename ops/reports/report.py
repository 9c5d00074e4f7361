"""Evidently's full report of a window, with its verdict on each feature beside ours."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl

from pilothouse.data.errors import BadPolicy, EmptyWindow
from pilothouse.data.history.results import Drift, FeatureDrift, State
from pilothouse.data.signature import Signature, Task
from pilothouse.data.store import Store
from pilothouse.data.windows import Window
from pilothouse.ops.reports.running import Child

SAMPLE_ROWS = 50_000
_SEED = 0
DRIFT, NO_DRIFT = "drift", "no drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One feature in Evidently's eyes and in ours. `why`: where the two part, a sentence; empty where they agree."""

    feature: str
    method: str
    value: float
    threshold: float
    evidently: str
    psi: float | None
    ours: State
    why: str


class Preset(StrEnum):
    """What a report can be about; the last two are of labelled rows, as the task allows."""

    DRIFT = "drift"
    SUMMARY = "summary"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Status(StrEnum):
    """How one of Evidently's tests came out."""

    SUCCESS = "success"
    WARNING = "warning"
    FAIL = "fail"
    ERROR = "error"
    SKIPPED = "skipped"


FAILED = frozenset({Status.FAIL, Status.ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One of Evidently's tests of the window against the reference."""

    name: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidentlyReport:
    """A report kept in the store under `sha256`.

    rows : rows of the window; sampled_rows : how many of them the report rests on (a random sample above 50,000).
    seconds : wall time from request to file, the child's start and imports included. presets : what it is about.
    json : the same figures for machines.
    """

    window: Window
    rows: int
    sampled_rows: int
    reference_rows: int
    seconds: float
    html: str
    sha256: str
    features: tuple[Verdict, ...]
    presets: tuple[Preset, ...] = (Preset.DRIFT, Preset.SUMMARY)
    tests: tuple[Test, ...] = ()
    json: str = ""

    @property
    def failed(self) -> tuple[Test, ...]:
        return tuple(test for test in self.tests if test.status in FAILED)


def make_report(
    store: Store,
    signature: Signature,
    window: Window,
    current: pl.DataFrame,
    reference: pl.DataFrame,
    drift: Drift,
    *,
    presets: Sequence[Preset] | None = None,
    child: Child | None = None,
) -> EvidentlyReport:
    """Run Evidently's presets in a child process; None for all that the task and the labels allow.

    current, reference : columns named as the features, `label`, `prediction` and `score`. child : tells its steps, and can be
    stopped. Raises EmptyWindow when the window has no row, BadPolicy for a preset that the rows do not allow, Unavailable
    when the child fails (its last line is told), QueryCancelled when it was stopped.
    """
    if current.is_empty():
        raise EmptyWindow(f"The window {window}")
    started = time.perf_counter()
    sample = current.sample(min(current.height, SAMPLE_ROWS), seed=_SEED)
    chosen = chosen_presets(signature.task, has_outcome(signature, sample, reference), presets)
    with tempfile.TemporaryDirectory(prefix="pilothouse-report-") as name:
        folder = Path(name)
        write_request(folder, signature, sample, reference, chosen)
        (child or Child()).run(folder)
        answer = json.loads((folder / "answer.json").read_text())
        html = (folder / "report.html").read_text(encoding="utf-8")
        plain = (folder / "report.json").read_text(encoding="utf-8")
    ours = {feature.name: feature for feature in drift.features}
    return EvidentlyReport(
        window=window,
        rows=current.height,
        sampled_rows=sample.height,
        reference_rows=reference.height,
        seconds=time.perf_counter() - started,
        html=html,
        sha256=store.put(html.encode()),
        features=tuple(_verdict(found, ours[found["name"]]) for found in answer["features"] if found["name"] in ours),
        presets=chosen,
        tests=tests_of(answer),
        json=plain,
    )


def tests_of(answer: Mapping[str, Any]) -> tuple[Test, ...]:
    return tuple(
        Test(name=test["name"], status=Status(test["status"]), detail=test["detail"]) for test in answer["tests"]
    )


def chosen_presets(task: Task, labelled: bool, asked: Sequence[Preset] | None) -> tuple[Preset, ...]:
    """The presets asked for, or all there can be. Raises BadPolicy for one that there cannot be.

    >>> [str(preset) for preset in chosen_presets(Task.REGRESSION, True, None)]
    ['drift', 'summary', 'regression']
    """
    own = Preset.REGRESSION if task is Task.REGRESSION else Preset.CLASSIFICATION
    allowed = (Preset.DRIFT, Preset.SUMMARY, *([own] if labelled else []))
    for preset in asked or ():
        if preset not in allowed:
            why = (
                ""
                if labelled or preset is not own
                else f"; {own} needs labelled rows of the window and of the reference"
            )
            raise BadPolicy("preset", str(preset), ", ".join(allowed) + why)
    return tuple(asked) if asked else allowed


def has_outcome(signature: Signature, *frames: pl.DataFrame) -> bool:
    """Whether all frames have labelled rows to measure performance on, of both classes where there are two."""
    said = "score" if signature.task is Task.BINARY else "prediction"
    least = 2 if signature.task is Task.BINARY else 1
    return all(
        said in frame.columns and frame.drop_nulls(["label", said])["label"].n_unique() >= least for frame in frames
    )


def write_request(
    folder: Path,
    signature: Signature,
    current: pl.DataFrame,
    reference: pl.DataFrame,
    presets: Sequence[Preset],
    *,
    html: bool = True,
) -> None:
    """What the child reads. Where performance is asked for, rows without a label are left out."""
    numeric = [f.name for f in signature.features if f.numeric]
    categorical = [f.name for f in signature.features if not f.numeric]
    text = [pl.col(name).cast(pl.String) for name in categorical]
    judged = bool({Preset.CLASSIFICATION, Preset.REGRESSION} & set(presets))
    outcome = ["label", "score" if signature.task is Task.BINARY else "prediction"] if judged else []
    for name, frame in (("current", current), ("reference", reference)):
        rows = frame.drop_nulls(outcome) if judged else frame
        rows.with_columns(*text, *_outcome(signature, rows, judged)).write_parquet(folder / f"{name}.parquet")
    request = {
        "numeric": numeric,
        "categorical": categorical,
        "outcome": outcome,
        "task": str(signature.task) if judged else "",
        "presets": [str(preset) for preset in presets],
        "html": html,
    }
    (folder / "request.json").write_text(json.dumps(request))


def _outcome(signature: Signature, rows: pl.DataFrame, judged: bool) -> list[pl.Expr]:
    """Label and prediction as Evidently takes them for the task."""
    if not judged:
        return []
    if signature.task is Task.BINARY:
        # Evidently takes two classes for such only when they are whole numbers: 0.0 and 1.0 count as a regression.
        positive = pl.lit(pl.Series([signature.target.positive]).cast(rows["label"].dtype))
        return [(pl.col("label") == positive).cast(pl.Int64).alias("label")]
    kind = pl.String if signature.task is Task.MULTICLASS else pl.Float64
    return [pl.col(name).cast(kind) for name in ("label", "prediction")]


def _verdict(found: dict[str, object], ours: FeatureDrift) -> Verdict:
    value, threshold = float(str(found["value"])), float(str(found["threshold"]))
    drifted = has_drifted(str(found["method"]), value, threshold)
    return Verdict(
        feature=ours.name,
        method=str(found["method"]),
        value=value,
        threshold=threshold,
        evidently=DRIFT if drifted else NO_DRIFT,
        psi=ours.psi,
        ours=ours.state,
        why=explain_difference(ours, str(found["method"]), value, threshold, drifted),
    )


def has_drifted(method: str, value: float, threshold: float) -> bool:
    """Whether Evidently calls it drift: a distance is large then; a p-value, which it takes for up to 1,000 rows, small.

    >>> has_drifted("Wasserstein distance (normed)", 0.3, 0.1), has_drifted("K-S p_value", 0.3, 0.05)
    (True, False)
    """
    return value <= threshold if _is_chance(method) else value >= threshold


def _is_chance(method: str) -> bool:
    return method.endswith("p_value")


def explain_difference(ours: FeatureDrift, method: str, value: float, threshold: float, drifted: bool) -> str:
    """Why Evidently's verdict and ours part on a feature, in a sentence; empty where they agree or ours has none."""
    if ours.psi is None or ours.missing is None or ours.state is State.NO_DATA:
        return ""
    alarmed = ours.state in (State.WATCH, State.CRITICAL)
    if drifted == alarmed:
        return ""
    missing = ours.missing - ours.reference_missing
    if not drifted and abs(missing) > 0.02:
        return (
            f"The missing share moved from {ours.reference_missing:.1%} to {ours.missing:.1%}. "
            "PSI counts that; Evidently drops missing values first."
        )
    if _is_chance(method):
        return (
            f"{method} {value:.2g} against {threshold:g} says how likely chance alone is, PSI {ours.psi:.2f} how far "
            "it moved: many rows make a small move certain, few leave a large one in doubt."
        )
    if not drifted:
        return (
            f"PSI {ours.psi:.2f} adds up changes of shape over the reference's deciles; {method} gives {value:.2f}, "
            f"below its {threshold:g}, because the mass did not move far."
        )
    return (
        f"{method} {value:.2f} is over its {threshold:g}, while PSI {ours.psi:.2f} is under 0.1: "
        "the distance travelled is counted in full, but few rows changed their decile."
    )
