"""Settings, read once at the shell: default < file < environment < argument."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pilothouse.data.errors import InvalidSetting

ENV_PREFIX = "PILOTHOUSE_"
_DURABILITY = ("full", "normal", "async")
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its default; docs/settings.md says what each is for."""

    time_zone: str = "UTC"
    """Business zone: days and hours of roll-ups begin in it."""
    durability: str = "full"
    """`full`: an answer waits until its row is synced to disk; `normal`: until written; `async`: it does not wait."""
    service_workers: int = 2
    max_rows: int = 10_000
    """Rows that one request may hold."""
    max_body_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 10.0
    max_in_flight: int = 256
    """Requests a worker handles at once; one more is answered 503 with Retry-After."""
    seal_every_s: float = 2.0
    """How often the worker seals and folds while rows are arriving."""
    hours_kept_days: int = 60
    """Hour roll-ups are made for rows younger than this; day roll-ups always."""
    dedup_days: int = 2
    """How far back the sealer looks for an id that the caller chose, to drop a retry."""
    service_port: int = 3000
    dashboard_port: int = 8501

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def _parsed(name: str, value: object, source: str) -> Any:
    default = getattr(Settings(), name)
    kind = type(default)
    try:
        parsed = kind(value) if kind is not int else int(str(value))
    except (TypeError, ValueError):
        raise InvalidSetting(
            name, value, {int: "a whole number", float: "a number"}.get(kind, "text"), source
        ) from None
    if name == "time_zone" and parsed not in available_timezones():
        raise InvalidSetting(name, value, "an IANA zone such as Europe/Berlin", source)
    if name == "durability" and parsed not in _DURABILITY:
        raise InvalidSetting(name, value, ", ".join(_DURABILITY), source)
    if kind in (int, float) and not 0 < parsed < math.inf:
        raise InvalidSetting(name, value, "a number above 0", source)
    if name.endswith("_port") and parsed > _LAST_PORT:
        raise InvalidSetting(name, value, f"a port from 1 to {_LAST_PORT}", source)
    return parsed


def load_settings(file: Path, environ: Mapping[str, str] = os.environ, **arguments: object) -> Settings:
    """Settings of the workspace whose file is `file`, overridden by PILOTHOUSE_<NAME>, then by `arguments` not None.

    Raises InvalidSetting naming the setting, its value, where it came from and what is allowed; an unknown name in
    the file is one too.
    """
    names = {f.name for f in fields(Settings)}
    found: dict[str, Any] = {}
    try:
        in_file = tomllib.loads(file.read_text()) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(file.name, str(error), "TOML: name = value lines", "file") from None
    for name, value in in_file.items():
        if name not in names:
            raise InvalidSetting(name, value, f"one of {', '.join(sorted(names))}", file.name)
        found[name] = _parsed(name, value, file.name)
    for name in names:
        if (variable := ENV_PREFIX + name.upper()) in environ:
            found[name] = _parsed(name, environ[variable], variable)
    found |= {name: _parsed(name, value, "argument") for name, value in arguments.items() if value is not None}
    return replace(Settings(), **found)
