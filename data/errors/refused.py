"""A rule stands against the act."""

from __future__ import annotations

from collections.abc import Iterable

from pilothouse.data.errors.tree import Refused


class NotServedHere(Refused):
    def __init__(self, model: str, version: int) -> None:
        self.model, self.version = model, version
        super().__init__(
            f"{model} version {version} is served elsewhere and only watched here: it has no artifact to answer with. "
            f"Send its predictions to /models/{model}/log, or register the model itself."
        )


class HiddenColumn(Refused):
    def __init__(self, model: str, column: str) -> None:
        self.model, self.column = model, column
        super().__init__(
            f"The values of {column!r} of {model} are not shown. An admin may see them with `unmask` and a reason, "
            "which is audited; or choose another column."
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


class OtherFeatures(Refused):
    def __init__(self, model: str, version: int, champion: int) -> None:
        self.model, self.version, self.champion = model, version, champion
        super().__init__(
            f"Version {version} of {model} takes other features than its champion, version {champion}: no request has "
            "what both need, so it can be neither a canary nor a shadow. Promote it, or score a file with it."
        )


class CanaryRunning(Refused):
    def __init__(self, model: str, version: int, share: str) -> None:
        self.model, self.version, self.share = model, version, share
        super().__init__(
            f"{model} has a canary already: version {version} with {share} of the requests. A model has one at a time. "
            f"End it first: pilothouse canary {model} --end --reason ..."
        )


class NoTrial(Refused):
    def __init__(self, model: str, kind: str, version: int | None = None) -> None:
        self.model, self.kind, self.version = model, kind, version
        which = "" if version is None else f" of version {version}"
        super().__init__(f"{model} has no {kind}{which} that could be ended; nothing was changed.")


class TooManyShadows(Refused):
    def __init__(self, model: str, running: Iterable[int], most: int) -> None:
        self.model, self.running, self.most = model, tuple(running), most
        super().__init__(
            f"{model} has {len(self.running)} shadows already (versions {', '.join(map(str, self.running))}); the "
            f"setting max_shadows allows {most}. End one first: pilothouse shadow {model} {self.running[0]} --end --reason ..."
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


class FixedClass(Refused):
    def __init__(self, model: str, column: str, told: str) -> None:
        self.model, self.column, self.told = model, column, told
        super().__init__(
            f"Column {column!r} of {model} is {told} and stays so: a column is hashed from its first row on or never, "
            "or equal values would no longer be equal. It can be plain, sensitive, masked or dropped where it is not hashed."
        )


class NoReason(Refused):
    def __init__(self, act: str) -> None:
        self.act = act
        super().__init__(f"{act} needs a reason: it is written to the audit trail. Say why.")


class CannotRetrain(Refused):
    def __init__(self, model: str, why: str, way_out: str) -> None:
        self.model, self.why = model, why
        super().__init__(f"{model} cannot be retrained: {why}. {way_out}")


class ImportBrokenOff(Refused):
    def __init__(self, source: str, model: str) -> None:
        self.source, self.model = source, model
        super().__init__(
            f"An import of {source} into {model} was broken off. Go on with it with `--resume`; no row comes in twice."
        )


class ImportStopped(Refused):
    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"The import into {model} was stopped. What was written stays; start it again to go on.")


class TooManyKeys(Refused):
    def __init__(self, caller: str, live: Iterable[str]) -> None:
        self.caller, self.live = caller, tuple(live)
        super().__init__(
            f"{caller} has two live keys already ({', '.join(self.live)}): the present one and its successor. "
            f"Revoke one of them first: pilothouse keys revoke {self.live[-1]} --reason ..."
        )


class NotSentYet(Refused):
    def __init__(self, model: str, waiting: int) -> None:
        self.model, self.waiting = model, waiting
        super().__init__(
            f"{waiting:,} rows and labels of {model} have yet to be sent to the central house, and would be lost to it. "
            "Wait until `pilothouse forward status` shows none, or set central_url to none to give them up."
        )


class NoResult(Refused):
    def __init__(self, run_id: str, state: str) -> None:
        self.run_id, self.state = run_id, state
        super().__init__(f"The job {run_id} is {state}: it has no result. Ask for it again once it has succeeded.")


class CannotExplain(Refused):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"What each feature contributed cannot be said: {reason}. Register a version with its artifact and plain "
            "columns to have its answers explained."
        )
