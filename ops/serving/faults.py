"""Naming everything that is wrong with a body. Slow and thorough: asked only after the fast decoder has refused."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from pilothouse.data.errors import Fault, NotJson

MAX_FAULTS = 50
_NAMES_SHOWN = 20
_SHOWN_OF_A_NAME = 64


@dataclass(slots=True)
class Faults:
    """The first faults found, and a count of the others."""

    found: list[Fault] = field(default_factory=list)
    unnamed: int = 0

    @property
    def count(self) -> int:
        return len(self.found) + self.unnamed

    def add(self, pointer: str, detail: str) -> None:
        if len(self.found) < MAX_FAULTS:
            self.found.append(Fault(pointer, detail))
        else:
            self.unnamed += 1

    def listed(self) -> list[Fault]:
        return [*self.found, Fault("", f"and {self.unnamed} more")] if self.unnamed else self.found


Check = Callable[[Any, str, Faults], None]
"""Looks at a value, and adds what is wrong with it under the given JSON pointer."""


class _Doubled(dict[str, Any]):
    """An object that names a field twice; JSON leaves open which of them counts, so neither does."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotFinite:
    """NaN or Infinity, which Python writes and reads but JSON does not have."""

    word: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Doubled(found)
    doubled.names = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return doubled


def load_json(body: bytes) -> Any:
    """The value in `body`, with doubled names and NaN kept visible. Raises NotJson."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=NotFinite)
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg.lower()}, at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        raise NotJson("it holds a number of too many digits") from None


def repeats_a_name(text: bytes) -> bool:
    """Whether some object in `text` names a field twice."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=look)
    return repeated


def step(pointer: str, name: str | int) -> str:
    """`pointer` one level deeper (RFC 6901).

    >>> step("/rows/3", "a/b")
    '/rows/3/a~1b'
    """
    return f"{pointer}/{str(name)[:_SHOWN_OF_A_NAME].replace('~', '~0').replace('/', '~1')}"


def what(value: object) -> str:
    """The type of a JSON value, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def number(*, nullable: bool = False, whole: bool = False, within: tuple[float, float] | None = None) -> Check:
    wanted = ("a whole number" if whole else "a number") + (" or null" if nullable else "")

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if value is None and nullable:
            return
        if isinstance(value, NotFinite):
            way_out = "; send null for a missing value" if nullable else ""
            faults.add(pointer, f"{value.word} is not a number in JSON{way_out}")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            faults.add(pointer, f"must be {wanted}; got {what(value)}")
        elif not _fits_double(value):
            faults.add(pointer, "is out of the range of a double")
        elif whole and value != math.floor(value):
            faults.add(pointer, f"must be {wanted}; got one with a fraction")
        elif within and not within[0] <= value <= within[1]:
            faults.add(pointer, f"must lie from {within[0]} to {within[1]}")

    return check


def _fits_double(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def text(*, longest: int, shortest: int = 0, nullable: bool = False) -> Check:
    wanted = "a string or null" if nullable else "a string"

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if value is None and nullable:
            return
        if not isinstance(value, str):
            faults.add(pointer, f"must be {wanted}; got {what(value)}")
        elif not shortest <= len(value) <= longest:
            faults.add(pointer, f"must have {shortest} to {longest} characters; got {len(value)}")
        elif any("\ud800" <= c <= "\udfff" for c in value):
            faults.add(pointer, "is not text: it holds half of a surrogate pair")

    return check


def boolean(*, nullable: bool = False) -> Check:
    wanted = "true, false or null" if nullable else "true or false"

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if not (isinstance(value, bool) or (value is None and nullable)):
            faults.add(pointer, f"must be {wanted}; got {what(value)}")

    return check


def time(earliest: datetime, latest: datetime) -> Check:
    def check(value: Any, pointer: str, faults: Faults) -> None:
        try:
            parsed = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            parsed = None
        if parsed is None or parsed.tzinfo is None:
            faults.add(pointer, "must be an ISO 8601 time with a zone, such as 2026-03-03T00:00:00Z")
        elif not earliest <= parsed < latest:
            faults.add(pointer, f"must lie from the year {earliest.year} to {latest.year - 1}")

    return check


def one_of(check_type: Check, allowed: Collection[Any]) -> Check:
    """Passes `check_type`, and is one of `allowed` where that is not empty."""

    def check(value: Any, pointer: str, faults: Faults) -> None:
        before = faults.count
        check_type(value, pointer, faults)
        if allowed and before == faults.count and value not in allowed:
            faults.add(pointer, f"must be one of {_some(json.dumps(v) for v in allowed)}")

    return check


def array(each: Check, *, shortest: int, longest: int, of: str) -> Check:
    """An array of `shortest` to `longest` values that pass `each`; `of` says in the plural what they are."""

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if not isinstance(value, list):
            faults.add(pointer, f"must be an array; got {what(value)}")
        elif not shortest <= len(value) <= longest:
            way_out = "; send them in several requests" if len(value) > longest else ""
            faults.add(pointer, f"must have {shortest} to {longest} {of}; got {len(value)}{way_out}")
        else:
            for position, item in enumerate(value):
                each(item, step(pointer, position), faults)

    return check


def mapping(each: Check, *, longest: int, longest_name: int, nullable: bool = False) -> Check:
    """An object with 1 to `longest` fields of any name, whose values pass `each`."""

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if value is None and nullable:
            return
        if not is_object(value, pointer, faults):
            return
        if not 1 <= len(value) <= longest:
            faults.add(pointer, f"must have 1 to {longest} fields; got {len(value)}")
        for name, item in value.items():
            if not 1 <= len(name) <= longest_name:
                faults.add(step(pointer, name), f"must have a name of 1 to {longest_name} characters")
            each(item, step(pointer, name), faults)

    return check


def record(fields: Mapping[str, Check], required: Collection[str]) -> Check:
    """An object with the named fields, all of `required` present, and no others."""

    def check(value: Any, pointer: str, faults: Faults) -> None:
        if not is_object(value, pointer, faults):
            return
        for name in required:
            if name not in value:
                faults.add(step(pointer, name), "is missing")
        for name, item in value.items():
            if known := fields.get(name):
                known(item, step(pointer, name), faults)
            else:
                faults.add(step(pointer, name), f"is not a field here; allowed: {_some(fields)}")

    return check


def is_object(value: Any, pointer: str, faults: Faults) -> bool:
    """Whether `value` is one; adds the names that it gives twice."""
    if not isinstance(value, dict):
        faults.add(pointer, f"must be an object; got {what(value)}")
        return False
    if isinstance(value, _Doubled):
        for name in value.names:
            faults.add(step(pointer, name), "is given twice")
    return True


def _some(names: Any) -> str:
    """The names, or the first twenty and how many there are besides."""
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    return ", ".join(listed[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
