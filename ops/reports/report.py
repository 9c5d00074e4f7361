"""Evidently's full report of a window, with its verdict on each feature beside ours."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pilothouse.data.errors import EmptyWindow, Unavailable
from pilothouse.data.history.results import Drift, FeatureDrift, State
from pilothouse.data.signature import Signature, Task
from pilothouse.data.store import Store
from pilothouse.data.windows import Window

SAMPLE_ROWS = 50_000
_TIMEOUT_S = 600
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidentlyReport:
    """A report kept in the store under `sha256`.

    rows : rows of the window; sampled_rows : how many of them the report rests on (a random sample above 50,000).
    seconds : wall time from request to file, the child's start and imports included.
    """

    window: Window
    rows: int
    sampled_rows: int
    reference_rows: int
    seconds: float
    html: str
    sha256: str
    features: tuple[Verdict, ...]


def make_report(
    store: Store, signature: Signature, window: Window, current: pl.DataFrame, reference: pl.DataFrame, drift: Drift
) -> EvidentlyReport:
    """Run Evidently's drift, summary and (with labels) classification presets in a child process.

    current, reference : columns named as the features, `label` and `score`. Raises EmptyWindow when the window has no
    row, Unavailable when the child fails (its last line is told).
    """
    if current.is_empty():
        raise EmptyWindow(f"The window {window}")
    started = time.perf_counter()
    sample = current.sample(min(current.height, SAMPLE_ROWS), seed=_SEED)
    with tempfile.TemporaryDirectory(prefix="pilothouse-report-") as name:
        folder = Path(name)
        _write_request(folder, signature, sample, reference)
        _run_child(folder)
        answer = json.loads((folder / "verdicts.json").read_text())
        html = (folder / "report.html").read_text(encoding="utf-8")
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
    )


def _write_request(folder: Path, signature: Signature, current: pl.DataFrame, reference: pl.DataFrame) -> None:
    numeric = [f.name for f in signature.features if f.numeric]
    categorical = [f.name for f in signature.features if not f.numeric]
    text = [pl.col(name).cast(pl.String) for name in categorical]
    labelled = signature.task is Task.BINARY and all(
        frame["label"].drop_nulls().n_unique() == 2 for frame in (current, reference)
    )
    for name, frame in (("current", current), ("reference", reference)):
        rows = frame.drop_nulls("label") if labelled else frame
        # Evidently takes two classes for such only when they are whole numbers: 0.0 and 1.0 count as a regression.
        rows.with_columns(*text, label=_is_positive(signature, frame["label"].dtype)).write_parquet(
            folder / f"{name}.parquet"
        )
    request = {
        "numeric": numeric,
        "categorical": categorical,
        "labelled": labelled,
    }
    (folder / "request.json").write_text(json.dumps(request))


def _is_positive(signature: Signature, dtype: pl.DataType) -> pl.Expr:
    """1 where the label is the positive class, else 0: the log keeps 0 and 1 as doubles."""
    positive = signature.target.positive if signature.task is Task.BINARY else None
    return (pl.col("label") == pl.lit(pl.Series([positive]).cast(dtype))).cast(pl.Int64)


def _run_child(folder: Path) -> None:
    command = [sys.executable, "-m", "pilothouse.ops.reports.child", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Evidently did not finish within {_TIMEOUT_S} s. Choose a shorter window.") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"Evidently could not make the report: {last}")


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
