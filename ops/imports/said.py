"""What a person says of an import in words, on the command line or on the page, checked and made into wishes."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import available_timezones

from pilothouse.data.errors import InvalidSetting
from pilothouse.data.signature import Task
from pilothouse.data.windows import parse_span
from pilothouse.ops.imports.plan import Wishes

Corrections = Mapping[str, str | Sequence[str]]

DECIMALS = (".", ",")
_SOURCE = "given for this import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The options of an import by their names on the command line; what is None is found out.

    mapping, label_mapping : from what is ours to what is theirs. classes : separated by commas, the positive one last.
    horizon : a span such as 7d. The other fields are those of `Wishes`.
    """

    mapping: Corrections = field(default_factory=dict)
    label_mapping: Corrections = field(default_factory=dict)
    task: Task | None = None
    target: str | None = None
    classes: str | None = None
    positive: str | None = None
    horizon: str | None = None
    version: int | None = None
    time_format: str | None = None
    time_zone: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def wishes(self) -> Wishes:
        """Raises InvalidSetting for a zone, a sign or an encoding that there is not, InvalidWindow for a horizon."""
        _check("--time-zone", self.time_zone, _is_zone, "a name of the IANA time zone database, such as Europe/Berlin")
        _check("--decimal", self.decimal, DECIMALS.__contains__, ". or ,")
        _check("--encoding", self.encoding, _is_encoding, "an encoding that Python knows, such as utf-8 or cp1252")
        return Wishes(
            mapping=self.mapping, label_mapping=self.label_mapping, task=self.task, target=self.target,
            classes=tuple(text.strip() for text in self.classes.split(",")) if self.classes else (),
            positive=self.positive, horizon=parse_span(self.horizon) if self.horizon else None, version=self.version,
            time_format=self.time_format, time_zone=self.time_zone, decimal=self.decimal,
        )  # fmt: skip


def _check(name: str, got: str | None, is_known: Callable[[str], bool], allowed: str) -> None:
    if got is not None and not is_known(got):
        raise InvalidSetting(name, got, allowed, _SOURCE)


def _is_zone(name: str) -> bool:
    return name in available_timezones()


def _is_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name))
    except LookupError:
        return False
