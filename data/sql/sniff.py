"""How a delimited text file is written, as DuckDB's sniffer sees it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pilothouse.data.sql.duck import connect, statement

_EMPTY = "(empty)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """quote : empty for none. skip_rows : lines before the header, or before the first row where there is no header."""

    delimiter: str
    quote: str
    skip_rows: int
    header: bool
    names: tuple[str, ...]


def sniff_csv(head: str) -> Dialect:
    """The dialect of a file that begins with `head`. Its last line may be cut short."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "head.csv"
        whole = head.rpartition("\n")[0] or head
        file.write_text(whole + "\n", encoding="utf-8", newline="")
        with connect([Path(folder)]) as database:
            row = database.execute(statement("sniff_csv"), {"file": str(file)}).fetchall()[0]
    delimiter, quote, skip_rows, header, names = row
    return Dialect(
        delimiter=_named(delimiter) or ",",
        quote=_named(quote),
        skip_rows=skip_rows,
        header=header,
        names=tuple(names),
    )


def _named(text: str) -> str:
    return "" if text == _EMPTY else text.replace("\\t", "\t")
