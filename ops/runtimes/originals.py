"""Originals: what was registered, whatever it is, loaded from the very bytes that the store has hashed."""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.data.errors import BadArtifact, PilothouseError
from pilothouse.data.state.catalog import Code, VersionRow
from pilothouse.data.store import Store
from pilothouse.ops import artifacts

SKLEARN, ONNX, OBJECT = "sklearn", "onnx", "object"
FINISHED = frozenset({ONNX, OBJECT})
"""Runtimes whose models cannot be fitted anew: nobody knows how they were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An original in the store. trusted : types that loading it may build. code : own code that it needs."""

    sha256: str
    trusted: tuple[str, ...] = ()
    runtime: str = SKLEARN
    code: Code | None = None

    @classmethod
    def of(cls, version: VersionRow) -> Artifact:
        """Raises NotServedHere."""
        return cls(
            sha256=version.artifact, trusted=version.trusted_types, runtime=version.runtime, code=version.code
        )  # fmt: skip

    def load(self, store: Store) -> Any:
        """The model, with `predict` and, if it tells classes, `predict_proba`. Raises BadArtifact, UntrustedArtifact."""
        content = store.read(self.sha256)
        if self.code is None:
            return load(content, self.runtime, self.trusted)
        archive = store.read(self.code.sha256)
        data = None if self.code.data is None else store.read(self.code.data)
        return load_with_code(content, self.runtime, self.trusted, self.code, archive, data)


def load(content: bytes, runtime: str, trusted: tuple[str, ...]) -> Any:
    """The model in `content`, which needs no own code. Raises BadArtifact, UntrustedArtifact."""
    if runtime != ONNX:
        return artifacts.load(content, trusted)
    from pilothouse.ops.runtimes.onnx_file import OnnxModel

    return OnnxModel(content)


def load_with_code(
    content: bytes, runtime: str, trusted: tuple[str, ...], code: Code, archive: bytes, data: bytes | None
) -> Any:
    """The model in `content`, or in the code itself. Raises BadArtifact, also when the code fails; UntrustedArtifact."""
    from pilothouse.ops.runtimes.code import OwnCode

    own = OwnCode(archive, code.name)
    try:
        if runtime == OBJECT:
            return OwnObject(own, str(code.entry), data)
        with own.in_place():
            return artifacts.load(content, trusted)
    except PilothouseError:
        raise
    except Exception as error:
        # Own code fails in whatever way it likes.
        why = f"{code.entry or code.name} could not be loaded ({type(error).__name__}: {error})"
        raise BadArtifact(code.sha256, why) from error


class OwnObject:
    """A model out of a team's own code.

    It is the object itself, an instance if that is a class, or what its `load(folder)` gives where there is data.
    """

    takes_frames = True

    def __init__(self, own: Any, entry: str, data: bytes | None) -> None:
        """Raises whatever the code raises, TypeError when it has no `predict`."""
        with own.in_place():
            found = own.find(entry)
            self._model: Any = _loaded(found, data) if data is not None else _made(found)
        if not hasattr(self._model, "predict") and not hasattr(self._model, "predict_proba"):
            raise TypeError(f"{entry} has neither predict nor predict_proba")
        for name in ("classes_", "feature_names_in_"):
            if hasattr(self._model, name):
                setattr(self, name, getattr(self._model, name))

    def predict(self, rows: Any) -> Any:
        return self._model.predict(rows)

    def predict_proba(self, rows: Any) -> Any:
        """Chances of shape (rows, classes). Raises AttributeError where the object has none."""
        return self._model.predict_proba(rows)


def _made(found: Any) -> Any:
    return found() if inspect.isclass(found) else found


def _loaded(found: Any, data: bytes) -> Any:
    """What the object makes of its data, which stand in a folder of their own while it reads them."""
    from pilothouse.ops.runtimes.code import unpack

    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        unpack(data, Path(folder))
        return found.load(Path(folder))
