"""The log's door: what a model's column classes keep out of the log altogether, or let in as a keyed hash alone."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from pilothouse.data.policies import ColumnClass
from pilothouse.data.signature import Signature, Value
from pilothouse.data.store import write_durably
from pilothouse.data.workspace import Workspace

_DIGEST_BYTES = 16
_ENTITY = "entity_id"


@dataclass(frozen=True, slots=True)
class Door:
    """Applies column classes to rows on their way into the log. `classes` by the name of a feature, context or `entity_id`.

    secret : the workspace's own key; without it a hash of few possible values could be undone by trying them all.
    """

    signature: Signature
    classes: Mapping[str, ColumnClass]
    secret: bytes

    @classmethod
    def of(cls, workspace: Workspace, signature: Signature, classes: Mapping[str, ColumnClass]) -> Door:
        """The door of a model; makes the workspace's key when it is first needed."""
        hashed = ColumnClass.HASHED in classes.values()
        return cls(signature, classes, _secret(workspace) if hashed else b"")

    @property
    def open(self) -> bool:
        """Whether every row passes as it is."""
        return not {ColumnClass.HASHED, ColumnClass.DROPPED} & set(self.classes.values())

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` with the columns that stand in it under their own names as they may be logged."""
        return frame.with_columns(self._column(frame[name], cls) for name, cls in self._guarded() if name in frame)

    def rows(self, raw: msgspec.Raw, rows: Sequence[Sequence[Value]]) -> msgspec.Raw:
        """The JSON array of row objects to log: `raw` as it came, or made anew from `rows` in the signature's order."""
        guarded = {name for name, _ in self._guarded()} & set(self.signature.names)
        if not guarded:
            return raw
        named = [self._record(dict(zip(self.signature.names, row, strict=True))) for row in rows]
        return msgspec.Raw(msgspec.json.encode(named))

    def context(self, rows: Sequence[dict[str, Value] | None] | None) -> list[dict[str, Value] | None] | None:
        """Context values as they may be logged."""
        return None if rows is None else [None if row is None else self._record(row) for row in rows]

    def entities(self, values: Sequence[str | None] | None) -> list[str | None] | None:
        """Entity ids as they may be logged."""
        guarding = self.classes.get(_ENTITY, ColumnClass.PLAIN)
        return None if values is None else [_as_text(self.value(value, guarding)) for value in values]

    def value(self, value: Value, guarding: ColumnClass) -> Value:
        """One value as it may be logged: null when dropped, 32 hexadecimal digits when hashed."""
        if value is None or guarding is ColumnClass.DROPPED:
            return None
        return self._hashed(str(value)) if guarding is ColumnClass.HASHED else value

    def _record(self, row: Mapping[str, Value]) -> dict[str, Value]:
        return {name: self.value(v, self.classes.get(name, ColumnClass.PLAIN)) for name, v in row.items()}

    def _column(self, column: pl.Series, guarding: ColumnClass) -> pl.Series:
        if guarding is ColumnClass.DROPPED:
            return pl.Series(column.name, [None] * len(column), column.dtype)
        distinct = column.cast(pl.String).unique().drop_nulls().to_list()
        hashes = {text: self._hashed(text) for text in distinct}
        return column.cast(pl.String).replace_strict(hashes, default=None, return_dtype=pl.String)

    def _guarded(self) -> list[tuple[str, ColumnClass]]:
        return [(n, c) for n, c in self.classes.items() if c in (ColumnClass.HASHED, ColumnClass.DROPPED)]

    def _hashed(self, text: str) -> str:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).digest()[:_DIGEST_BYTES].hex()


def pseudonym(workspace: Workspace, text: str) -> str:
    """What stands for `text` where it must not stand itself: 32 hexadecimal digits, the same each time."""
    return hmac.new(_secret(workspace), text.encode(), hashlib.sha256).digest()[:_DIGEST_BYTES].hex()


def _as_text(value: Value) -> str | None:
    return None if value is None else str(value)


def _secret(workspace: Workspace) -> bytes:
    """The workspace's key, made once. It never leaves the workspace, and a backup carries it."""
    if not workspace.secret_file.exists():
        write_durably(workspace.secret_file, secrets.token_bytes(32))
    return workspace.secret_file.read_bytes()
