"""Work on artifacts that a process of its own does: converting them, and checking live rows against them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.signature import Signature, Task
from pilothouse.data.state.catalog import Conversion, Recorded
from pilothouse.data.store import Store
from pilothouse.ops.runtimes.agree import TOLERANCE, Agreement, compare, odd_one_out, unit_of
from pilothouse.ops.runtimes.onnx import OnnxScorer
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.scoring import Scored, SklearnScorer, trust_checked_input

Say = Callable[[str], None]
ANSWERED = {"prediction": "answered: prediction", "score": "answered: score"}
"""What the log's answers are called in a file of rows, beside features of any name."""
_WORDS = 160
"""How much of a library's own complaint is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """An artifact of the store, and how it scores. rows_file : Parquet with rows to score, by feature name."""

    artifact: Artifact
    signature: Signature
    threshold: float
    rows_file: str

    def load(self, store: Store) -> SklearnScorer:
        trust_checked_input()
        return SklearnScorer(self.artifact.load(store), self.signature, self.threshold)

    def rows(self) -> pl.DataFrame:
        return pl.read_parquet(Path(self.rows_file))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Reference rows in `folder`, on which what an original says is recorded."""

    folder: str
    profile_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineTask:
    """convert : whether an ONNX form is wanted. sample : None where nothing is to be recorded."""

    original: Original
    convert: bool
    sample: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found out about a version; None for what was not asked for, or of which no rows are kept."""

    conversion: Conversion | None = None
    recorded: Recorded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreTask:
    """Score what was recorded again. form : the ONNX form's SHA-256, where that answers."""

    original: Original
    sample: Sample
    recorded: Recorded
    form: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """How far the original, and its ONNX form, are from what was recorded. form : None where there is none."""

    original: Agreement
    form: Agreement | None
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTask:
    """Score rows of the log again. Their file holds what was ANSWERED too. unit, tolerance : the conversion's."""

    original: Original
    unit: float
    tolerance: float


def examine(task: ExamineTask, store: Store, say: Say) -> Examined:
    """Convert an artifact and record what it says, as far as that is asked for."""
    from pilothouse.ops.runtimes.recorded import record_sample

    original, sample = task.original.load(store), task.sample
    return Examined(
        conversion=convert(task.original, store, say, original) if task.convert else None,
        recorded=None if sample is None else record_sample(store, original, sample, task.original.signature),
    )


def rescore(task: RescoreTask, store: Store, say: Say) -> Rescored:
    """What an original and its form say now. Raises whatever loading or scoring raises under these libraries."""
    from pilothouse.ops.registry import installed_libraries
    from pilothouse.ops.runtimes.recorded import reference_rows, rescored

    signature, original = task.original.signature, task.original.load(store)
    rows = reference_rows(Path(task.sample.folder), signature)
    assert rows is not None, "what was recorded once was made of rows that are kept"
    form = task.form and OnnxScorer(store.read(task.form), signature, task.original.threshold, task.form)
    return Rescored(
        original=_plain(rescored(store, task.recorded, original, rows, signature)),
        form=_plain(rescored(store, task.recorded, form, rows, signature)) if form else None,
        libraries=installed_libraries(),
    )


def convert(task: Original, store: Store, say: Say, loaded: SklearnScorer | None = None) -> Conversion:
    """The ONNX form of an artifact, in the store, if one agrees with the original on every row; else the reason.

    loaded : the original, where it is loaded already.
    """
    original, rows = loaded or task.load(store), task.rows()
    wanted = original.score(rows)
    failed: list[Conversion] = []
    for content in _contents(original.model, task.signature):
        if isinstance(content, Exception):
            failed.append(Conversion(reason=f"no ONNX form could be made ({_words(content)})"))
            continue
        found = judge(task, content, original, rows, wanted)
        if not found.reason:
            say(f"converted to ONNX: on {found.rows:,} rows at most {found.largest:.1e} from the original")
            return replace(found, sha256=store.put(content))
        failed.append(found)
    # The likeliest way has failed for the best reason, unless another has come further.
    best = max(failed, key=lambda found: found.rows)
    say(f"not converted to ONNX: {best.reason}")
    return best


def _contents(model: Any, signature: Signature) -> Iterator[bytes | Exception]:
    """What may be an ONNX form of `model`; where one could not be made, what stood against it."""
    from pilothouse.ops.runtimes.convert import contents, ways

    for way in ways(model, signature):
        try:
            made = way()
        except Exception as error:
            # Converters fail in whatever way they like; the original answers then.
            yield error
        else:
            yield from contents(made, signature)


def judge(task: Original, content: bytes, original: SklearnScorer, rows: pl.DataFrame, wanted: Scored) -> Conversion:
    """How far the form in `content` is from what the original has `wanted`; with a `reason` when it must not answer."""
    unit = unit_of(task.signature, wanted)
    try:
        form = OnnxScorer(content, task.signature, task.threshold)
        found = compare(wanted, form.score(rows), unit)
    except Exception as error:
        # Nor is there one kind of error for a form that does not run.
        return Conversion(reason=f"its ONNX form does not run ({_words(error)})")
    facts = Conversion(
        rows=found.rows, other_class=found.other_class, tolerance=TOLERANCE, unit=unit,
        largest=found.largest if np.isfinite(found.largest) else None,
    )  # fmt: skip
    odd = None if not found.holds else odd_one_out(original, form, task.signature, rows, unit)
    return replace(facts, reason=odd or ("" if found.holds else _differs(found)))


def check(task: CheckTask, store: Store, say: Say) -> Agreement:
    """How far what was answered, and logged, is from what the original says to the same rows."""
    rows = task.original.rows()
    wanted = task.original.load(store).score(rows)
    predictions, scores = (rows[name].to_list() for name in ANSWERED.values())
    answered = Scored(prediction=predictions, score=scores if task.original.signature.task is Task.BINARY else None)
    if task.original.signature.task is Task.MULTICLASS:
        # The log keeps the class of these, and no chances.
        other = sum(a != b for a, b in zip(wanted.prediction, answered.prediction, strict=True))
        return Agreement(rows=rows.height, largest=0.0, beyond=other, other_class=other)
    return _plain(compare(wanted, answered, task.unit, task.tolerance))


def _plain(found: Agreement) -> Agreement:
    """What goes back as JSON must be a number."""
    return replace(found, largest=min(found.largest, sys.float_info.max))


def _differs(found: Agreement) -> str:
    if found.beyond:
        by = f"by up to {found.largest:.1e}" if np.isfinite(found.largest) else "or has no number"
        return f"its ONNX form differs {by} on {found.beyond:,} of {found.rows:,} rows (allowed: {TOLERANCE:g})"
    return f"its ONNX form gives {found.other_class:,} of {found.rows:,} rows another class"


def _words(error: Exception) -> str:
    told = " ".join(str(error).split())
    return f"{type(error).__name__}: {told if len(told) <= _WORDS else f'{told[:_WORDS]}...'}"
