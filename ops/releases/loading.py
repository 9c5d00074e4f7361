"""Versions that service workers could not load: each worker says so with every beat, and goes on with what it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilothouse.data.state.processes import ProcessRow


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLoad:
    """A version that a running worker could not load. fault : what stood against it."""

    process: str
    version: int
    fault: str


def failed_loads(running: Sequence[ProcessRow], model: str) -> tuple[FailedLoad, ...]:
    """What the running workers say of the versions of `model`, by version."""
    found = [
        FailedLoad(process=process.id, version=int(version), fault=fault)
        for process in running
        for version, fault in process.details.get("failed", {}).get(model, {}).items()
    ]
    return tuple(sorted(found, key=lambda failed: (failed.version, failed.process)))
