"""The heavy work of a retraining: from store to store, so that a process of its own can do it and be killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilothouse.data.errors import BadData
from pilothouse.data.measures.compare import Comparison, compare_scores
from pilothouse.data.signature import Signature
from pilothouse.data.store import Store
from pilothouse.ops import artifacts
from pilothouse.ops.pipeline import snapshot
from pilothouse.ops.pipeline.snapshot import Examples
from pilothouse.ops.runtimes.boosting import quiet
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.scoring import SklearnScorer, model_frame

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTask:
    """Refit a clone of the champion on the rows before `boundary`."""

    champion: Artifact
    signature: Signature
    snapshot_sha256: str
    boundary: datetime
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """seconds : what fitting took by the clock on the wall."""

    artifact_sha256: str
    rows: int
    seed: int
    seconds: float
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateTask:
    """Judge both versions on the rows from `boundary` on."""

    champion: Artifact
    challenger: Artifact
    signature: Signature
    snapshot_sha256: str
    boundary: datetime


def train(task: TrainTask, store: Store, say: Say) -> Trained:
    """The challenger: the champion's pipeline with its settings, unfitted and fitted anew."""
    from sklearn.base import clone

    from pilothouse.ops.registry import installed_libraries

    rows = snapshot.before(snapshot.read(store, task.snapshot_sha256), task.boundary)
    examples = Examples.of(rows, task.signature)
    champion = task.champion.load(store)
    if not hasattr(champion, "fit"):
        raise BadData(
            "The champion came in a file of its library, which does not say how it was fitted. Register the estimator "
            "itself, and promote it, to retrain it."
        )
    model = quiet(seeded(clone(champion), task.seed))
    libraries = installed_libraries()
    say(f"fitting {type(model).__name__} on {rows.height:,} rows x {len(task.signature.features)} features")
    say(f"seed {task.seed}; " + ", ".join(f"{name} {version}" for name, version in libraries.items()))
    started = time.perf_counter()
    model.fit(model_frame(task.signature, examples.features), examples.targets(task.signature))
    seconds = time.perf_counter() - started
    sha256 = store.put(artifacts.dump(model, task.champion.trusted))
    say(f"fitted in {seconds:.1f} s; artifact {sha256[:12]}")
    return Trained(artifact_sha256=sha256, rows=rows.height, seed=task.seed, seconds=seconds, libraries=libraries)


def seeded(model: Any, seed: int) -> Any:
    """`model` with `seed` wherever it would draw its own, so that a step that runs twice gives one result."""
    open_ends = [name for name, value in model.get_params().items() if name.endswith("random_state") and value is None]
    return model.set_params(**dict.fromkeys(open_ends, seed))


def evaluate(task: EvaluateTask, store: Store, say: Say) -> Comparison:
    """Both versions on the same untouched rows."""
    rows = snapshot.since(snapshot.read(store, task.snapshot_sha256), task.boundary)
    say(f"scoring {rows.height:,} untouched rows with both versions")
    return judge(task.champion.load(store), task.challenger.load(store), task.signature, rows)


def judge(champion: Any, challenger: Any, signature: Signature, rows: pl.DataFrame) -> Comparison:
    """Both models scored on `rows` (as `snapshot.labelled_rows` gives them) and compared."""
    examples = Examples.of(rows, signature)
    old, new = (_score(model, signature, examples.features) for model in (champion, challenger))
    return compare_scores(examples.positive, old, new)


def _score(model: Any, signature: Signature, features: pl.DataFrame) -> NDArray[np.float64]:
    if features.is_empty():
        return np.empty(0)
    scored = SklearnScorer(model, signature, threshold=0.5).score(features)
    return np.asarray(scored.score, dtype=np.float64)
