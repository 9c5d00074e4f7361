"""A model made into a file that a browser takes along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pilothouse.app.faces import ModelFace


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A package to be downloaded."""

    name: str
    content: bytes


def parcel(face: ModelFace, tell: Callable[[str], None]) -> Parcel:
    """The champion as a Bento. tell : takes each step. Raises what `package` raises."""
    with TemporaryDirectory(prefix="pilothouse-") as folder:
        file = face.package(Path(folder), tell=tell).file
        return Parcel(name=file.name, content=file.read_bytes())
