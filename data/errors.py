"""Everything that can go wrong, in one tree; each leaf carries its facts and builds its own sentence.

PilothouseError
├── NotFound     UnknownWorkspace, UnknownModel, UnknownVersion, UnknownRun, UnknownFeature, CommitsGone
├── Refused      NotAllowed, AlreadyExists, AlreadyChampion, StaleDecision, NothingToRollBack, NoChampion,
│                WorkersNotReady, LeaseLost, CannotRetrain
├── BadData      InvalidName, InvalidWindow, InvalidSetting, NaiveTime, MissingColumn, EmptyWindow, BadRows, NotJson,
│                UntrustedArtifact, UnportableModel, BadArtifact, SchemaChanged, BadEntry, StepFailed
└── Unavailable  StoreBusy, CommitConflict, LogUnavailable, ModelNotLoaded, PortTaken

`Refused` may be put right by a person, `Unavailable` is worth a retry. `pilothouse.ops.answers` is the one place
that turns the tree into HTTP statuses and exit codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class PilothouseError(Exception):
    """Root of every error that Pilothouse raises on purpose."""


class NotFound(PilothouseError):
    """The thing named does not exist."""


class Refused(PilothouseError):
    """A rule stands against the act."""


class BadData(PilothouseError):
    """The input cannot be used as it is."""


class Unavailable(PilothouseError):
    """Not now; the same call may work later."""


def _listing(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known) if known else "none yet"


def _did_you_mean(got: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(got, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class UnknownWorkspace(NotFound):
    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(
            f"{path} is not a Pilothouse workspace (it has no pilothouse.toml). Make one with `pilothouse init {path}`."
        )


class UnknownModel(NotFound):
    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(
            f"No model is named {name!r}. Registered: {_listing(self.known)}.{_did_you_mean(name, self.known)}"
        )


class UnknownVersion(NotFound):
    def __init__(self, model: str, version: int, known: Iterable[int] = ()) -> None:
        self.model, self.version, self.known = model, version, tuple(known)
        listing = ", ".join(str(v) for v in self.known) or "none yet"
        super().__init__(f"{model} has no version {version}. It has: {listing}.")


class UnknownRun(NotFound):
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"No run has the id {run_id!r}. `pilothouse runs` lists them.")


class UnknownFeature(NotFound):
    def __init__(self, model: str, feature: str, known: Iterable[str]) -> None:
        self.model, self.feature, self.known = model, feature, tuple(known)
        super().__init__(
            f"{model} has no feature {feature!r}. It has: {_listing(self.known)}.{_did_you_mean(feature, self.known)}"
        )


class CommitsGone(NotFound):
    def __init__(self, table: str, version: int) -> None:
        self.table, self.version = table, version
        super().__init__(
            f"Commit {version} of {table} has been cleaned away. Read the whole table instead, or rebuild from it."
        )


class NotAllowed(Refused):
    def __init__(self, actor: str, act: str, needs: str) -> None:
        self.actor, self.act, self.needs = actor, act, needs
        super().__init__(f"{actor} may not {act}: it needs the role {needs}. Ask someone who has it.")


class AlreadyExists(Refused):
    def __init__(self, what: str, way_out: str) -> None:
        self.what = what
        super().__init__(f"{what} exists already. {way_out}")


class AlreadyChampion(Refused):
    def __init__(self, model: str, version: int) -> None:
        self.model, self.version = model, version
        super().__init__(f"Version {version} is the champion of {model} already; nothing was changed.")


class StaleDecision(Refused):
    def __init__(self, model: str, expected_epoch: int, epoch: int, champion: int | None) -> None:
        self.model, self.expected_epoch, self.epoch, self.champion = model, expected_epoch, epoch, champion
        super().__init__(
            f"{model} has changed since you looked: you decided at epoch {expected_epoch}, it stands at epoch {epoch} "
            f"with version {champion} as champion. Look again and decide anew."
        )


class NothingToRollBack(Refused):
    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"{model} has no earlier champion to return to (a version that was rolled back does not count)."
        )


class NoChampion(Refused):
    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"{model} has no champion yet. Promote a version first.")


class WorkersNotReady(Refused):
    def __init__(self, model: str, version: int, ready: int, live: int, reasons: Iterable[str] = ()) -> None:
        self.model, self.version, self.ready, self.live, self.reasons = model, version, ready, live, tuple(reasons)
        why = f" Reported: {'; '.join(self.reasons)}." if self.reasons else ""
        super().__init__(
            f"{ready} of {live} service workers have loaded {model} version {version}; nothing was switched.{why} "
            "Try again, or look at the service's output."
        )


class LeaseLost(Refused):
    def __init__(self, name: str, holder: str | None) -> None:
        self.name, self.holder = name, holder
        super().__init__(f"{name} is held by {holder or 'nobody'}; this process no longer may do it.")


class CannotRetrain(Refused):
    def __init__(self, model: str, why: str, way_out: str) -> None:
        self.model, self.why = model, why
        super().__init__(f"{model} cannot be retrained: {why}. {way_out}")


class InvalidName(BadData):
    def __init__(self, kind: str, got: str) -> None:
        self.kind, self.got = kind, got
        super().__init__(
            f"{got[:80]!r} cannot name a {kind}. Use a lower-case letter or digit, then up to 62 more of a-z 0-9 _ -."
        )


class InvalidWindow(BadData):
    def __init__(self, got: str) -> None:
        self.got = got
        super().__init__(
            f"{got[:80]!r} is not a window. Use 7d, 24h or 8w (back from the data's end), "
            "or START/END in ISO 8601 with a zone."
        )


class InvalidSetting(BadData):
    def __init__(self, name: str, got: object, allowed: str, source: str) -> None:
        self.name, self.got, self.allowed, self.source = name, got, allowed, source
        super().__init__(f"{name} = {got!r} ({source}) is not allowed. Allowed: {allowed}.")


class NaiveTime(BadData):
    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} has no time zone. Give an aware time, for example 2026-03-03T00:00:00Z.")


class MissingColumn(BadData):
    def __init__(self, table: str, column: str, has: Iterable[str]) -> None:
        self.table, self.column, self.has = table, column, tuple(has)
        super().__init__(
            f"{table} has no column {column!r}. It has: {_listing(self.has)}.{_did_you_mean(column, self.has)}"
        )


class EmptyWindow(BadData):
    def __init__(self, what: str, way_out: str = "Choose a longer window.") -> None:
        self.what = what
        super().__init__(f"{what} has no rows. {way_out}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: a JSON pointer (RFC 6901) to it, and what is wrong, never the value itself."""

    pointer: str
    detail: str


