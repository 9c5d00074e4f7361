"""The libraries that a package needs, each in the version that is installed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pilothouse.data.errors import BadData


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
