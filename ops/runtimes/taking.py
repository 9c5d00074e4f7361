"""Taking in what somebody hands over as a model: an estimator, a file, or an object of her own code."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pilothouse.data.errors import BadArtifact, UnfitModel
from pilothouse.data.signature import Task
from pilothouse.data.state.catalog import Code
from pilothouse.data.store import Store
from pilothouse.ops import artifacts
from pilothouse.ops.runtimes import mlflow
from pilothouse.ops.runtimes.boosting import runtime_of
from pilothouse.ops.runtimes.originals import OBJECT, ONNX, Artifact, load, load_with_code
from pilothouse.ops.runtimes.own import NONE, Own

_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_PICKLES = frozenset({".pkl", ".pickle", ".joblib"})
_NATIVE = frozenset({".cbm", ".ubj", ".json", ".txt"})
KINDS = (
    "a skops file (.skops), an ONNX file (.onnx), CatBoost's (.cbm), XGBoost's (.ubj, .json) or LightGBM's (.txt) own "
    "file, a pickle (.pkl, .joblib), an MLflow model's folder, or module:object with its code"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A model to be registered. content : its bytes. model : what was loaded from them. archives : its code and data."""

    content: bytes
    runtime: str
    model: Any
    trusted: tuple[str, ...] = ()
    code: Code | None = None
    archives: tuple[bytes, ...] = ()

    def put(self, store: Store) -> Artifact:
        """The artifact, which stands in the store when this returns, with everything that it needs."""
        for archive in self.archives:
            store.put(archive)
        return Artifact(
            sha256=store.put(self.content), trusted=self.trusted, runtime=self.runtime, code=self.code
        )  # fmt: skip


def take(model: Any, task: Task, trusted: tuple[str, ...] = (), own: Own = NONE) -> Original:
    """`model` as it may be kept, and loaded again from the bytes that will be.

    model : a fitted estimator, the path of a file or folder, or `module:object`. task : what it is asked to do.
    Raises UnfitModel, UntrustedArtifact, UnportableModel, UnreviewedCode, BadCode, or BadArtifact.
    """
    if isinstance(model, str) and _ENTRY.fullmatch(model) and not Path(model).exists():
        return _object(model, own)
    if isinstance(model, str) and model.startswith(mlflow.SCHEMES):
        return _folder(
            mlflow.resolve(model, None if own.mlflow_store is None else Path(own.mlflow_store)), task, trusted, own
        )
    if isinstance(model, str | Path):
        path = Path(model)
        return _folder(path, task, trusted, own) if path.is_dir() else _file(path, path.suffix, task, trusted, own)
    return estimator(model, trusted, own)


def estimator(model: Any, trusted: tuple[str, ...] = (), own: Own = NONE) -> Original:
    """A fitted estimator, by way of skops. Types of its own code need no other word than that for the code."""
    code, archive = _reviewed(own)
    names = _names(code, archive)
    return _of_skops(artifacts.dump(model, trusted, names), trusted, code, archive)


def _of_skops(content: bytes, trusted: tuple[str, ...], code: Code | None, archive: bytes | None) -> Original:
    types = artifacts.types_to_trust(content, trusted, _names(code, archive))
    if code is None or archive is None:
        model = artifacts.load(content, types)
        return Original(content=content, runtime=runtime_of(model), model=model, trusted=types)
    model = load_with_code(content, "", types, code, archive, None)
    return Original(
        content=content, runtime=runtime_of(model), model=model, trusted=types, code=code, archives=(archive,)
    )


def _names(code: Code | None, archive: bytes | None) -> frozenset[str]:
    """Names of the modules that come with the code."""
    from pilothouse.ops.runtimes.code import top_names

    return frozenset() if code is None or archive is None else top_names(archive, code.name)


def _object(entry: str, own: Own) -> Original:
    if own.code is None:
        raise UnfitModel(
            entry, "its code has to come with it. Pass own=Own(code=...) (on the command line: --code FILE)"
        )
    from pilothouse.ops.runtimes.code import packed_folder

    told, archive = _reviewed(own)
    assert told is not None
    assert archive is not None
    data = None if own.data is None else packed_folder(Path(own.data))
    code = replace(told, entry=entry, data=None if data is None else hashlib.sha256(data).hexdigest())
    model = load_with_code(archive, OBJECT, (), code, archive, data)
    return Original(
        content=archive,
        runtime=OBJECT,
        model=model,
        code=code,
        archives=(archive,) if data is None else (archive, data),
    )


def _reviewed(own: Own) -> tuple[Code | None, bytes | None]:
    """The code that comes with a model, once it has been looked at. Raises UnreviewedCode, BadCode."""
    if own.code is None:
        return None, None
    from pilothouse.ops.runtimes.code import read_code, reviewed

    file = Path(own.code)
    archive = read_code(file)
    return Code(sha256=reviewed(archive, file.name, own.trust), name=file.name), archive


def _folder(path: Path, task: Task, trusted: tuple[str, ...], own: Own) -> Original:
    found = mlflow.flavored(path)
    return _file(found.file, found.suffix, task, trusted, own)


def _file(path: Path, suffix: str, task: Task, trusted: tuple[str, ...], own: Own) -> Original:
    """What stands in a file. suffix : what the file's kind is usually called."""
    if not path.is_file():
        raise UnfitModel(str(path), f"there is no such file. Give {KINDS}")
    if suffix == ".onnx":
        content = path.read_bytes()
        return Original(content=content, runtime=ONNX, model=load(content, ONNX, ()))
    code, archive = _reviewed(own)
    if suffix in _PICKLES:
        from pilothouse.ops.runtimes.pickles import converted

        return _of_skops(converted(path, trusted, archive, _names(code, archive)), trusted, code, archive)
    if suffix in _NATIVE:
        from pilothouse.ops.runtimes.native import READERS

        return estimator(READERS[suffix](path, task), trusted, own)
    try:
        return _of_skops(path.read_bytes(), trusted, code, archive)
    except BadArtifact as error:
        raise UnfitModel(path.name, f"{error.why}. Give {KINDS}") from error
