"""What each column of somebody else's log is to us: a small value, printed, corrected by name, and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from pilothouse.data.errors import AmbiguousColumns, BadMapping, MissingColumn
from pilothouse.data.signature import Kind


class Part(StrEnum):
    """What a column can be. Those in `MANY` may be given to several columns, the others to one."""

    ID = "id"
    AT = "at"
    PREDICTION = "prediction"
    SCORE = "score"
    PROBABILITY = "probability"
    PROBABILITIES = "probabilities"
    LABEL = "label"
    OBSERVED_AT = "observed_at"
    VERSION = "version"
    ENTITY = "entity"
    KEY = "key"
    FEATURE = "feature"
    CONTEXT = "context"
    IGNORED = "ignored"


MANY = frozenset({Part.KEY, Part.FEATURE, Part.CONTEXT, Part.PROBABILITY, Part.IGNORED})
_BESIDE = frozenset({Part.KEY, Part.ENTITY})
"""Parts that a feature may play as well: a flight's number can be both its key and an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of theirs and one part it plays. `name`: ours, for a feature, a context column or a key; the class that a
    probability is of.

    kind : what its values are read as; None where the part says so. reason : why it was guessed, in a few words.
    """

    source: str
    part: Part
    name: str
    reason: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A part that several columns could play, and the way to say which."""

    part: Part
    sources: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.part} could be {' or '.join(map(repr, self.sources))}"

    def sentence(self, option: str) -> str:
        return f"{self.words}: say which with {option} {self.part}={_shell(self.sources[0])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """All columns of a source with their parts, the questions that stay open, and remarks for the reader."""

    columns: tuple[Column, ...]
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()

    def one(self, part: Part) -> Column | None:
        return next((column for column in self.columns if column.part is part), None)

    def all(self, part: Part) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.part is part)

    @property
    def used(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.part is not Part.IGNORED)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the columns to read, each once, in the source's order."""
        return tuple(dict.fromkeys(column.source for column in self.used))

    def checked(self, source: str, option: str = "--map") -> ColumnMap:
        """Itself. Raises AmbiguousColumns while a question is open; `option` of the command line answers it."""
        if self.questions:
            raise AmbiguousColumns(source, [question.sentence(option) for question in self.questions])
        return self

    def digest(self) -> str:
        """SHA-256 of what decides which row is written: parts, names and kinds, not the reasons."""
        said = [(c.source, c.part.value, c.name, c.kind.value if c.kind else "") for c in self.used]
        return hashlib.sha256(msgspec.json.encode(sorted(said))).hexdigest()


def parse_corrections(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`ours=theirs` texts by what is ours; a part that several columns may play can be given several times.

    >>> parse_corrections(["at=Abflug", "key=Flug", "key=Tag"])
    {'at': ('Abflug',), 'key': ('Flug', 'Tag')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        ours, sign, theirs = text.partition("=")
        if not sign:
            raise BadMapping(text, "it has no '='; write OURS=THEIRS, for example at=Timestamp")
        found[ours.strip()] = (*found.get(ours.strip(), ()), theirs.strip())
    return found


def corrected(
    mapping: ColumnMap,
    corrections: Mapping[str, str | Sequence[str]],
    *,
    source: str,
    features: Mapping[str, Kind] | None = None,
    context: Mapping[str, Kind] | None = None,
) -> ColumnMap:
    """`mapping` with what a person says of it, which always wins.

    corrections : from what is ours (a part, `key.NAME`, `feature.NAME`, `context.NAME`, `probability.CLASS`, or the name of one of the
    model's own columns) to the name of their column; an empty name takes the part away.
    features, context : the model's own columns and their kinds; None for a model that is not there yet.
    Raises BadMapping when what is ours is not known, MissingColumn when theirs is not.
    """
    for ours, theirs in corrections.items():
        part, name, kind = _target(ours, features, context)
        for one in (theirs,) if isinstance(theirs, str) else theirs:
            mapping = _assigned(mapping, part, name, kind, one, source) if one else _without(mapping, part, name)
    return mapping


def _target(
    ours: str, features: Mapping[str, Kind] | None, context: Mapping[str, Kind] | None
) -> tuple[Part, str | None, Kind | None]:
    """The part, our name and the kind that the left side of a correction speaks of."""
    for part, known in ((Part.FEATURE, features or {}), (Part.CONTEXT, context or {})):
        if ours in known:
            return part, ours, known[ours]
    head, dot, name = ours.partition(".")
    known_parts = [part.value for part in Part]
    if head not in known_parts or (dot and Part(head) not in MANY):
        raise BadMapping(
            ours, "it names no part of a log and no column of the model", [*known_parts, *(features or {})]
        )
    part = Part(head)
    if part is Part.FEATURE and features is not None:
        raise BadMapping(ours, "the model is there already, and its features are named by it", list(features))
    return part, name or None, None


def _assigned(
    mapping: ColumnMap, part: Part, name: str | None, kind: Kind | None, theirs: str, source: str
) -> ColumnMap:
    known = {column.source: column for column in mapping.columns}
    if theirs not in known:
        raise MissingColumn(source, theirs, known)
    our_name = name or (theirs if part in MANY else part.value)
    new = Column(source=theirs, part=part, name=our_name, kind=kind or known[theirs].kind, reason="you said so")
    cleared = mapping if part in MANY and name is None else _without(mapping, part, name, but=theirs)
    kept = [c for c in cleared.columns if not _gives_way(c, new)]
    place = next((i for i, c in enumerate(cleared.columns) if c.source == theirs), len(kept))
    return replace(
        mapping,
        columns=(*kept[:place], new, *kept[place:]),
        questions=tuple(q for q in _narrowed(mapping.questions, theirs) if q.part is not part),
    )


def _narrowed(questions: Iterable[Question], answered: str) -> Iterator[Question]:
    """The questions without a column of which somebody has said what it is; none about no column."""
    for question in questions:
        if left := tuple(source for source in question.sources if source != answered):
            yield replace(question, sources=left)


def _gives_way(column: Column, new: Column) -> bool:
    """Whether what `column` was before is over now that somebody has said what it is."""
    if column.source != new.source:
        return False
    beside = new.part in _BESIDE and column.part in (Part.FEATURE, Part.ID)
    return not beside or (column.part, column.name) == (new.part, new.name)


def _without(mapping: ColumnMap, part: Part, name: str | None, but: str | None = None) -> ColumnMap:
    """`mapping` with nobody in the part (of that name); who played it is left out of the import."""

    def freed(column: Column) -> Column:
        mine = column.part is part and (name is None or part not in MANY or column.name == name)
        if not mine or column.source == but:
            return column
        return replace(column, part=Part.IGNORED, name=column.source, reason="you gave its part away")

    return replace(
        mapping,
        columns=tuple(freed(column) for column in mapping.columns),
        questions=tuple(q for q in mapping.questions if q.part is not part),
    )


def _shell(name: str) -> str:
    return f"'{name}'" if " " in name else name