class BadRows(BadData):
    def __init__(self, faults: Iterable[Fault], what: str = "request") -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        super().__init__(f"The {what} was not accepted: {first.pointer or '/'} {first.detail}{more}.")


class NotJson(BadData):
    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The body is not JSON: {why}. Send a JSON object in UTF-8.")


class UntrustedArtifact(BadData):
    def __init__(self, types: Iterable[str]) -> None:
        self.types = tuple(types)
        super().__init__(
            f"The model holds types that skops does not trust by itself: {', '.join(self.types)}. "
            "Look at them, and pass those you know as trusted=[...] (on the command line: --trust TYPE)."
        )


class UnportableModel(BadData):
    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"The model cannot be kept, because {what} exists only in this session. "
            "Move it into a module that is installed where the service runs, and import it from there."
        )


class BadArtifact(BadData):
    def __init__(self, sha256: str, why: str) -> None:
        self.sha256, self.why = sha256, why
        super().__init__(f"Artifact {sha256[:12]} was not loaded: {why}.")


class StepFailed(BadData):
    """A step's own process could not do its work."""

    def __init__(self, step: str, why: str) -> None:
        self.step, self.why = step, why
        super().__init__(f"The step {step} failed: {why}. The worker's output has the whole story.")


class SchemaChanged(BadData):
    def __init__(self, table: str, differences: Iterable[str]) -> None:
        self.table, self.differences = table, tuple(differences)
        super().__init__(
            f"The rows do not fit the table {table}: {'; '.join(self.differences)}. "
            "Nothing was written; give the columns that its schema names."
        )


class BadEntry(BadData):
    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"An entry of the log cannot be read: {why}. It is set aside in its spool.")


class StoreBusy(Unavailable):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is busy. Try again in a moment.")


class CommitConflict(Unavailable):
    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"Somebody else wrote to the table {table} first; nothing was written. Read it again and retry."
        )


class LogUnavailable(Unavailable):
    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(
            f"The prediction log cannot be written: {why}. No answer was given, so nothing is lost; try again."
        )


class ModelNotLoaded(Unavailable):
    def __init__(self, model: str, version: int) -> None:
        self.model, self.version = model, version
        super().__init__(
            f"Version {version} of {model} could not be loaded here yet. "
            "Try again in a moment, or look at the service's output."
        )


class PortTaken(Unavailable):
    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"Port {port} is taken by another program. End it, or choose another port.")
