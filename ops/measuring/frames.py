"""The rows that measures beyond the roll-ups read: the reference as a version scores it, and a window with its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pilothouse.data.errors import NoChampion
from pilothouse.data.history.opened import Memory
from pilothouse.data.log.schema import Status
from pilothouse.data.rollups.bins import measurable
from pilothouse.data.rollups.profile import LABEL, SCORE, Profile
from pilothouse.data.signature import Task

if TYPE_CHECKING:
    from pilothouse.data.signature import Signature
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.data.store import Store
    from pilothouse.data.windows import Window
    from pilothouse.ops.model import ModelHandle

SAID, SCORED, TRUE = "__prediction", "__score", "__label"
"""What a version said of a row and what came true, called so that no feature or context column has the same name."""
EACH = "__scores"
"""What a version of a multiclass model gave each class."""

_VERSIONS_REMEMBERED = 16
_said: Memory[list[pl.Series]] = Memory(_VERSIONS_REMEMBERED)
"""What versions say of their reference rows, which neither of them changes: several panels of one page ask for it."""


def judged_version(handle: ModelHandle, version: int | None) -> VersionRow:
    """`version`, or the champion for None. Raises UnknownVersion, NoChampion."""
    found = handle.champion if version is None else handle.version(version)
    if found is None:
        raise NoChampion(handle.name)
    return found


def reference_rows(handle: ModelHandle, version: VersionRow) -> pl.DataFrame:
    """The labelled reference rows: the version's features by their own names, and SAID, SCORED, TRUE.

    SAID : what the version predicts; null for one that is served elsewhere. SCORED : its probability of the positive
    class; null unless the task is binary. For a version that is served elsewhere it is the score that came with the
    reference. A multiclass version that is served here has EACH besides: its probabilities in the target's order.
    """
    folder = handle.house.workspace.reference(handle.name, handle.row.profile_id)
    # Before the rows are read: should they be replaced in between, what is remembered is of no later question.
    held = (folder / Profile.SAMPLE).stat()
    kept = Profile.load_sample(folder)
    rows = kept.select(
        *_features(version.signature, kept.columns), pl.col(SCORE).alias(SCORED), pl.col(LABEL).alias(TRUE)
    )
    if version.artifact_sha256 is None:
        return rows.with_columns(pl.lit(None, pl.Float64).alias(SAID))
    asked = (str(folder), held.st_ino, held.st_mtime_ns, version.version, version.onnx_sha256, version.artifact_sha256)
    said = _said.recall((*asked, version.threshold), lambda: _answers(handle.house.store, version, rows))
    return _numbers_alone(rows.with_columns(said), version.signature)


def _answers(store: Store, version: VersionRow, rows: pl.DataFrame) -> list[pl.Series]:
    """What the version says of the rows: SAID, SCORED, and of several classes EACH."""
    from pilothouse.ops.scoring import load_scorer

    scored = load_scorer(store, version).score(rows)
    score = [None] * rows.height if scored.score is None else scored.score
    said = [pl.Series(SAID, scored.prediction), pl.Series(SCORED, score, pl.Float64)]
    return said if scored.scores is None else [*said, pl.Series(EACH, scored.scores, pl.List(pl.Float64))]


def labelled_rows(handle: ModelHandle, window: Window, version: int | None = None) -> pl.DataFrame:
    """The answered rows of a window, oldest first: `at`, features and context by their own names, SAID, SCORED, TRUE.

    TRUE : the label that holds; null where none has come. version : of its own answers alone; None for all versions
    that take the features as the newest does. Sealed or not, every acknowledged row is there once. SAID and TRUE of a
    regression are null where they are no number that can be measured, here and in the reference.
    """
    signature = handle.signature if version is None else handle.signature.of_version(version)
    names = {column.column: column.name for column in signature.columns}
    versions = signature.takers if version is None else (version,)
    wanted = ("at", *names, "prediction", SCORE, "status")
    rows = handle.prediction_log.labelled(window, columns=wanted, versions=versions)
    told = {"prediction": SAID, SCORE: SCORED, LABEL: TRUE}
    answered = rows.filter(pl.col("status") == Status.OK).select("at", *names, *told).rename(names | told)
    return _numbers_alone(answered, signature)


def _numbers_alone(rows: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """`rows` of a regression with null where prediction or label is no number that can be measured."""
    if signature.task is not Task.REGRESSION:
        return rows
    return rows.with_columns(pl.when(measurable(name)).then(pl.col(name)).alias(name) for name in (SAID, TRUE))


def _features(signature: Signature, held: list[str]) -> list[pl.Expr]:
    """The features by their own names; one that the reference does not have is missing in every row."""
    return [(pl.col(f.column) if f.column in held else pl.lit(None)).alias(f.name) for f in signature.features]
