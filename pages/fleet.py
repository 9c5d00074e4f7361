"""Fleet: who needs a person, before any chart; then the numbers, then every model."""

from __future__ import annotations

import streamlit as st

from pilothouse.app import markup, questions, ranges, sentences, session, tours, widgets
from pilothouse.app.panels import fleet
from pilothouse.app.panels import log as logs
from pilothouse.data.history.results import State
from pilothouse.data.signature import Task


def tour() -> None:
    house = session.house()
    if house.demo is None or st.session_state.get("tour-over"):
        return
    names = house.models()
    with st.container(border=True, key="tour"):
        st.html(markup.tag("h2", "A tour in five steps", kind="ph-heading"))
        st.html(tours.listing(tours.stops(questions.way_so_far(names[0]))))
        st.button("I know my way", icon=":material/close:", on_click=_end_tour)


def _end_tour() -> None:
    st.session_state["tour-over"] = True


def inbox(lines: list[fleet.Line]) -> None:
    for line in lines:
        if line.needs_a_person:
            inbox_card(line)


def damage() -> None:
    """Damage of a log comes before everything: figures are missing because of it."""
    found = session.house().damage()
    if found:
        with st.container(border=True, key="damage"):
            st.html(logs.damage(found))
            for model in sorted({part.model for part in found}):
                widgets.visit(f"Log of {model}", "log", model, icon=":material/database:")


def inbox_card(line: fleet.Line) -> None:
    with st.container(border=True, key=f"inbox-{line.model}"):
        name = markup.tag("h2", line.model, kind="ph-heading")
        champion = markup.badge(f"champion v{line.champion}" if line.champion else "no champion", "current")
        st.html(markup.tag("div", markup.join([name, markup.chip(line.health.state), champion]), kind="ph-row"))
        st.html(fleet.reasons(line.health.reasons))
        with st.container(horizontal=True):
            widgets.visit("Why: look at the model", "model", line.model, icon=":material/monitoring:")
            if fleet.asks_for_drift(line.health.reasons):
                widgets.visit("Drift", "drift", line.model, icon=":material/waves:")
            if line.task is Task.BINARY:
                widgets.visit("Retrain", "retrain", line.model, icon=":material/model_training:")
            else:
                widgets.visit("Segments", "segments", line.model, icon=":material/groups:")
            widgets.visit("Releases", "releases", line.model, icon=":material/rocket_launch:")


def models(lines: list[fleet.Line], chosen: str) -> None:
    widgets.section("Models", "Choose a row to open its page.")
    shown = lines
    if len(lines) > 8:
        wanted = st.text_input("Search models", placeholder="Search models", label_visibility="collapsed").lower()
        shown = [line for line in lines if wanted in line.model]
    columns, config = widgets.fleet_columns(shown, session.zone(), ranges.short(chosen))
    st.dataframe(
        columns, key="fleet-table", hide_index=True, column_config=config, row_height=40, selection_mode="single-row",
        on_select=lambda: widgets.visit_row("fleet-table", [line.model for line in shown]),
        alt="Every model with its state, its main metric by week, drift, rows and last prediction.",
    )  # fmt: skip


def running(state: State, words: str) -> None:
    mark = markup.chip(state)
    url = session.house().service_url
    where = f" Predictions are answered at {url}." if url else ""
    st.html(
        markup.tag(
            "div", markup.join([mark, markup.tag("span", markup.prose(words + where), kind="ph-quiet")]), kind="ph-row"
        )
    )


def main() -> None:
    widgets.require_model()
    chosen = session.range_text()
    lines = fleet.worst_first([questions.fleet_line(name, chosen) for name in session.house().models()])
    widgets.title("Fleet", fleet.inbox_sentence(lines))
    damage()
    state, words = sentences.processes(session.house().processes(), session.now())
    if state is not State.HEALTHY:
        running(state, words)
    inbox(lines)
    tour()
    widgets.tiles(fleet.tiles(lines, ranges.name(chosen)))
    models(lines, chosen)
    if state is State.HEALTHY:
        running(state, words)


main()
