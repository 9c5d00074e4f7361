"""The one rule for names that end up in paths and URLs."""

from __future__ import annotations

import re

from pilothouse.data.errors import InvalidName

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def checked_name(name: str, kind: str = "model") -> str:
    """`name` itself, if it may name a model: a-z, 0-9, `_` and `-`, at most 63 characters, the first a letter or digit.

    Raises InvalidName otherwise. A name that passes is safe as a folder, a URL segment and a metric label.

    >>> checked_name("flights")
    'flights'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(kind, str(name))
    return name
