"""The notebook in the documents runs in a bare kernel, shows the pages' panels, and yields their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from pilothouse.app.house import House
from pilothouse.app.panels import impact

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "first-look.ipynb"


@pytest.fixture(scope="module")
def executed(september: Path) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # The kernel's own start-up warns; what the notebook says is looked at in the tests.
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(env={"PILOTHOUSE_WORKSPACE": str(september), "PATH": "/usr/bin:/bin", "HOME": str(september.parent)})
    return notebook


def outputs(notebook: Any, code: str) -> list[Any]:
    """What the cell that begins with `code` showed."""
    return next(cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(code))


def test_it_shows_the_same_figures_as_the_page(executed: Any, september: Path) -> None:
    flights = House.open(september)["flights"]
    shown = outputs(executed, "performance = ")
    figures = [o.data["application/vnd.plotly.v1+json"] for o in shown if "application/vnd.plotly.v1+json" in o.data]
    again = flights.performance("26w")
    assert len(figures) == len([panel for panel in again.panels if panel.spec]) == 3
    drawn = [trace for trace in figures[0]["data"] if trace.get("name") == "ROC AUC"]
    expected = [trace for trace in again.panels[0].figure()["data"] if trace.get("name") == "ROC AUC"]
    assert drawn[0]["y"] == expected[0]["y"]
    assert len([y for y in drawn[0]["y"] if y is not None]) > 20


def test_the_sentences_are_those_of_the_fleet_page(executed: Any, september: Path) -> None:
    said = outputs(executed, "health = ")[0].text
    health = House.open(september)["flights"].health()
    assert said.splitlines()[0] == "watch"
    # The hours since the last prediction go on counting; everything else stands still.
    lasting = [r.sentence for r in health.reasons if r.rule != "traffic"]
    assert lasting
    assert all(sentence in said for sentence in lasting)


def test_a_result_shows_itself_as_on_the_page(executed: Any, september: Path) -> None:
    shown = outputs(executed, "impact = ")[0].data
    found = House.open(september)["flights"].impact("28d")
    assert shown["text/plain"] == str(impact.panel(found))
    assert "application/vnd.plotly.v1+json" in shown


def test_the_report_is_there_with_both_verdicts(executed: Any) -> None:
    table = outputs(executed, "report = ")[0].data["text/html"]
    assert "evidently" in table
    assert "temp" in table
    frame = outputs(executed, "report")[-1] if executed.cells[-1].source == "report" else None
    assert frame is not None
    shown = executed.cells[-1].outputs[0].data["text/html"]
    assert 'sandbox="allow-scripts"' in shown
    assert len(shown) > 1_000_000
