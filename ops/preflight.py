"""Whether versions would still answer as they did, under the libraries that are installed here: read-only, and before an upgrade.

Each version's reference rows are scored again, in a process of its own, by the original and by the form that answers; what
they say is compared with what was recorded when the version was registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pilothouse.data.errors import StepFailed
from pilothouse.data.state import catalog, deployments
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline.children import Children
from pilothouse.ops.pipeline.gate import Verdict as GateVerdict
from pilothouse.ops.runtimes.agree import TOLERANCE
from pilothouse.ops.runtimes.conversion import silent
from pilothouse.ops.runtimes.examiner import Examiner
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.runtimes.tasks import Original, Rescored, RescoreTask, Sample


class Verdict(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    FAILS = "fails"
    UNKNOWN = "not recorded"


STOPS = frozenset({Verdict.DIFFERS, Verdict.FAILS})
"""Verdicts that speak against an upgrade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What became of one version.

    rows : scored again. largest : largest difference of a score from what was recorded; for a regression in standard
    deviations of the predictions; None where nothing was compared. upgraded : libraries whose version is another than
    when it was registered, with both versions. reason : why, where the verdict is not `same`.
    """

    model: str
    version: int
    champion: bool
    answers_with: str
    verdict: Verdict
    rows: int = 0
    largest: float | None = None
    upgraded: dict[str, tuple[str, str]] = field(default_factory=dict)
    reason: str = ""


def preflight(
    workspace: Workspace, state: State, model: str | None = None, *, tell: Callable[[Preflight], None] = lambda _: None
) -> tuple[Preflight, ...]:
    """Every version that was ever champion or may become it, of `model` or of all; the champions first.

    tell : is given each result as it comes. Nothing is written. Raises UnknownModel.
    """
    found = []
    for row, version, champion in _approved(state, model):
        found.append(_checked(workspace, row, version, champion))
        tell(found[-1])
    return tuple(found)


def record_missing(
    workspace: Workspace, state: State, store: Store, model: str | None = None
) -> tuple[VersionRow, ...]:
    """Record what versions of which nothing is recorded say now: to be called before the libraries change.

    Gives those that it was done for. Raises UnknownModel, BadArtifact, or BadData where one cannot score its reference.
    """
    examiner, done = Examiner(workspace=workspace, store=store, converter=None), []
    for row, version, _ in _approved(state, model):
        if version.recorded is None:
            found = examiner.of(version, row, lambda: None)
            if found.recorded is not None:
                with state.write() as conn:
                    catalog.set_examined(conn, found)
                done.append(found)
    return tuple(done)


def _approved(state: State, model: str | None) -> list[tuple[ModelRow, VersionRow, bool]]:
    """Versions with an artifact that were ever deployed, or that no gate has held back; champions first."""
    found: list[tuple[ModelRow, VersionRow, bool]] = []
    with state.read() as conn:
        rows = catalog.list_models(conn) if model is None else [catalog.get_model(conn, model)]
        for row in rows:
            live = deployments.current(conn, row.name)
            once = {d.version for d in deployments.history(conn, row.name)}
            for version in catalog.list_versions(conn, row.name):
                if version.artifact_sha256 and (version.version in once or not _held_back(version)):
                    found.append((row, version, live is not None and live.version == version.version))
    return sorted(found, key=lambda one: (not one[2], one[0].name, -one[1].version))


def _held_back(version: VersionRow) -> bool:
    said = (version.scorecard or {}).get("decision", {}).get("verdict")
    return said not in (None, GateVerdict.PROMOTE.value)


def _checked(workspace: Workspace, row: ModelRow, version: VersionRow, champion: bool) -> Preflight:
    bare = Preflight(
        model=row.name, version=version.version, champion=champion, answers_with=version.answers_with,
        verdict=Verdict.UNKNOWN,
        reason="nothing was recorded of it: run `pilothouse preflight --record` under the libraries that it answers with now",
    )  # fmt: skip
    if version.recorded is None:
        return bare
    folder = workspace.reference(row.name, version.recorded.profile_id)
    task = RescoreTask(
        original=Original(
            artifact=Artifact.of(version), signature=version.signature, threshold=version.threshold, rows_file=""
        ),
        sample=Sample(folder=str(folder), profile_id=version.recorded.profile_id), recorded=version.recorded,
        form=version.onnx_sha256,
    )  # fmt: skip
    try:
        now = Children(workspace.store).run("preflight", "rescore", task, Rescored, silent)
    except StepFailed as error:
        return replace(bare, verdict=Verdict.FAILS, reason=error.why)
    return _judged(bare, version, now)


def _judged(bare: Preflight, version: VersionRow, now: Rescored) -> Preflight:
    if not now.original.rows:
        return replace(bare, reason="the reference rows that were recorded are gone")
    parts = {"the original": now.original} | ({} if now.form is None else {"its ONNX form": now.form})
    apart = [
        f"{what} differs on {found.beyond:,} of {found.rows:,} rows" for what, found in parts.items() if found.beyond
    ]
    return replace(
        bare,
        verdict=Verdict.DIFFERS if apart else Verdict.SAME,
        rows=now.original.rows,
        largest=max(found.largest for found in parts.values()),
        upgraded=dict(_upgraded(version.libraries, now.libraries)),
        reason=f"{'; '.join(apart)} by more than {TOLERANCE:g}" if apart else "",
    )


def _upgraded(then: dict[str, str], now: dict[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, version in then.items():
        if now.get(name, version) != version:
            yield name, (version, now[name])
