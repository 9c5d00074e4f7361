"""What features contribute to many answers: their mean size as bars, and every contribution as a dot."""

from __future__ import annotations

from itertools import chain
from typing import Any

from pilothouse.app import formats
from pilothouse.app.markup import in_figure
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.panels.leaning import SHOWN, bars
from pilothouse.app.theme import Colour
from pilothouse.data.measures.contributions import Contributions, FeatureContributions

_LONGEST = 24
_BINS = 80
_STEP, _WIDEST = 0.05, 0.4
"""How far one dot stands from the next of its bin, and the last from the line, in heights of a line."""


def answer(found: Contributions) -> str:
    """Which features contribute most, in one sentence."""
    if found.reason:
        return f"It cannot be said: {found.reason}."
    most = ", ".join(f"{each.name} ({formats.figure(each.size.value)})" for each in found.features[:3])
    return f"Up or down, these move the {found.explained} most on average: {most}."


def sizes(found: Contributions) -> Panel:
    """Mean size of each feature's contributions."""
    rows = tuple((f.name, f.size.value, f.size.low, f.size.high) for f in found.features)
    return Panel(
        name=f"{found.model}-contributions",
        title=f"Mean size of contributions, version {found.version}",
        answer=answer(found),
        spec=None if found.reason else bars([(f.name, f.size) for f in found.features[:SHOWN]], "mean size"),
        rows=Table(columns=("feature", "mean_size", "low", "high"), rows=rows),
        empty=_empty(found),
        note=note(found),
        alt=f"Mean size of the contributions of the features of {found.model}. {answer(found)}",
        code=_code(found),
    )


def dots(found: Contributions) -> Panel:
    """Every contribution of the sample as a dot, coloured by where the feature's value stands."""
    rows = tuple(
        (f.name, part, rank) for f in found.features for part, rank in zip(f.parts, f.ranks, strict=True)
    )  # fmt: skip
    words = "One dot for each answer. Stronger colour: a higher value of the feature; grey: missing, or a category."
    return Panel(
        name=f"{found.model}-contributions-rows",
        title="Each contribution",
        answer="" if found.reason else words,
        spec=None if found.reason else _dots(found.features[:SHOWN]),
        rows=Table(columns=("feature", "contribution", "rank_of_value"), rows=rows),
        empty=_empty(found),
        note="" if found.reason else f"To the {found.explained}.",
        alt=f"Contributions of the features of {found.model} to {found.rows} answers. {answer(found)}",
        code=_code(found),
    )


def note(found: Contributions) -> str:
    """To what, on which rows, and how."""
    of = "the reference" if found.window is None else "this range"
    rows = (
        f"a fixed sample of {formats.count(found.rows)} of {formats.count(found.of_rows)} rows of {of}"
        if found.rows < found.of_rows
        else f"{formats.count(found.rows)} rows of {of}"
    )
    how = f"In units of the {found.explained}, on {rows}; bands are of 95 %. {found.method}." if found.method else ""
    return f"{how} {found.unshown}".strip()


def _empty(found: Contributions) -> str:
    return f"It cannot be said: {found.reason}." if found.reason else ""


def _code(found: Contributions) -> str:
    window = f'"{found.window}"' if found.window else "None"
    return f'house["{found.model}"].importance({window}, by="shap")'


def _dots(features: tuple[FeatureContributions, ...]) -> dict[str, Any]:
    names = [in_figure(f.name if len(f.name) <= _LONGEST else f"{f.name[: _LONGEST - 1]}…") for f in features]
    known = [_points(place, f, ranked=True) for place, f in enumerate(features)]
    unknown = [_points(place, f, ranked=False) for place, f in enumerate(features)]
    layout = charts.frame(
        height=60 + 26 * len(names), hovermode="closest", dragmode=False, showlegend=False,
        xaxis=charts.effect_axis("contribution"),
        yaxis=charts.axis(
            showgrid=False, tickvals=[*range(len(names))], ticktext=names, range=[len(names) - 0.5, -0.5]
        ),
    )  # fmt: skip
    return {"data": [_trace(unknown, names, Colour.REFERENCE), _trace(known, names, None)], "layout": layout}


_Point = tuple[float, float, float, int]
"""Contribution, height, rank of the value (0 where there is none), place of the feature."""


def _points(place: int, feature: FeatureContributions, *, ranked: bool) -> list[_Point]:
    heights = _heights(feature.parts)
    found = zip(feature.parts, feature.ranks, heights, strict=True)
    return [(x, place + up, rank or 0.0, place) for x, rank, up in found if (rank is not None) is ranked]


def _heights(parts: tuple[float, ...]) -> list[float]:
    """Dots that would cover each other, side by side: the more there are in a bin, the wider the swarm."""
    low, high = min(parts, default=0.0), max(parts, default=0.0)
    width = (high - low) / _BINS or 1.0
    seen: dict[int, int] = {}
    heights = []
    for part in parts:
        at = int((part - low) / width)
        count = seen[at] = seen.get(at, -1) + 1
        reach = min(_WIDEST, _STEP * ((count + 1) // 2))
        heights.append(reach if count % 2 else -reach)
    return heights


def _trace(points: list[list[_Point]], names: list[str], colour: Colour | None) -> charts.Trace:
    flat = list(chain.from_iterable(points))
    marker: dict[str, Any] = {"size": 4, "opacity": 0.8}
    if colour is None:
        scale = [[0, Colour.VOLUME], [1, Colour.CURRENT]]
        marker |= {"color": [point[2] for point in flat], "colorscale": scale, "cmin": 0, "cmax": 1, "showscale": False}
    else:
        marker["color"] = colour
    return {
        "type": "scatter", "mode": "markers", "x": [p[0] for p in flat], "y": [p[1] for p in flat], "marker": marker,
        "text": [f"{names[p[3]]}: {formats.change(p[0])}" for p in flat], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
