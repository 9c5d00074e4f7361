"""What a model says to a chunk of rows, and the keeping of it until its batch is done.

Answers are small beside the rows that they are given to. A batch that goes on after a crash reads its rows again, but
asks the model for none of the answers that stand on disk.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pilothouse.data.errors import BadData, PilothouseError
from pilothouse.data.log.class_scores import class_columns
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.signature import Kind, Signature, Task, Value
from pilothouse.data.store import write_durably
from pilothouse.ops.scoring import Scored, Scorer

FAULT = "fault"
"""Extra column of answers: why a row got none; null for the others."""
SCORED_ROWS = 1 << 16
"""Rows that a model is given at a time; it bounds the memory of models that make wide copies of their input."""
_REFUSED_AT_MOST = 100
_SILENT = "got no finite score: does the model accept missing values?"
_KINDS = {Kind.BOOLEAN: pl.Boolean, Kind.CATEGORY: pl.String, Kind.INTEGER: pl.Int64}


def score_names(signature: Signature) -> tuple[str, ...]:
    """The columns beside `prediction`: one score for a binary task, one a class for a multiclass task, none else."""
    if signature.task is Task.BINARY:
        return ("score",)
    return class_columns(signature.target) if signature.task is Task.MULTICLASS else ()


def class_lists(signature: Signature) -> list[pl.Expr]:
    """The log's column of probabilities from those of answers; nothing unless the task is multiclass."""
    if signature.task is not Task.MULTICLASS:
        return []
    return [pl.concat_list(score_names(signature)).alias(CLASS_SCORES)]


def empty_answers(signature: Signature) -> pl.DataFrame:
    """The columns of answers and their types, without a row."""
    numeric = signature.task is Task.REGRESSION
    prediction = pl.Float64 if numeric else _KINDS.get(signature.target.kind, pl.Float64)
    scores = dict.fromkeys(score_names(signature), pl.Float64)
    return pl.DataFrame(schema={"prediction": prediction, **scores, FAULT: pl.String})


class Answering:
    """Asks one model, and finds the rows that it cannot answer."""

    def __init__(self, scorer: Scorer, signature: Signature) -> None:
        self._scorer, self._signature = scorer, signature
        self._empty = empty_answers(signature)
        self._refused = 0

    def answer(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Answers to `rows` (features under their own names), in their order: prediction, scores, FAULT.

        A row that the model raises an error for, or gives no finite number, has a fault and no answer. Raises BadData
        once the model has raised errors for more than a hundred rows: then it is not the rows.
        """
        parts = [self._part(rows[start : start + SCORED_ROWS]) for start in range(0, rows.height, SCORED_ROWS)]
        return pl.concat([self._empty, *parts])

    def _part(self, rows: pl.DataFrame) -> pl.DataFrame:
        try:
            return self._finite(self._frame(self._scorer.score(rows)))
        except PilothouseError:
            raise
        except Exception as error:
            return self._apart(rows, error)

    def _apart(self, rows: pl.DataFrame, error: Exception) -> pl.DataFrame:
        """The answers to rows of which at least one makes the model raise `error`."""
        if rows.height > 1:
            middle = rows.height // 2
            return pl.concat([self._part(rows[:middle]), self._part(rows[middle:])])
        self._refused += 1
        if self._refused > _REFUSED_AT_MOST:
            raise BadData(
                f"The model failed on more than {_REFUSED_AT_MOST} rows, at last with {type(error).__name__}: {error}. "
                "Try it on one of them: house[name].predict(frame)."
            ) from error
        return self._none(rows.height, f"the model failed on it ({type(error).__name__})")

    def _frame(self, scored: Scored) -> pl.DataFrame:
        columns = _columns(scored, self._signature)
        kinds = self._empty.schema
        made = [pl.Series(name, values, kinds[name], strict=False) for name, values in columns.items()]
        return pl.DataFrame(made).with_columns(pl.lit(None, pl.String).alias(FAULT))

    def _finite(self, answers: pl.DataFrame) -> pl.DataFrame:
        numbers = [name for name, kind in answers.schema.items() if kind == pl.Float64]
        if not numbers:
            return answers
        finite = answers.select(pl.all_horizontal(pl.col(numbers).is_finite())).to_series()
        if finite.all():
            return answers
        answered = pl.lit(finite)
        return answers.with_columns(
            *(pl.when(answered).then(name).alias(name) for name in answers.columns if name != FAULT),
            pl.when(~answered).then(pl.lit(_SILENT)).alias(FAULT),
        )

    def _none(self, rows: int, why: str) -> pl.DataFrame:
        return self._empty.clear(rows).with_columns(pl.lit(why).alias(FAULT))


def _columns(scored: Scored, signature: Signature) -> dict[str, Sequence[Value]]:
    columns: dict[str, Sequence[Value]] = {"prediction": scored.prediction}
    if scored.score is not None:
        columns["score"] = scored.score
    if scored.scores is not None:
        by_class = zip(*scored.scores, strict=True)
        columns |= dict(zip(score_names(signature), by_class, strict=True))
    return columns


class KeptAnswers:
    """The answers of one batch, chunk by chunk, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, number: int) -> pl.DataFrame | None:
        file = self._file(number)
        return pl.read_ipc(file.read_bytes()) if file.exists() else None

    def keep(self, number: int, answers: pl.DataFrame) -> None:
        """Durably: what is in the log must not be answered otherwise after a power cut."""
        content = io.BytesIO()
        answers.write_ipc(content, compression="lz4")
        write_durably(self._file(number), content.getvalue())

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}.arrow"
