"""The only place where a panel becomes part of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import streamlit as st

from pilothouse.app import markup, session
from pilothouse.app.drawn import Drawn
from pilothouse.app.panel import Panel
from pilothouse.app.theme import STREAMLIT, paint

_CONFIG = {
    "displaylogo": False,
    "modeBarButtons": [["toImage"]],
    "scrollZoom": False,
    "doubleClick": False,
}


Hit = tuple[object, ...]


def show(
    panel: Panel,
    *,
    key: str | None = None,
    brush: bool = False,
    on_cell: Callable[[Hit], None] | None = None,
    extra: markup.Html | None = None,
    framed: bool = True,
) -> None:
    """Place a panel as a card: title and menu, its sentence, the figure or why there is none.

    brush : a sideways drag on the figure sets the shared time range. on_cell : called with the `customdata` of a point
    that was clicked on. extra : HTML in the place of a figure, or below it. framed : False inside a card.
    """
    key = key or panel.name
    with st.container(border=framed, key=f"panel-{key}", height="stretch" if framed else "content"):
        head(panel, key)
        if panel.empty:
            st.html(markup.tag("p", markup.prose(panel.empty), kind="ph-empty"))
        elif panel.spec is not None:
            figure(panel, key, brush=brush, on_cell=on_cell)
        if extra is not None:
            st.html(extra)
        if panel.note:
            st.html(markup.tag("p", panel.note, kind="ph-quiet"))


def head(panel: Panel, key: str) -> None:
    """A panel's title and sentence, its menu at the right."""
    with st.container(horizontal=True, vertical_alignment="top", wrap=False):
        title = markup.tag("h3", panel.title, kind="ph-heading")
        state = markup.chip(panel.state) if panel.state else ""
        sentence = markup.tag("p", panel.answer, kind="ph-sentence ph-quiet") if panel.answer else ""
        st.html(markup.join([markup.tag("div", markup.join([title, state]), kind="ph-row"), sentence]))
        menu(panel, key)


def menu(panel: Panel, key: str) -> None:
    """Take it along: the rows, the page, the code. The picture is the camera on the figure itself."""
    with (
        st.container(key=f"menu-{key}", width="content"),
        st.popover("", icon=":material/more_horiz:", help=f"Take along: {panel.title}", type="tertiary"),
    ):
        st.download_button(
            "Rows (CSV)", panel.to_csv, f"{panel.name}.csv", "text/csv", key=f"csv-{key}",
            icon=":material/table:", on_click="ignore", width="stretch", disabled=not panel.rows.rows,
        )  # fmt: skip
        st.download_button(
            "Page (HTML, works offline)", panel.to_html, f"{panel.name}.html", "text/html", key=f"html-{key}",
            icon=":material/draft:", on_click="ignore", width="stretch",
        )  # fmt: skip
        if panel.spec is not None:
            st.html(markup.tag("p", "Picture (PNG): the camera that appears over the figure.", kind="ph-quiet"))
        if panel.code:
            st.html(markup.tag("p", "The same in Python:", kind="ph-quiet"))
            st.code(script(panel), language="python", wrap_lines=True)


def script(panel: Panel) -> str:
    """A script that makes the panel's answer again."""
    imports = "from datetime import timedelta\n\n" if "timedelta(" in panel.code else ""
    return f"{imports}import pilothouse as ph\n\nhouse = ph.open({session.workspace()!r})\n{panel.code}"


def figure(panel: Panel, key: str, *, brush: bool = False, on_cell: Callable[[Hit], None] | None = None) -> None:
    """Draw a panel's figure, in the colours of the theme in force."""
    spec = Drawn(paint(panel.spec, STREAMLIT))
    place = f"figure-{key}"
    config = _CONFIG | {"toImageButtonOptions": {"format": "png", "scale": 2, "filename": panel.name}}
    shared: dict[str, Any] = {"key": place, "config": config, "alt": panel.alt or panel.title}
    if brush:
        st.plotly_chart(spec, on_select=lambda: _brushed(place), selection_mode=["box"], **shared)
    elif on_cell is not None:
        st.plotly_chart(spec, on_select=lambda: _clicked(place, on_cell), selection_mode=["points"], **shared)
    else:
        st.plotly_chart(spec, **shared)


def _selection(key: str) -> Mapping[str, Any]:
    held = st.session_state.get(key) or {}
    return cast("Mapping[str, Any]", held.get("selection", {}))


def _clicked(key: str, on_cell: Callable[[Hit], None]) -> None:
    points = _selection(key).get("points", [])
    if points:
        data = points[-1].get("customdata") or ()
        on_cell(tuple(data.values()) if isinstance(data, Mapping) else tuple(data))


def _brushed(key: str) -> None:
    """The drag has ended: make its span the shared time range."""
    boxes = _selection(key).get("box", [])
    if boxes:
        start, end = sorted(datetime.fromisoformat(str(x)) for x in boxes[0]["x"])
        session.choose_span(start, end)
