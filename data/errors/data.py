"""The input cannot be used as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pilothouse.data.errors.tree import BadData, did_you_mean, listing


class InvalidName(BadData):
    def __init__(self, kind: str, got: str) -> None:
        self.kind, self.got = kind, got
        super().__init__(
            f"{got[:80]!r} cannot name a {kind}. Use a lower-case letter or digit, then up to 62 more of a-z 0-9 _ -."
        )


_WINDOWS = "Use 7d, 24h or 8w (back from the data's end), or START/END in ISO 8601 with a zone."


class InvalidWindow(BadData):
    def __init__(self, got: str, fault: str = "is not a window", remedy: str = _WINDOWS) -> None:
        self.got, self.fault, self.remedy = got, fault, remedy
        super().__init__(f"{got[:80]!r} {fault}. {remedy}")


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
            f"{table} has no column {column!r}. It has: {listing(self.has)}.{did_you_mean(column, self.has)}"
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


class UnfitModel(BadData):
    """What was handed over is a model that cannot be kept or served as it is."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name} cannot be registered: {why}.")


class BadCode(BadData):
    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name} cannot be taken as code of a model: {why}. Give a wheel, a zip file or a .py module.")


class UnreviewedCode(BadData):
    """Code that nobody has said to have looked at. files : bytes of each module."""

    DIGITS = 12
    _SHOWN = 10

    def __init__(self, name: str, sha256: str, files: Mapping[str, int]) -> None:
        self.name, self.sha256, self.files = name, sha256, dict(files)
        shown = ", ".join(f"{file} ({size:,} bytes)" for file, size in sorted(files.items())[: self._SHOWN])
        more = f" and {len(files) - self._SHOWN:,} more" if len(files) > self._SHOWN else ""
        super().__init__(
            f"{name} holds code that will run with the service's rights: {shown}{more}. Read it; if you trust it, pass "
            f"trust={sha256[: self.DIGITS]!r} (on the command line: --trust-code {sha256[: self.DIGITS]})."
        )


class FiguresDiffer(BadData):
    def __init__(self, model: str, day: object, differing: int, cells: int) -> None:
        self.model, self.day, self.differing, self.cells = model, day, differing, cells
        super().__init__(
            f"{differing:,} of {cells:,} cells of {model}'s roll-ups of {day} differ from a fresh count of its rows. "
            f"Put it right with `pilothouse rebuild {model}`."
        )


class FormsDiffer(BadData):
    def __init__(self, model: str, version: int, beyond: int, rows: int, largest: float) -> None:
        self.model, self.version, self.beyond, self.rows, self.largest = model, version, beyond, rows, largest
        super().__init__(
            f"The ONNX form of {model} version {version} answered {beyond:,} of {rows:,} checked live rows otherwise than "
            f'the original, by up to {largest:.1e}. Look at them; to have originals answer, set onnx = "never" and '
            "register the model again."
        )


class BadArtifact(BadData):
    def __init__(self, sha256: str, why: str) -> None:
        self.sha256, self.why = sha256, why
        super().__init__(f"Artifact {sha256[:12]} was not loaded: {why}.")


class BadBackup(BadData):
    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"The backup in {path} cannot be used: {why}. Nothing was changed; use another copy of it.")


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


class BadMapping(BadData):
    """What somebody said of a column cannot be followed."""

    def __init__(self, got: str, why: str, known: Iterable[str] = ()) -> None:
        self.got, self.why, self.known = got, why, tuple(known)
        others = f" It can be: {listing(self.known)}.{did_you_mean(got, self.known)}" if self.known else ""
        super().__init__(f"The mapping {got[:80]!r} cannot be followed: {why}.{others}")


class AmbiguousColumns(BadData):
    def __init__(self, source: str, questions: Iterable[str]) -> None:
        self.source, self.questions = source, tuple(questions)
        super().__init__(f"The columns of {source} leave a question open: {'; '.join(self.questions)}.")


class UnreadableSource(BadData):
    def __init__(self, source: str, why: str, way_out: str) -> None:
        self.source, self.why = source, why
        super().__init__(f"{source} cannot be read: {why}. {way_out}")


class DamagedFile(BadData):
    """A file of a table is not what was written: whatever needs it is refused, rather than answered wrongly."""

    def __init__(self, table: str, file: str, why: str) -> None:
        self.table, self.file, self.why = table, file, why
        super().__init__(
            f"The file {file} of the table {table} is damaged: {why}. No figure is made from it; "
            "put the file back from a backup (docs/log.md says how)."
        )


class BadPolicy(BadData):
    def __init__(self, name: str, got: object, allowed: str) -> None:
        self.name, self.got = name, got
        super().__init__(f"{name} = {got!r} cannot be kept. Allowed: {allowed}.")


class OnlyRollups(BadData):
    def __init__(self, model: str, first: object) -> None:
        self.model, self.first = model, first
        super().__init__(
            f"{model} has every single row only from {first} on; of earlier days a sample is left, or nothing. "
            "Ask from then on, or without `exact`: roll-ups know all days."
        )


class BadFilter(BadData):
    def __init__(self, got: str, why: str, allowed: Iterable[str]) -> None:
        self.got, self.why, self.allowed = got, why, tuple(allowed)
        super().__init__(f"{got[:80]!r} cannot be asked for: {why}. Allowed: {', '.join(self.allowed)}.")


class BadScope(BadData):
    def __init__(self, got: str, allowed: Iterable[str]) -> None:
        self.got, self.allowed = got, tuple(allowed)
        super().__init__(
            f"{got[:80]!r} is nothing that a key may be allowed. Allowed: {', '.join(self.allowed)}."
            f"{did_you_mean(got, self.allowed)}"
        )


class BadShare(BadData):
    def __init__(self, got: str, most: str) -> None:
        self.got, self.most = got, most
        super().__init__(
            f"{got[:40]!r} is no share for a canary. Allowed: 0.01% to {most}, in steps of 0.01%, such as 1% or 12.5%. "
            "For more than that, promote the version."
        )


class OpenWithoutKeys(BadData):
    """A service that others can reach must know who asks."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"The service does not start on {host}: others could reach it there, and it asks for no keys. Set "
            'require_keys = "yes" in pilothouse.toml and make a key with `pilothouse keys create NAME --scope ...`, '
            "or serve on 127.0.0.1."
        )
