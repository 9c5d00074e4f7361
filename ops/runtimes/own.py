"""What comes with a model that is handed over: a light module, for the public face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Own code that comes with a model. code : a wheel, a zip file or a module. data : a folder for the object to load.

    trust : the beginning of the archive's SHA-256, from who has looked at it. mlflow_store : the folder in which a
    `runs:/` or `models:/` address is looked up.
    """

    code: Path | str | None = None
    trust: str | None = None
    data: Path | str | None = None
    mlflow_store: Path | str | None = None


NONE = Own()
