"""A panel: a figure, the sentence it says, its rows, and the code that makes it again. A value, shown by anybody."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pilothouse.app import markup
from pilothouse.app.theme import CSS_FILE, LIGHT, paint
from pilothouse.data.history.results import State

Cell = str | float | int | bool | datetime | None
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows behind a panel, as plain values."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


def _csv_cell(cell: Cell) -> object:
    # A spreadsheet runs a text that begins like a formula: a category named "=cmd()" must stay a text.
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _shown(cell: Cell) -> str:
    """A cell for people; the CSV keeps every digit."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return f"{cell.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture with its words.

    name : short stable name, for file names and keys. title : what is shown. answer : the sentence it says.
    spec : a Plotly figure as one dict, colours by meaning (`app.theme`); None when there is nothing to draw, and then
    `empty` says why and what to do. alt : the figure in words, for who cannot see it. note : how far the data reach.
    code : Python that makes the same panel. hits : what a click at (curve, point) stands for, used by pages.
    """

    name: str
    title: str
    answer: str = ""
    spec: dict[str, Any] | None = None
    rows: Table = field(default_factory=Table)
    state: State | None = None
    note: str = ""
    empty: str = ""
    alt: str = ""
    code: str = ""

    def to_csv(self) -> str:
        """The rows as CSV; times in ISO 8601, a missing value empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_csv_cell(column) for column in self.rows.columns)
        writer.writerows([_csv_cell(cell) for cell in row] for row in self.rows.rows)
        return out.getvalue()

    def figure(self) -> dict[str, Any]:
        """The Plotly figure in light colours, for a notebook or a file. Empty when there is nothing to draw."""
        drawn: dict[str, Any] = paint(self.spec or {"data": [], "layout": {}}, LIGHT)
        return drawn

    def to_html(self) -> str:
        """A page that stands alone: plotly.js is inside, so it opens without a network."""
        return page([self])

    def section(self, *, with_library: bool) -> markup.Html:
        """The panel as a part of a page; `with_library` where it is the first to need plotly.js."""
        drawing = markup.tag("p", self.empty)
        if self.spec is not None:
            from plotly.io import to_html

            library = "inline" if with_library else False
            drawing = markup.Html(to_html(self.figure(), include_plotlyjs=library, full_html=False, validate=False))
        return markup.join([self._words(), drawing, self._table(limit=len(self.rows.rows))])

    def _words(self) -> markup.Html:
        parts = [
            markup.tag("h2", self.title),
            markup.tag("p", self.answer),
            markup.tag("p", self.note, kind="ph-quiet"),
        ]
        return markup.join(parts)

    def _table(self, limit: int) -> markup.Html:
        shown = [[_shown(cell) for cell in row] for row in self.rows.rows[:limit]]
        return markup.table(self.rows.columns, shown) if shown else markup.Html("")

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.title, self.answer, self.empty, self.note)))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Plotly's own type where it is understood, else the words and the first rows."""
        words = markup.join([self._words(), markup.tag("p", self.empty), self._table(limit=12)])
        bundle: dict[str, Any] = {"text/plain": str(self), "text/html": str(words)}
        if self.spec is not None:
            bundle["application/vnd.plotly.v1+json"] = self.figure()
        return bundle


def page(panels: Sequence[Panel]) -> str:
    """Panels one below the other on a page that stands alone; plotly.js is inside once."""
    first = next((place for place, panel in enumerate(panels) if panel.spec is not None), None)
    body = markup.join(panel.section(with_library=place == first) for place, panel in enumerate(panels))
    title = markup.tag("title", panels[0].title if panels else "Pilothouse")
    style = markup.Html(f"<style>{CSS_FILE.read_text()}</style>")
    head = markup.join([markup.Html('<meta charset="utf-8">'), title, style])
    return f"<!doctype html><html lang='en'><head>{head}</head><body class='ph-page'>{body}</body></html>"
