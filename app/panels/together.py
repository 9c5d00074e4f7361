"""Drift of all features together: what a classifier and the reference's main components say."""

from __future__ import annotations

from pilothouse.app import formats, markup
from pilothouse.app.panel import Panel, Table
from pilothouse.data.history.results import Metric, State
from pilothouse.data.measures.multivariate import SEED, Multivariate

_SHOWN = 10
_LITTLE, _MUCH = 0.55, 0.7
"""AUC from which the difference is one to look at, and a great one: our own marks."""
_NOTHING = 0.0005
"""A smaller fall of the AUC is 0.000 when it is written down."""


def panel(found: Multivariate) -> Panel:
    rows = tuple((name, fall) for name, fall in found.importance)
    return Panel(
        name=f"{found.model}-together",
        title="This range against the reference",
        answer=answer(found),
        state=state_of(found.classifier),
        rows=Table(columns=("feature", "importance"), rows=rows),
        note=note(found),
        code=f'house["{found.model}"].multivariate_drift("{found.window}")',
    )


def measures_of(found: Multivariate) -> list[tuple[str, Metric, str]]:
    """The two measures, each with what it is called and what it says."""
    marks = f"0.5 is chance; {_LITTLE} is worth a look and {_MUCH} is critical, by our own marks"
    inside = _inside(found.reconstruction) or "the band is where blocks of the reference lie"
    lines = (("Classifier, ROC AUC", found.classifier, marks), ("Reconstruction error", found.reconstruction, inside))
    return [(title, metric, metric.reason if metric.value is None else words) for title, metric, words in lines]


def told_apart_by(found: Multivariate) -> list[tuple[str, float]]:
    """By which features the rows are told apart, and how far the AUC falls when one is shuffled."""
    return [(name, fall) for name, fall in found.importance[:_SHOWN] if fall >= _NOTHING]


def table(found: Multivariate) -> markup.Html:
    """The two measures, and below them the features by which the rows are told apart."""
    lines = [_line(*line) for line in measures_of(found)]
    measures = markup.table(("Measure", "Value", "Band", ""), lines, right=(1, 2))
    if not told_apart_by(found):
        return measures
    head = ("Feature", "AUC lost when it is shuffled")
    rows = [[markup.name(name), formats.number(fall)] for name, fall in told_apart_by(found)]
    return markup.join([measures, markup.table(head, rows, right=(1,))])


def answer(found: Multivariate) -> str:
    value = found.classifier.value
    if value is None:
        return f"Nothing can be said: {found.classifier.reason}."
    if state_of(found.classifier) is State.HEALTHY:
        return f"A classifier can hardly tell this range from the reference: ROC AUC {formats.number(value)}, chance is 0.5."
    names = ", ".join(name for name, fall in found.importance[:3] if fall > 0)
    by = f", most of all by {names}" if names else ""
    return f"A classifier tells this range from the reference with ROC AUC {formats.number(value)}{by}; chance is 0.5."


def state_of(classifier: Metric) -> State:
    """Healthy where the band reaches chance, or the AUC is too near to it to matter."""
    if classifier.value is None or classifier.low is None:
        return State.NO_DATA
    if classifier.low <= 0.5 or classifier.value < _LITTLE:
        return State.HEALTHY
    return State.CRITICAL if classifier.value >= _MUCH else State.WATCH


def note(found: Multivariate) -> str:
    """What it rests on."""
    sampled = (
        f"{formats.count(found.rows)} of {formats.count(found.of_rows)} rows of the range and "
        f"{formats.count(found.reference_rows)} of {formats.count(found.of_reference)} of the reference, drawn with the "
        f"seed {SEED}"
    )
    kept = f"; {found.components} components of {found.width} columns" if found.components else ""
    left = f" {found.left_out} sensitive or unknown columns are left out." if found.left_out else ""
    return f"From {sampled}{kept}.{left}"


def _line(title: str, metric: Metric, words: str) -> list[object]:
    said = markup.tag("span", words, kind="ph-quiet")
    return [title, formats.number(metric.value), formats.band(metric.low, metric.high), said]


def _inside(metric: Metric) -> str:
    if metric.value is None or metric.low is None or metric.high is None:
        return ""
    if metric.low <= metric.value <= metric.high:
        return "within the band in which blocks of the reference lie: features hang together as before"
    return "outside the band in which blocks of the reference lie: features no longer hang together as before"
