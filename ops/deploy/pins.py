"""The libraries that a package needs, each in the version that is installed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from io import BytesIO
from zipfile import ZipFile, is_zipfile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pilothouse.data.errors import BadData
from pilothouse.data.state.catalog import VersionRow
from pilothouse.ops.runtimes import boosting

_SKOPS_SCHEMA = "schema.json"


def pinned(name: str, *, besides: Iterable[str] = (), without: Iterable[str] = ()) -> list[str]:
    """`library==version` for everything that the distribution `name` leans on, sorted.

    besides : further libraries, which a model names. without : those that come otherwise.
    Raises BadData for one that is not installed.
    """
    found: dict[str, str] = {}
    left_out = {canonicalize_name(each) for each in (name, *without)}
    waiting = [*_needs(name, frozenset({""})), *(Requirement(each) for each in besides)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        needed = waiting.pop()
        key, extras = canonicalize_name(needed.name), frozenset(needed.extras) | {""}
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        if key not in left_out:
            found[key] = _version(needed.name)
        waiting += _needs(needed.name, extras)
    return [f"{key}=={version}" for key, version in sorted(found.items())]


def leans_on(version: VersionRow, artifact: bytes) -> set[str]:
    """Distributions that `version` cannot do without, beyond what pilothouse itself needs. artifact : its bytes.

    A skops file names the modules of its classes. Own code may import whatever was there when it was registered.
    """
    optional = {*boosting.LIBRARIES} & {*version.libraries}
    if version.code is None:
        optional = {name for name in optional if _names(artifact, name)}
    known = packages_distributions()
    # XGBoost comes as one of several distributions.
    return {known.get(name, [name])[0] for name in optional}


def _names(artifact: bytes, module: str) -> bool:
    if not is_zipfile(BytesIO(artifact)):
        return False
    with ZipFile(BytesIO(artifact)) as archive:
        return _SKOPS_SCHEMA in archive.namelist() and f'"{module}.' in archive.read(_SKOPS_SCHEMA).decode()


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in _installed(name).requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            yield needed


def _version(name: str) -> str:
    return str(_installed(name).version).partition("+")[0]


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise BadData(
            f"The library {name}, which the package needs, is not installed here. Install it first."
        ) from None
