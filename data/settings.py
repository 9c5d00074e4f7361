"""Settings, read once at the shell: default < file < environment < argument."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pilothouse.data.errors import InvalidSetting

ENV_PREFIX = "PILOTHOUSE_"
IN_WORKSPACE = "sqlite"
"""Of `state_url` and `jobs_url`: the workspace's own files."""
YES, ON = "yes", "on"
NOWHERE = "none"
"""Of `central_url` and `central_key_file`: nothing is sent on, no key is shown."""
ANSWER_UNLOGGED = "answer_unlogged"
"""Of `disk_full`: rather an answer without its row than none."""
WHERE_EQUAL = "where_equal"
"""Of `onnx`: it answers where it agrees with the original."""
_WORDS = {
    "onnx": (WHERE_EQUAL, "never"),
    "durability": ("full", "normal", "async"),
    "disk_full": ("refuse", ANSWER_UNLOGGED),
    "require_keys": ("no", YES),
    "access_log": (ON, "off"),
}
_LAST_PORT = 65_535
_POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")
_STORES = f"{IN_WORKSPACE} (a file in the workspace), or postgresql://USER@HOST:PORT/DATABASE"


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
    body_memory_bytes: int = 256 * 1024 * 1024
    """What the bodies that are arriving may take of a worker's memory; beyond it the oldest of them is given up."""
    max_in_flight: int = 256
    """Requests a worker handles at once; one more waits in a short queue."""
    max_waiting: int = 64
    """Requests in that queue; one more is answered 503 or 429 with Retry-After."""
    max_wait_s: float = 0.03
    """How long a request waits in it at most."""
    caller_share: float = 0.5
    """What one caller may hold of the places before she no longer waits for one."""
    max_shadows: int = 3
    """Versions of one model that may be asked beside its champion at a time, without answering anybody."""
    shadow_queue_rows: int = 10_000
    """Rows that may wait in a worker for its shadows; more are dropped and counted."""
    seal_every_s: float = 2.0
    """How often the worker seals and folds while few rows are arriving."""
    seal_at_most_s: float = 60.0
    """How long it gathers rows while many are arriving."""
    disk_full: str = "refuse"
    """What a prediction gets that cannot be logged: `refuse`, or `answer_unlogged`, which is counted and said."""
    min_free_bytes: int = 256 * 1024 * 1024
    """Free disk below which no row is taken any more."""
    spool_max_bytes: int = 2 * 1024 * 1024 * 1024
    """What may wait to be sealed in one process's spool."""
    hours_kept_days: int = 60
    """Hour roll-ups are made for rows younger than this; day roll-ups always."""
    dedup_days: int = 2
    """How far back the sealer looks for an id that the caller chose, to drop a retry."""
    scrub_mb_per_s: float = 1.0
    """How fast the worker looks over the tables' files for damage, in MB a second on average."""
    query_limit_s: float = 10.0
    """How long one question about the past may take."""
    own_metric_limit_s: float = 30.0
    """How long one metric of a team's own may take."""
    onnx: str = WHERE_EQUAL
    """What answers for a version: its ONNX form `where_equal` to the original, or `never` but the original."""
    check_share: float = 0.001
    """Share of live rows that the original scores again, where its ONNX form answers; 0 checks none."""
    service_port: int = 3000
    service_host: str = "127.0.0.1"
    """The address that the service listens on. Any but the loopback needs `require_keys`."""
    service_names: str = "localhost"
    """Names by which clients may call the service, with commas between them, besides its address."""
    require_keys: str = "no"
    """Whether requests need an API key."""
    access_log: str = ON
    access_log_bytes: int = 64 * 1024 * 1024
    """Size at which a service worker's access log begins a new file; the last four are kept."""
    dashboard_port: int = 8501
    central_url: str = NOWHERE
    """The central house's service, which this place's log is sent on to; `none` sends nothing."""
    central_key_file: str = NOWHERE
    """A file with the API key that is shown there."""
    state_url: str = field(default=IN_WORKSPACE, repr=False)
    """Where models, versions, deployments, runs and the audit trail are kept. It may hold a password: never printed."""
    jobs_url: str = field(default=IN_WORKSPACE, repr=False)

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
    if name in _WORDS and parsed not in _WORDS[name]:
        raise InvalidSetting(name, value, ", ".join(_WORDS[name]), source)
    if name == "check_share" and not 0 <= parsed <= 1:
        raise InvalidSetting(name, value, "a share from 0 to 1", source)
    if kind in (int, float) and name != "check_share" and not 0 < parsed < math.inf:
        raise InvalidSetting(name, value, "a number above 0", source)
    if name == "caller_share" and parsed > 1:
        raise InvalidSetting(name, value, "a share above 0 and up to 1", source)
    if name == "central_url" and parsed != NOWHERE and not str(parsed).startswith(("http://", "https://")):
        raise InvalidSetting(name, value, f"{NOWHERE}, or an address such as https://models.example.com", source)
    if name in ("state_url", "jobs_url") and parsed != IN_WORKSPACE and not str(parsed).startswith(_POSTGRESQL):
        raise InvalidSetting(name, f"{str(parsed).partition('://')[0][:20]}...", _STORES, source)
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
