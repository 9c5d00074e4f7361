"""Models out of MLflow's folders, by the native file that each flavor keeps in them. MLflow itself is not needed.

Only folders of this machine are read: a `runs:/` or `models:/` address is looked up in the folder of a file store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pilothouse.data.errors import UnfitModel

DESCRIPTION = "MLmodel"
SCHEMES = ("runs:/", "models:/")
_FILES = {"sklearn": "pickled_model", "lightgbm": "data", "xgboost": "data", "catboost": "data", "onnx": "data"}
"""The flavors that are read, the likeliest to be fitted anew first, and where each names its file."""
_SUFFIXES = {".cb": ".cbm", ".lgb": ".txt"}
"""What libraries call their own files, by what MLflow calls them."""
_MAX_BYTES = 2**20
_ID = re.compile(r"[\w-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavored:
    """A model's file, and the ending that tells what it is."""

    file: Path
    suffix: str


def resolve(address: str, store: Path | None) -> Path:
    """The folder that a `runs:/` or `models:/` address names in the file store at `store`. Raises UnfitModel."""
    if store is None or not store.is_dir():
        raise UnfitModel(
            address,
            "say in which folder MLflow keeps its runs: own=Own(mlflow_store=...) (on the command line: --mlflow-store DIR)",
        )
    scheme, _, rest = address.partition(":/")
    name, _, inside = rest.strip("/").partition("/")
    if not _ID.fullmatch(name):
        raise UnfitModel(address, "what follows the scheme is no id or name")
    found = _run(store, name, inside) if scheme == "runs" else _registered(store, name, inside)
    for folder in found:
        if (folder / DESCRIPTION).is_file():
            return _inside(folder, store, address)
    raise UnfitModel(address, f"{store} has no such model. It is read as MLflow's file store (mlruns)")


def _run(store: Path, run: str, path: str) -> Iterator[Path]:
    """Where a run keeps a model: among its artifacts, or, as MLflow does it since 3.0, beside it under a name."""
    for experiment in sorted(store.iterdir()):
        yield experiment / run / "artifacts" / path
        for output in sorted((experiment / run / "outputs").glob("m-*")):
            logged = experiment / "models" / output.name
            if _yaml(logged / "meta.yaml").get("name") == path:
                yield logged / "artifacts"


def _registered(store: Path, name: str, version: str) -> Iterator[Path]:
    """A logged model by its id, or a version of a registered one, which says itself where it stands."""
    for experiment in sorted(store.iterdir()):
        yield experiment / "models" / name / "artifacts"
    if version.isdigit():
        told = _yaml(store / "models" / name / f"version-{version}" / "meta.yaml")
        for key in ("storage_location", "source"):
            place = str(told.get(key) or "")
            if place.startswith("models:/") and "/" not in place.removeprefix("models:/"):
                yield from _registered(store, place.removeprefix("models:/"), "")
            elif urlsplit(place).scheme in ("", "file"):
                yield Path(unquote(urlsplit(place).path))


def flavored(folder: Path) -> Flavored:
    """The file of the first flavor that is known here. Raises UnfitModel."""
    described = folder / DESCRIPTION
    if not described.is_file():
        raise UnfitModel(str(folder), f"it is no MLflow model: it has no file {DESCRIPTION}")
    flavors = _yaml(described).get("flavors")
    known = flavors if isinstance(flavors, dict) else {}
    for flavor, key in _FILES.items():
        told = known.get(flavor)
        if isinstance(told, dict) and isinstance(told.get(key), str):
            file = _inside(folder / told[key], folder, str(folder))
            return Flavored(file=file, suffix=_SUFFIXES.get(file.suffix, file.suffix))
    raise UnfitModel(
        str(folder),
        f"its flavors are {', '.join(sorted(map(str, known))) or 'none'}, and those that are read are "
        f"{', '.join(_FILES)}. Give the code of a python_function as module:object",
    )


def _inside(path: Path, folder: Path, name: str) -> Path:
    """`path`, which must stand in `folder`, wherever links lead. Raises UnfitModel."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnfitModel(name, f"it names {path.name}, which stands outside of {folder}")
    return path


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    if not file.is_file():
        return {}
    if file.stat().st_size > _MAX_BYTES:
        raise UnfitModel(str(file), f"it has more than {_MAX_BYTES:,} bytes")
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnfitModel(str(file), "it is no YAML") from error
    return found if isinstance(found, dict) else {}
