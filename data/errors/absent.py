"""What was asked for does not exist."""

from __future__ import annotations

from collections.abc import Iterable

from pilothouse.data.errors.tree import NotFound, did_you_mean, listing


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
            f"No model is named {name!r}. Registered: {listing(self.known)}.{did_you_mean(name, self.known)}"
        )


class UnknownVersion(NotFound):
    def __init__(self, model: str, version: int, known: Iterable[int] = ()) -> None:
        self.model, self.version, self.known = model, version, tuple(known)
        listing = ", ".join(str(v) for v in self.known) or "none yet"
        super().__init__(f"{model} has no version {version}. It has: {listing}.")


class VersionNotLive(NotFound):
    def __init__(self, model: str, version: int, live: int) -> None:
        self.model, self.version, self.live = model, version, live
        super().__init__(
            f"Version {version} of {model} does not answer here; version {live} does. Ask for that one, or leave the "
            "version out for the one that is live."
        )


class UnknownPrediction(NotFound):
    def __init__(self, model: str, asked: str) -> None:
        self.model, self.asked = model, asked
        super().__init__(
            f"The log of {model} has no answered prediction with {asked[:200]}. `pilothouse rows {model}` shows the newest "
            "rows with their ids; rows older than the log policy allows are gone."
        )


class UnknownSwitch(NotFound):
    def __init__(self, model: str, seq: int, known: Iterable[int] = ()) -> None:
        self.model, self.seq, self.known = model, seq, tuple(known)
        listed = ", ".join(str(number) for number in self.known[:10])
        super().__init__(f"{model} has no switch number {seq}. Its newest: {listed}.")


class UnknownRun(NotFound):
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"No run has the id {run_id!r}. `pilothouse runs` lists them.")


class UnknownBackup(NotFound):
    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(f"{path} holds no backup (it has no backup.json). Make one with `pilothouse backup {path}`.")


class UnknownFeature(NotFound):
    def __init__(self, model: str, feature: str, known: Iterable[str]) -> None:
        self.model, self.feature, self.known = model, feature, tuple(known)
        super().__init__(
            f"{model} has no feature {feature!r}. It has: {listing(self.known)}.{did_you_mean(feature, self.known)}"
        )


class UnknownColumn(NotFound):
    def __init__(self, model: str, column: str, known: Iterable[str]) -> None:
        self.model, self.column, self.known = model, column, tuple(known)
        super().__init__(
            f"{model} logs no column {column!r}. It logs: {listing(self.known)}.{did_you_mean(column, self.known)}"
        )


class CommitsGone(NotFound):
    def __init__(self, table: str, version: int) -> None:
        self.table, self.version = table, version
        super().__init__(
            f"Commit {version} of {table} has been cleaned away. Read the whole table instead, or rebuild from it."
        )


class NothingDamaged(NotFound):
    def __init__(self, model: str, file: str, known: Iterable[str]) -> None:
        self.model, self.file, self.known = model, file, tuple(known)
        super().__init__(
            f"No file {file!r} of {model}'s log is known to be damaged. Known: {listing(self.known)}. "
            f"`pilothouse verify {model}` looks for more."
        )


class UnknownKey(NotFound):
    def __init__(self, key_id: str, known: Iterable[str] = ()) -> None:
        self.key_id, self.known = key_id, tuple(known)
        super().__init__(
            f"No key or caller is named {key_id[:63]!r}. `pilothouse keys list` names them."
            f"{did_you_mean(key_id, self.known)}"
        )


class UnknownSchedule(NotFound):
    def __init__(self, schedule_id: str) -> None:
        self.schedule_id = schedule_id
        super().__init__(f"No schedule has the id {schedule_id[:63]!r}. `pilothouse schedules list` names them.")
