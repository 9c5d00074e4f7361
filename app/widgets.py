"""Pieces that several pages lay out: heads, tiles, ways out, and what happens when an act is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from typing import Any, Literal, TypeVar

import streamlit as st

from pilothouse.app import formats, markup, render, session
from pilothouse.app.faces import ModelFace, Scorecard
from pilothouse.app.panels import fleet, releases
from pilothouse.data.errors import PilothouseError
from pilothouse.data.history.results import State

Answer = TypeVar("Answer")

_WAY_OUT = (
    "See one at work with `pilothouse demo`, or bring your own with "
    "`pilothouse register NAME --model FILE --reference FILE --target COLUMN --task binary`."
)


def title(text: str, answer: str = "", chips: Iterable[markup.Html] = ()) -> None:
    """A page's head: its name, its chips, and the sentence that answers its question."""
    name = markup.tag("h1", text, kind="ph-title")
    line = markup.tag("div", markup.join([name, *chips]), kind="ph-row")
    st.html(markup.join([line, markup.tag("p", markup.prose(answer), kind="ph-answer") if answer else ""]))


def section(text: str, answer: str = "") -> None:
    words = markup.tag("p", markup.prose(answer), kind="ph-quiet") if answer else ""
    st.html(markup.join([markup.tag("h2", text, kind="ph-section"), words]))


def quiet(text: str) -> None:
    st.html(markup.tag("p", markup.prose(text), kind="ph-quiet"))


def empty(text: str) -> None:
    """Nothing to show, as a sentence with the way out."""
    with st.container(border=True):
        st.html(markup.tag("p", markup.prose(text), kind="ph-empty"))


def tiles(found: Sequence[tuple[str, str, object]]) -> None:
    """Label, value and what stands beside it, as a row of equal cards."""
    cards = [
        markup.tag(
            "div", markup.join([markup.tag("span", a), markup.tag("strong", b), markup.tag("em", c)]), kind="ph-tile"
        )
        for a, b, c in found
    ]
    st.html(markup.tag("div", markup.join(cards), kind="ph-tiles"))


def require_model() -> ModelFace:
    """The chosen model; a page without one says what to do and ends here."""
    if not session.house().models():
        title("No model is registered yet")
        empty(_WAY_OUT)
        st.stop()
    return session.model()


def paragraph(text: str) -> None:
    st.html(markup.tag("p", markup.prose(text), kind="ph-sentence"))


def weight(recommended: bool) -> Literal["primary", "secondary"]:
    """A button's look: the primary colour is for the one act that a verdict recommends."""
    return "primary" if recommended else "secondary"


def visit(label: str, place: str, model: str, *, icon: str, key: str = "", primary: bool = False) -> None:
    """A way to another page, about one model. A button, since it first makes the model the chosen one."""
    key = key or f"visit-{place}-{model}"
    st.button(label, icon=icon, type=weight(primary), key=key, on_click=session.visit, args=(place, model))


def visit_row(key: str, models: Sequence[str]) -> None:
    """A row of the fleet's table was chosen: go to that model's page."""
    if (model := chosen_row(key, models)) is not None:
        session.visit("model", model)


def explain_row(key: str, ids: Sequence[str], model: str) -> None:
    """A row of a table of predictions was chosen: go to its explanation."""
    if (prediction := chosen_row(key, ids)) is not None:
        session.explain(model, prediction)


def chosen_row(key: str, named: Sequence[str]) -> str | None:
    """What the chosen row of a table stands for; None while no row is chosen. For callbacks."""
    rows = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
    return named[rows[0]] if rows and rows[0] < len(named) else None


def step(default: str, allowed: Sequence[str]) -> str:
    """The bucket of the charts over time."""
    if st.session_state.get("step") not in allowed:
        st.session_state.pop("step", None)
    chosen = st.segmented_control(
        "Step", allowed, default=default, key="step", label_visibility="collapsed", required=True
    )
    return str(chosen or default)


def fleet_columns(
    lines: Sequence[fleet.Line], zone: tzinfo, chosen: str
) -> tuple[dict[str, list[object]], dict[str, Any]]:
    """The fleet's table: values by column, and how each is drawn. chosen : the time range the figures are of."""
    words = [markup.state_words(state) for state in State]
    # A sparkline column draws nothing for a missing value, so a gap is left out.
    columns: dict[str, list[object]] = {
        "Model": [line.model for line in lines],
        "State": [[markup.state_words(line.health.state)] for line in lines],
        "By week": [_course(line.trend) for line in lines],
        "Metric": [line.measured for line in lines],
        "Max PSI": [f"{formats.number(line.max_psi, 2)} {line.worst_feature}".strip() for line in lines],
        "Rows": [formats.count(line.rows) for line in lines],
        "p95": [formats.milliseconds(line.p95_latency_ms) for line in lines],
        "Last prediction": [formats.moment(line.last_at, zone) for line in lines],
    }
    config = st.column_config
    drawn: dict[str, Any] = {
        "State": config.MultiselectColumn(options=words, color=["red", "orange", "green", "gray"], width=104),
        "By week": config.LineChartColumn("Metric by week", width="medium"),
        "Metric": config.TextColumn(f"Metric, {chosen}", help="The main one of the model's task."),
        "Max PSI": config.TextColumn(f"Max PSI, {chosen}", width="medium"),
        "Rows": config.TextColumn(f"Rows, {chosen}"),
    }
    return columns, drawn


def _course(trend: Sequence[float | None]) -> list[float]:
    """The values of a sparkline; one alone is no course."""
    known = [value for value in trend if value is not None]
    return known if len(known) > 1 else []


def scorecard(card: Scorecard | None, model: str, version: int, zone: tzinfo) -> None:
    """What the gate read of a challenger, with its verdict's reason, and its rows to take along."""
    if card is None:
        paragraph(releases.verdict_reason(card))
        return
    panel = releases.scorecard(card, model=model, challenger=version, zone=zone)
    render.show(panel, extra=releases.scorecard_table(card, challenger=version), framed=False)


def attempt(ask: Callable[[], Answer]) -> Answer | None:
    """The answer; or, where it cannot be had, the reason in its place, and the rest of the page goes on."""
    try:
        return ask()
    except PilothouseError as error:
        refusal(error, "Not available")
        return None


def refusal(error: PilothouseError, words: str = "Not done") -> None:
    """An error of ours: a sentence with what was got, what is allowed and what to do, shown as it is."""
    problem(str(error), words)


def problem(sentence: str, words: str) -> None:
    st.html(markup.tag("p", markup.join([markup.badge(f"● {words}", "critical"), " ", markup.prose(sentence)])))


def act(do: Callable[[], object], done: str, waiting: str) -> None:
    """Do it; on refusal say why in place, on success say so after a rerun."""
    try:
        with st.spinner(waiting):
            do()
    except PilothouseError as error:
        refusal(error)
        return
    session.forget_answers()
    session.flash(done)
    st.rerun()
