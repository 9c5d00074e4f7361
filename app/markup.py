"""Small pieces of HTML. Every text that is not `Html` already is escaped: a model's or a category's name is hostile
until shown otherwise."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from pilothouse.app import formats
from pilothouse.data.history.results import State

_SHAPE = {State.CRITICAL: "●", State.WATCH: "▲", State.HEALTHY: "✓", State.NO_DATA: "○"}
_WORD = {State.CRITICAL: "Critical", State.WATCH: "Watch", State.HEALTHY: "Healthy", State.NO_DATA: "No data"}
TONE = {State.CRITICAL: "critical", State.WATCH: "watch", State.HEALTHY: "healthy", State.NO_DATA: "none"}

_TYPED = re.compile(r"`([^`]+)`")
_PLACE = re.compile(r"\*\*([^*]+)\*\*")
_NAMED = re.compile(r"\*([^*]+)\*")


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def safe(value: object) -> Html:
    """`value` as HTML: escaped, unless it is Html.

    >>> safe("<b>")
    '&lt;b&gt;'
    """
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object], separator: str = "") -> Html:
    return Html(separator.join(safe(part) for part in parts))


def tag(name: str, content: object = "", *, style: str = "", title: str = "", kind: str = "") -> Html:
    """An element of class `kind`; content and title are escaped."""
    given = {"class": kind, "style": style, "title": title}
    attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in given.items() if value)
    return Html(f"<{name}{attributes}>{safe(content)}</{name}>")


def in_figure(text: str) -> str:
    """Text for a Plotly label, name or hover. Those read some HTML, so what looks like a tag gets look-alike brackets.

    >>> in_figure("<b>A&B</b>")
    '‹b›A&amp;B‹/b›'
    """
    return text.replace("&", "&amp;").replace("<", "‹").replace(">", "›")


def prose(text: str) -> Html:
    """Our own sentences: escaped, with `what a person types` set apart.

    >>> prose("Start it with `pilothouse up`.")
    'Start it with <code class="ph-code">pilothouse up</code>.'
    """
    return Html(_TYPED.sub(r'<code class="ph-code">\1</code>', html.escape(text)))


def emphasised(text: str) -> Html:
    """Our own sentences as `prose` has them, with **a place to go** in bold and *a thing's name* in italics.

    >>> emphasised("Press **Retrain**.")
    'Press <b>Retrain</b>.'
    """
    return Html(_NAMED.sub(r"<em>\1</em>", _PLACE.sub(r"<b>\1</b>", prose(text))))


def state_words(state: State) -> str:
    """
    >>> state_words(State.WATCH)
    '▲ Watch'
    """
    return f"{_SHAPE[state]} {_WORD[state]}"


def chip(state: State) -> Html:
    """How a thing stands, by shape, word and colour."""
    mark = Html(f'<span aria-hidden="true">{_SHAPE[state]}</span> {_WORD[state]}')
    return tag("span", mark, kind=f"ph-chip ph-{TONE[state]}")


def name(text: str) -> Html:
    """The name of a feature or a group in a table: a long one is shortened, and shows whole under the pointer.

    >>> name("carrier")
    '<span class="ph-name">carrier</span>'
    """
    shown = formats.short(text) if text.strip() else "(empty text)"
    return tag("span", shown, kind="ph-name", title="" if shown == text else text)


def badge(text: str, tone: str = "plain") -> Html:
    """A small label. tone : plain, current, challenger, healthy, watch or critical."""
    return tag("span", text, kind=f"ph-chip ph-{tone}")


def bar(value: float | None, full: float, state: State, text: str) -> Html:
    """A number with a bar behind it; `full` is the value that fills the bar."""
    filled = 0.0 if value is None else min(1.0, max(0.0, value / full))
    track = tag("i", tag("b", style=f"width:{100 * filled:.0f}%", kind=f"ph-fill-{TONE[state]}"), kind="ph-bar")
    return tag("span", join([track, tag("span", text)]), kind="ph-barcell")


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Iterable[int] = ()) -> Html:
    """A table; the columns numbered in `right` are figures and stand flush right."""
    figures = frozenset(right)

    def cells(kind: str, row: Sequence[object]) -> Html:
        return join(tag(kind, cell, kind="ph-num" if place in figures else "") for place, cell in enumerate(row))

    header = tag("thead", tag("tr", cells("th", head)))
    body = tag("tbody", join(tag("tr", cells("td", row)) for row in rows))
    return tag("div", tag("table", join([header, body]), kind="ph-table"), kind="ph-scroll")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Name and value, side by side."""
    return tag("dl", join(join([tag("dt", name), tag("dd", value)]) for name, value in pairs), kind="ph-facts")


def sparkline(values: Sequence[float | None], *, width: int = 132, height: int = 28) -> Html:
    """A line without axes; a missing value is a gap."""
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return tag("span", "too few points", kind="ph-quiet")
    low, high = min(known), max(known)
    step, room = (width - 4) / (len(values) - 1), height - 6
    path, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        y = 3 + room * (1 - (value - low) / ((high - low) or 1))
        path.append(f"{pen}{2 + place * step:.1f} {y:.1f}")
        pen = "L"
    drawn = f'<path d="{"".join(path)}" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    return Html(f'<svg class="ph-spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{drawn}</svg>')
