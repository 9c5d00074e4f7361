"""Whether a training snapshot keeps to the model's data schema, and what Evidently's tests say of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pilothouse.data.errors import CannotRetrain, StepFailed
from pilothouse.data.measures.violations import count_all
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Signature
from pilothouse.data.store import Store
from pilothouse.ops.governance.columns import reportable
from pilothouse.ops.measuring.schemas import INFERRED, AgreedSchema, agreed, shown
from pilothouse.ops.pipeline import snapshot
from pilothouse.ops.pipeline.context import Context
from pilothouse.ops.reports.report import FAILED, Preset, Test, tests_of, write_request

_SAMPLE_ROWS, _SEED = 20_000, 0
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """schema_version : of the rules asked. broken : share of the rows that break each broken rule, by its words.

    tests : Evidently's, of `tested_rows` of the snapshot; none where they were not run.
    """

    schema_version: int = INFERRED
    broken: tuple[tuple[str, float], ...] = ()
    tests: tuple[Test, ...] = ()
    tested_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTask:
    """Test a snapshot's drift from the reference rows in the folder `reference`. signature : with features that may be shown."""

    snapshot_sha256: str
    signature: Signature
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    rows: int
    tests: tuple[Test, ...]


def check(context: Context, signature: Signature, sha256: str) -> Checked:
    """Rules and tests of the snapshot. As long as nobody has agreed on the rules, they warn and the tests are not run.

    Raises CannotRetrain where more rows than the schema allows break a rule that was agreed on, or where a test failed and
    the schema says that this stops a retraining.
    """
    schema = agreed(context.workspace, context.state, context.model)
    rows = snapshot.Examples.of(snapshot.read(context.store, sha256), signature).features
    broken = _broken(schema, rows)
    for words, share in broken[:_SHOWN]:
        context.say(f"{share:.1%} of the rows break the rule: {words}")
    if schema.version == INFERRED:
        return Checked(broken=broken)
    _stop_for_rules(context, schema, broken)
    tested = _tested(context, signature, sha256, must=schema.terms.tests_stop)
    failed = [test for test in tested.tests if test.status in FAILED]
    if failed and schema.terms.tests_stop:
        raise CannotRetrain(
            context.model.name,
            f"{len(failed)} of {len(tested.tests)} tests of Evidently failed, first: {failed[0].detail}",
            f"Choose another window, or let them warn: pilothouse schema edit {context.model.name} 'failed tests warn'.",
        )
    return Checked(schema_version=schema.version, broken=broken, tests=tested.tests, tested_rows=tested.rows)


def _broken(schema: AgreedSchema, rows: pl.DataFrame) -> tuple[tuple[str, float], ...]:
    """Rules that more rows break than are tolerated, worst first."""
    rules = [rule for rule in schema.terms.rules if rule.column in rows.columns]
    counts = count_all(rows, rules)
    shares = {rule: counts[rule.name] / rows.height for rule in rules} if rows.height else {}
    over = [(rule, share) for rule, share in shares.items() if share > schema.terms.tolerated]
    ranked = sorted(over, key=lambda pair: -pair[1])
    return tuple((shown(rule, schema.guarded).words, share) for rule, share in ranked)


def _stop_for_rules(context: Context, schema: AgreedSchema, broken: tuple[tuple[str, float], ...]) -> None:
    most = schema.terms.stops_above
    over = [(words, share) for words, share in broken if share > most]
    if over:
        words, share = over[0]
        raise CannotRetrain(
            context.model.name,
            f"{share:.1%} of the rows to learn from break the rule “{words}”, and version {schema.version} of the schema "
            f"allows {most:.1%}",
            "Mend the data, choose another window, or change the rule with `pilothouse schema edit`.",
        )


def _tested(context: Context, signature: Signature, sha256: str, *, must: bool) -> Tested:
    """Evidently's drift tests, in a process of their own.

    Where they cannot be run the log says so, and a retraining that they may stop (`must`) ends with StepFailed.
    """
    model = context.model
    task = TestTask(
        snapshot_sha256=sha256,
        signature=reportable(signature, model.classes),
        reference=str(context.workspace.reference(model.name, model.profile_id)),
    )
    try:
        found = context.heavy("test", task, Tested)
    except StepFailed as error:
        context.say(f"Evidently's tests could not be run: {error}")
        if must:
            raise
        return Tested(rows=0, tests=())
    failed = sum(test.status in FAILED for test in found.tests)
    context.say(f"Evidently's tests over {found.rows:,} rows: {failed} of {len(found.tests)} failed")
    return found


def run_tests(task: TestTask, store: Store, say: Callable[[str], None]) -> Tested:
    """The tests of Evidently's drift preset over a sample of the snapshot against the reference."""
    from pilothouse.ops.reports import child

    columns = {f.column: f.name for f in task.signature.features}
    rows = snapshot.read(store, task.snapshot_sha256).select(list(columns)).rename(columns)
    sample = rows.sample(min(rows.height, _SAMPLE_ROWS), seed=_SEED)
    reference = Profile.load_sample(Path(task.reference)).select(list(columns)).rename(columns)
    say(f"testing {sample.height:,} rows with Evidently")
    with tempfile.TemporaryDirectory(prefix="pilothouse-tests-") as name:
        folder = Path(name)
        write_request(folder, task.signature, sample, reference, [Preset.DRIFT], html=False)
        child.make(folder)
        answer = json.loads((folder / "answer.json").read_text())
    return Tested(rows=sample.height, tests=tests_of(answer))
