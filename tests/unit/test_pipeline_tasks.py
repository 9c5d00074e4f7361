"""Training and judging as pure work over a store: same seed, same artifact; the log's types; untouched rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.store import Store
from pilothouse.ops import artifacts
from pilothouse.ops.pipeline import snapshot, tasks
from pilothouse.ops.pipeline.snapshot import Examples
from pilothouse.ops.pipeline.tasks import EvaluateTask, TrainTask
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.scoring import SklearnScorer, model_frame

START = datetime(2026, 3, 2, tzinfo=UTC)
BOUNDARY = START + timedelta(hours=3_000)
SIGNATURE = Signature(
    features=(
        Feature(name="size", kind=Kind.NUMBER),
        Feature(name="port", kind=Kind.CATEGORY),
        Feature(name="windy", kind=Kind.BOOLEAN),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


def logged_rows(rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows as the log gives them, an hour apart: features as x_<name>, the label a double."""
    rng = np.random.default_rng(seed)
    size, port = rng.normal(size=rows), rng.choice(["A", "B"], rows)
    late = rng.random(rows) < 1 / (1 + np.exp(1 - 1.5 * size - (port == "B")))
    return pl.DataFrame(
        {
            "prediction_id": [f"p{i:06d}" for i in range(rows)],
            "at": [START + timedelta(hours=i) for i in range(rows)],
            "x_size": [None if i % 50 == 0 else float(v) for i, v in enumerate(size)],
            "x_port": [None if i % 70 == 0 else str(v) for i, v in enumerate(port)],
            "x_windy": rng.random(rows) < 0.5,
            "label": late.astype(float),
        }
    )


def champion(store: Store, rows: pl.DataFrame) -> Artifact:
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encode, ["port"]), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=10, early_stopping=True))
    examples = Examples.of(rows, SIGNATURE)
    model.fit(model_frame(SIGNATURE, examples.features), examples.targets(SIGNATURE))
    trusted = ("sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink", "sklearn._loss.loss.HalfBinomialLoss")
    known = _trusted(model, trusted)
    return Artifact(sha256=store.put(artifacts.dump(model, known)), trusted=known)


def _trusted(model: object, guess: tuple[str, ...]) -> tuple[str, ...]:
    try:
        artifacts.dump(model, guess)
    except artifacts.UntrustedArtifact as error:
        return tuple(sorted({*guess, *error.types}))
    return guess


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_snapshot_comes_back_as_it_was_kept(store: Store) -> None:
    rows = logged_rows(100)
    assert snapshot.read(store, snapshot.keep(store, rows)).equals(rows)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [((0, 1), [0.0, 1.0, 1.0]), (("no", "yes"), ["no", "yes", "yes"]), ((False, True), [False, True, True])],
)
def test_targets_have_the_classes_the_champion_was_fitted_on(classes: tuple[object, ...], labels: list[object]) -> None:
    target = Target(name="late", kind=Kind.CATEGORY, classes=classes)  # type: ignore[arg-type]
    signature = Signature(features=(), target=target, task=Task.BINARY)
    examples = Examples.of(pl.DataFrame({"label": labels}), signature)
    assert examples.positive.tolist() == [False, True, True]
    assert examples.targets(signature).tolist() == [classes[0], classes[1], classes[1]]


def test_training_learns_from_the_rows_before_the_boundary_only_and_repeats_itself(store: Store) -> None:
    rows = logged_rows(4_000)
    spoiled = rows.with_columns(
        label=pl.when(pl.col("at") >= BOUNDARY).then(1 - pl.col("label")).otherwise(pl.col("label"))
    )
    old, said = champion(store, rows.head(500)), []
    trained = [
        tasks.train(
            TrainTask(
                champion=old,
                signature=SIGNATURE,
                snapshot_sha256=snapshot.keep(store, kept),
                boundary=BOUNDARY,
                seed=7,
            ),
            store,
            said.append,
        )
        for kept in (rows, spoiled)
    ]
    assert trained[0].rows == 3_000
    scores = [
        SklearnScorer(artifacts.load(store.read(t.artifact_sha256), old.trusted), SIGNATURE, 0.5)
        .score(Examples.of(rows, SIGNATURE).features)
        .score
        for t in trained
    ]
    assert scores[0] == scores[1]
    assert any("3,000 rows x 3 features" in line for line in said)
    assert any("seed 7" in line and "scikit-learn" in line for line in said)


def test_both_versions_are_judged_on_the_untouched_rows(store: Store) -> None:
    rows = logged_rows(4_000)
    old, new = champion(store, rows.head(200)), champion(store, snapshot.before(rows, BOUNDARY))
    task = EvaluateTask(
        champion=old,
        challenger=new,
        signature=SIGNATURE,
        snapshot_sha256=snapshot.keep(store, rows),
        boundary=BOUNDARY,
    )
    found = tasks.evaluate(task, store, lambda text: None)
    judged = Examples.of(snapshot.since(rows, BOUNDARY), SIGNATURE)
    expected = [
        roc_auc_score(judged.positive, SklearnScorer(a.load(store), SIGNATURE, 0.5).score(judged.features).score)
        for a in (old, new)
    ]
    assert found.rows == 1_000
    assert [found.champion.roc_auc.value, found.challenger.roc_auc.value] == pytest.approx(expected, abs=1e-12)


def test_only_open_seeds_are_filled() -> None:
    model = make_pipeline(HistGradientBoostingClassifier(), HistGradientBoostingClassifier(random_state=3))
    seeded = tasks.seeded(model, 11)
    assert [step.random_state for _, step in seeded.steps] == [11, 3]
