"""A panel as a value: what it shows in a notebook, what it becomes as CSV and as a page; and texts that are hostile."""

import doctest
from datetime import UTC, datetime
from importlib import import_module

import pytest

from pilothouse.app import markup
from pilothouse.app.panel import Panel, Table
from pilothouse.app.theme import LIGHT, Colour

HOSTILE = "<img src=x onerror=alert(1)>"


def a_panel(**given):
    spec = {"data": [{"type": "scatter", "y": [1, 2], "line": {"color": Colour.CURRENT}}], "layout": {}}
    rows = Table(columns=("feature", "psi", "at"), rows=(("=cmd()", None, datetime(2026, 9, 1, tzinfo=UTC)),))
    return Panel(**{"name": "p", "title": HOSTILE, "answer": "It moved.", "spec": spec, "rows": rows} | given)


def test_csv_keeps_times_and_gaps_and_disarms_formulas():
    assert a_panel().to_csv() == "feature,psi,at\n'=cmd(),,2026-09-01T00:00:00+00:00\n"


def test_a_notebook_gets_the_figure_with_real_colours_and_the_words_beside_it():
    bundle = a_panel()._repr_mimebundle_()
    assert bundle["application/vnd.plotly.v1+json"]["data"][0]["line"]["color"] == LIGHT[Colour.CURRENT]
    assert "It moved." in bundle["text/plain"]
    assert HOSTILE not in bundle["text/html"]


def test_nothing_to_draw_is_a_sentence_and_no_figure():
    bundle = a_panel(spec=None, empty="No labels yet.")._repr_mimebundle_()
    assert "application/vnd.plotly.v1+json" not in bundle
    assert "No labels yet." in bundle["text/plain"]


def test_the_page_opens_without_a_network():
    page = a_panel().to_html()
    assert "Plotly.newPlot" in page
    assert "<script src" not in page
    assert "<link" not in page.split("<body", 1)[0]
    assert HOSTILE not in page


def test_names_cannot_become_markup():
    assert markup.table(["a"], [[HOSTILE]]).count("<img") == 0
    assert markup.tag("p", "x", title='"><script>').count("<script") == 0
    assert "<" not in markup.in_figure(HOSTILE)


def test_a_state_has_a_shape_a_word_and_a_tone():
    from pilothouse.data.history.results import State

    chips = {state: markup.chip(state) for state in State}
    assert [next(c for c in chip if c in "●▲✓○") for chip in chips.values()] == ["●", "▲", "✓", "○"]
    assert len({chip.split('"')[1] for chip in chips.values()}) == len(State)


@pytest.mark.parametrize("module", ["formats", "markup", "ranges", "panels.drift", "panels.fleet"])
def test_examples_in_docstrings_hold(module):
    found = doctest.testmod(import_module(f"pilothouse.app.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
