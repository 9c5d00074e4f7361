"""What BentoML is asked to build, as typed values. No text that somebody wrote becomes an option or a command of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from pilothouse.data.errors import InvalidName

SERVICE_FILE = "service.py"
HOUSE = "house"
SERVICE = '''"""The service of this Bento. `bentoml serve` finds it here."""

from pathlib import Path

from pilothouse.ops.deploy.inside import packed_service

Pilothouse = packed_service(Path(__file__).parent / "house")
'''
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One Bento. name, version : its tag. context : the folder that it is made of. out : the file that it becomes.

    home : a BENTOML_HOME of its own. image : what its container is built on. wheels : files in `context`.
    """

    name: str
    version: str
    context: str
    home: str
    out: str
    image: str
    description: str
    wheels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidName("package", self.name)
        if not _VERSION.fullmatch(self.version):
            raise InvalidName("package version", self.version)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)
