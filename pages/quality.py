"""Data quality: which rules the rows break and since when, and whether as many come as usual."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from pilothouse.app import markup, quality_words, questions_quality, render, session, widgets
from pilothouse.app.faces import ModelFace
from pilothouse.app.panels import quality as panels
from pilothouse.app.panels.charts import View
from pilothouse.data.measures.quality import Quality
from pilothouse.ops.measuring.schemas import INFERRED, AgreedSchema

_EXAMPLES = ("COLUMN <= 120", "COLUMN in A,B,C", "COLUMN matches ^[A-Z]{2}", "COLUMN may be missing", "COLUMN off")


def answer(face: ModelFace, found: Quality) -> None:
    widgets.title(
        f"Data quality of {face.name}", quality_words.answer(found, session.zone()), [markup.chip(found.state)]
    )
    widgets.quiet(quality_words.basis(found))
    widgets.tiles(quality_words.freshness(found.volume))


def rules(face: ModelFace, found: Quality) -> None:
    widgets.section("Rules")
    render.show(panels.rules(found), extra=panels.table(found, session.zone()) if found.rows else None)
    if not found.rows:
        return
    names = panels.names(found)
    words = st.selectbox("Rule", list(names), key="quality-rule", help="Rules that rows of this range break.")
    words = words if words in names else next(iter(names))
    every = "hour" if found.every == timedelta(hours=1) else "day"
    render.show(panels.over_time(found, names[words], words, view(face, found, every)), brush=True)


def view(face: ModelFace, found: Quality, every: str) -> View:
    events = tuple(face.events(found.window))
    return View(model=face.name, within=found.window, zone=session.zone(), every=every, events=events)


def volume(face: ModelFace, found: Quality) -> None:
    widgets.section("Freshness and volume")
    render.show(panels.volume(found, view(face, found, "hour")), brush=True)


@st.dialog("Edit the schema", icon=":material/edit:", width="large")
def edit_dialog(face: ModelFace, schema: AgreedSchema) -> None:
    widgets.paragraph(
        "One change a line. Each version is kept with who made it and why; what was logged before is judged by the new rules."
    )
    text = st.text_area("Changes", key="schema-edits", placeholder="\n".join(_EXAMPLES), height=140)
    if schema.version == INFERRED:
        widgets.quiet("Leave it empty to agree on the rules as they were inferred.")
    widgets.quiet("Others: `COLUMN >= 0`, `COLUMN not missing`, `COLUMN no minimum`, `COLUMN no maximum`,"
                  " `COLUMN any value`, `COLUMN any text`, `tolerate 1%`, `stop above 5%`, `failed tests stop`.")  # fmt: skip
    reason = st.text_input("Reason", key="schema-reason", placeholder="Why are these the right rules?")
    if st.button("Agree on these rules", type="primary", key="schema-confirm"):
        edits = [line for line in (text or "").splitlines() if line.strip()]
        done = f"{face.name}: the schema is version {schema.version + 1} now."
        widgets.act(lambda: face.edit_schema(*edits, reason=reason), done, "Writing …")


def agreed(face: ModelFace) -> None:
    """The schema's versions, and the way to change it or to take it along."""
    schema = questions_quality.schema(face.name)
    terms = schema.terms
    said = "Nobody has agreed on these rules yet: they are what the reference suggests, and they stop no retraining."
    if schema.version != INFERRED:
        tests = "stop" if terms.tests_stop else "do not stop"
        said = (
            f"Version {schema.version}. A rule that more than {terms.stops_above:.0%} of the rows to learn from break stops a "
            f"retraining; failed tests of Evidently {tests} it."
        )
    widgets.section("Schema", said)
    with st.container(horizontal=True):
        if st.button("Edit the schema", icon=":material/edit:", key="schema-edit"):
            edit_dialog(face, schema)
        st.download_button(
            "Export for pandera (YAML)", schema.to_yaml, f"{face.name}-schema.yaml", "text/yaml", key="schema-yaml",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    if schema.history:
        st.html(panels.history(schema.history, session.zone(), schema.guarded))


def main() -> None:
    face = widgets.require_model()
    with st.spinner("Reading the rows of this range …"):
        found = questions_quality.quality(face.name, session.range_text())
    answer(face, found)
    rules(face, found)
    volume(face, found)
    agreed(face)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(session.page("model"), label="Evidently report", icon=":material/lab_profile:")
        widgets.quiet(
            "The report many know stands at the end of the page Model: it speaks of features and of performance alike."
        )


main()
