"""What has changed in the inputs: a map of feature and time, the ranked table, and one feature's two shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from pilothouse.app import formats, markup
from pilothouse.app.markup import in_figure
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import charts
from pilothouse.app.theme import DARK, LIGHT, Colour
from pilothouse.data.history.results import Bin, Distribution, Drift, DriftPoint, FeatureDrift, State
from pilothouse.data.signature import NUMERIC

EDGES = (0.1, 0.2, 0.4)
"""Upper edges of the PSI bands, the same on every page: stable, watch, drift, far off."""
BANDS = (
    (Colour.STABLE, "stable, below 0.1"),
    (Colour.BAND_WATCH, "watch, 0.1 to 0.2"),
    (Colour.BAND_DRIFT, "drift, 0.2 to 0.4"),
    (Colour.BAND_FAR, "far off, 0.4 and more"),
)
_MEASURES = (
    "psi", "ks", "ks_p", "wasserstein", "jensen_shannon", "missing", "reference_missing", "new_share", "impact", "rows",
)  # fmt: skip
_LONGEST = 26
_OVERLAY_HEIGHT = 320
_MOST_BARS = 24
_UPRIGHT, _BESIDE = 10, 18
"""Letters of a name that may stand below a bar, and beside one that lies."""


def psi_band(value: float | None) -> int | None:
    """Which band a PSI lies in, 0 to 3; None when there are too few rows to say.

    >>> psi_band(0.05), psi_band(0.2), psi_band(1.3), psi_band(None)
    (0, 2, 3, None)
    """
    return None if value is None else sum(value >= edge for edge in EDGES)


def _short(name: str) -> str:
    return formats.short(name, _LONGEST)


def _colorscale() -> list[list[object]]:
    steps: list[list[object]] = []
    for place, (colour, _) in enumerate(BANDS):
        steps += [[place / 4, colour], [(place + 1) / 4, colour]]
    return steps


def heatmap(
    points: Sequence[DriftPoint], features: Sequence[str], view: charts.View, selected: tuple[str, int] | None = None
) -> Panel:
    """PSI of each feature in each bucket, as bands with fixed edges. An empty cell had too few rows to say.

    features : those to show, worst first. selected : the feature and the bucket's place that the page shows beside it.
    """
    columns = ("start", "end", "rows", *features)
    rows = tuple((p.window.start, p.window.end, p.rows, *(p.psi.get(f) for f in features)) for p in points)
    panel = Panel(
        name=f"{view.model}-drift-map",
        title=f"PSI by feature and {view.every}",
        rows=Table(columns=columns, rows=rows),
        code=view.code("drift_trend"),
    )
    if all(p.psi.get(f) is None for p in points for f in features):
        words = "Too few rows in each bucket to compare with the reference. Choose a longer bucket or time range."
        return replace(panel, empty=words)
    answer = _map_answer(points, features, view.zone)
    spec = {"data": [_cells(points, features), _clicks(points, features, view.zone)]}
    layout = _map_layout(points, features, view.zone) | {"shapes": _mark(features, selected)}
    alt = f"PSI of {len(features)} features of {view.model} by {view.every}. {answer}"
    return replace(panel, answer=answer, spec=spec | {"layout": layout}, alt=alt)


def _cells(points: Sequence[DriftPoint], features: Sequence[str]) -> charts.Trace:
    return {
        "type": "heatmap", "z": [[psi_band(p.psi.get(f)) for p in points] for f in features], "zmin": -0.5, "zmax": 3.5,
        "colorscale": _colorscale(), "showscale": False, "xgap": _gap(len(points)), "ygap": 2, "hoverinfo": "skip",
    }  # fmt: skip


def _gap(columns: int) -> int:
    """Pixels between columns: none where they are so narrow that a gap would be all of them."""
    return 2 if columns <= 70 else 1 if columns <= 150 else 0


def _clicks(points: Sequence[DriftPoint], features: Sequence[str], zone: tzinfo) -> charts.Trace:
    # A heatmap answers no click: an unseen square on each cell does.
    squares = [(place, row) for row in range(len(features)) for place in range(len(points))]
    return {
        "type": "scatter", "mode": "markers", "x": [place for place, _ in squares], "y": [row for _, row in squares],
        "marker": {"symbol": "square", "size": 17, "opacity": 0, "color": Colour.MUTED},
        "customdata": [["cell", features[row], place] for place, row in squares],
        "text": [_cell_words(features[row], points[place], zone) for place, row in squares],
        "hovertemplate": "%{text}<extra></extra>", "showlegend": False,
    }  # fmt: skip


def map_height(features: int) -> int:
    """Height of the map's figure, in pixels."""
    return 72 + 25 * features


def _map_layout(points: Sequence[DriftPoint], features: Sequence[str], zone: tzinfo) -> dict[str, object]:
    days = [formats.day(p.window.start, zone) for p in points]
    names = [in_figure(_short(f)) for f in features]
    step = max(1, round(len(points) / 9))
    across, down = list(range(len(points))), list(range(len(features)))
    edge = 0.5
    return charts.frame(
        height=map_height(len(features)),
        hovermode="closest",
        clickmode="event+select",
        dragmode=False,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        xaxis=charts.axis(
            showgrid=False, tickvals=across[::step], ticktext=days[::step], range=[-edge, len(points) - edge]
        ),
        yaxis=charts.axis(showgrid=False, tickvals=down, ticktext=names, range=[len(features) - edge, -edge]),
    )


def _cell_words(feature: str, point: DriftPoint, zone: tzinfo) -> str:
    psi = point.psi.get(feature)
    value = f"PSI {formats.number(psi, 2)}" if psi is not None else "too few rows to say"
    return in_figure(f"{feature} · {formats.span(point.window, zone)} · {value} · {formats.count(point.rows)} rows")


def _mark(features: Sequence[str], selected: tuple[str, int] | None) -> list[charts.Trace]:
    if selected is None or selected[0] not in features:
        return []
    row, column = features.index(selected[0]), selected[1]
    box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    # A light frame under the dark one, so that the mark is seen on a pale cell and on a deep one.
    around = ({"color": Colour.SURFACE, "width": 5}, {"color": Colour.INK, "width": 2})
    return [{"type": "rect", "line": line} | box for line in around]


def _map_answer(points: Sequence[DriftPoint], features: Sequence[str], zone: tzinfo) -> str:
    """Of the newest bucket with rows enough to say something."""
    told = [p for p in points if any(p.psi.get(f) is not None for f in features)]
    last, when = told[-1].psi, "the last bucket"
    if told[-1] is not points[-1]:
        when = f"the newest bucket with enough rows, {formats.span(told[-1].window, zone)}"
    off = [f for f in features if (psi_band(last.get(f)) or 0) >= 2]
    if not off:
        return f"No feature is beyond 0.2 in {when}."
    first = next(p for p in points if any((psi_band(p.psi.get(f)) or 0) >= 2 for f in off))
    names = ", ".join(off[:3]) + (f" and {len(off) - 3} more" if len(off) > 3 else "")
    return f"Beyond 0.2 in {when}: {names}; the first of them since {formats.day(first.window.start, zone)}."


def newest_known(points: Sequence[DriftPoint], feature: str) -> int:
    """Place of the newest bucket with rows enough to say something of `feature`; the last one where none has."""
    known = [place for place, point in enumerate(points) if point.psi.get(feature) is not None]
    return known[-1] if known else len(points) - 1


def legend() -> markup.Html:
    """The bands in words, for under the map."""
    swatches = [_swatch(place, words) for place, (_, words) in enumerate(BANDS)]
    blank = markup.tag("span", "blank: too few rows to say")
    return markup.tag("div", markup.join([*swatches, blank]), kind="ph-legend")


def _swatch(place: int, words: str) -> markup.Html:
    colour = BANDS[place][0]
    square = markup.tag("i", style=f"background:light-dark({LIGHT[colour]},{DARK[colour]})")
    return markup.tag("span", markup.join([square, words]))


def ranked(drift: Drift, limit: int = 20, search: str = "") -> Panel:
    """The features of a window, worst first: only rows (`table` draws them)."""
    columns = ("feature", "state", "reason", *_MEASURES)
    found = [f for f in drift.features if search.lower() in f.name.lower()][:limit]
    rows = tuple((f.name, f.state.value, f.reason, *(getattr(f, name) for name in _MEASURES)) for f in found)
    return Panel(
        name=f"{drift.model}-drift",
        title="Features, most drifted first",
        answer=drift_answer(drift),
        rows=Table(columns=columns, rows=rows),
        empty="" if rows else "No feature has this in its name.",
        code=f'house["{drift.model}"].drift("{drift.window}")',
    )


def drift_answer(drift: Drift) -> str:
    """How many features moved, in one sentence."""
    critical = [f for f in drift.features if f.state is State.CRITICAL]
    watch = [f for f in drift.features if f.state is State.WATCH]
    if not drift.rows:
        return "No predictions in this range."
    unsaid = [f for f in drift.features if f.state is State.NO_DATA]
    if unsaid and len(unsaid) == len(drift.features):
        return f"Whether any of {len(drift.features)} features has drifted cannot be said: {unsaid[0].reason}."
    silent = f" Of {len(unsaid)} it cannot be said." if unsaid else ""
    if not critical and not watch:
        return f"None of {len(drift.features)} features has moved away from the reference.{silent}"
    return f"{_moved(len(critical), len(watch), len(drift.features))}; most of all {_most(critical or watch)}.{silent}"


def _moved(critical: int, watch: int, features: int) -> str:
    """
    >>> _moved(1, 0, 64), _moved(6, 2, 16), _moved(0, 1, 4)
    ('1 of 64 features drifts', '6 of 16 features drift and 2 are on watch', '1 of 4 features is on watch')
    """
    watched = f"{'is' if watch == 1 else 'are'} on watch"
    if not critical:
        return f"{watch} of {features} features {watched}"
    drifting = f"{critical} of {features} features drift{'s' if critical == 1 else ''}"
    return f"{drifting} and {watch} {watched}" if watch else drifting


def _most(features: Sequence[FeatureDrift]) -> str:
    return ", ".join(formats.short(f.name) for f in features[:3])


def table(drift: Drift, limit: int = 20, search: str = "") -> markup.Html:
    """The ranked features as a table, the reason of each state in words."""
    found = [f for f in drift.features if search.lower() in f.name.lower()][:limit]
    head = ("Feature", "State", "PSI", "KS", "Missing", "New values", "Why")
    return markup.table(head, [_table_row(f) for f in found], right=(3, 4, 5))


def _table_row(f: FeatureDrift) -> list[object]:
    missing = formats.share(f.missing)
    if f.missing is not None and abs(f.missing - f.reference_missing) >= 0.005:
        missing = f"{missing} (ref. {formats.share(f.reference_missing)})"
    new = formats.NOTHING if f.kind in NUMERIC else formats.share(f.new_share)
    psi = markup.bar(f.psi, EDGES[-1], f.state, formats.number(f.psi, 2))
    name, why = markup.name(f.name), markup.tag("span", f.reason, kind="ph-quiet")
    return [name, markup.chip(f.state), psi, formats.number(f.ks, 2), missing, new, why]


def overlay(distribution: Distribution, view: charts.View, height: int = _OVERLAY_HEIGHT) -> Panel:
    """One feature's distribution: the reference as a grey fill, the bucket as one line (or bars)."""
    title = f"{formats.short(distribution.feature)}, {formats.span(distribution.window, view.zone)}"
    columns = ("bin", "left", "right", "reference", "current")
    rows = tuple((b.label, b.left, b.right, b.reference, b.current) for b in distribution.bins)
    window = f'house["{view.model}"].window("{distribution.window}")'
    panel = Panel(
        name=f"{view.model}-distribution",
        title=title,
        rows=Table(columns=columns, rows=rows),
        code=f'house["{view.model}"].history.distribution({distribution.feature!r}, {window})',
    )
    if not distribution.rows or not distribution.bins:
        return replace(panel, empty="No rows of this feature in this bucket. Choose another one.")
    stepped = distribution.kind in NUMERIC
    shown = distribution.bins if stepped else _largest(distribution.bins)
    spec = _steps(shown) if stepped else _bars(shown)
    spec["layout"]["height"] = height
    note = f"The {len(shown)} largest of {len(rows)} values; the menu has all." if len(shown) < len(rows) else ""
    if stepped:
        note = _beyond(distribution.bins)
    answer = _overlay_answer(distribution)
    return replace(panel, answer=answer, spec=spec, note=note, alt=f"Distribution of {title}. {answer}")


def _largest(bins: Sequence[Bin]) -> list[Bin]:
    """As many values as can be told apart on a card, the most frequent ones, in their own order."""
    kept = sorted(bins, key=lambda b: max(b.reference, b.current), reverse=True)[:_MOST_BARS]
    return [b for b in bins if b in kept]


def _beyond(bins: Sequence[Bin]) -> str:
    """What the outermost steps hold, where values lie outside the reference's range."""
    ends = [b for b in (bins[0], bins[-1]) if b.left is None or b.right is None]
    if not ends:
        return ""
    named = " and ".join(f"{formats.share(b.current)} {b.label}" for b in ends)
    return f"Outside the reference's range, as a step of its own: {named}."


def _edges(bins: Sequence[Bin]) -> list[float]:
    """Where the steps begin, and where the last ends; those that are open at an end get the usual width."""
    inner = [(b.left, b.right) for b in bins if b.left is not None and b.right is not None]
    if not inner:
        return [float(place) for place in range(len(bins) + 1)]
    width = (inner[-1][1] - inner[0][0]) / len(inner) or 1.0
    first = [inner[0][0] - width] if bins[0].left is None else []
    # A step of one value ends where it begins, so that it gets the usual width as well.
    end = inner[-1][1] if inner[-1][1] > inner[-1][0] else inner[-1][0] + width
    last = [end, end + width] if bins[-1].right is None else [end]
    return [*first, *(left for left, _ in inner), *last]


def _steps(bins: Sequence[Bin]) -> dict[str, Any]:
    edges = _edges(bins)

    def stair(shares: list[float]) -> list[float]:
        return [*shares, shares[-1]]

    step = {"shape": "hv"}
    reference = charts.line(
        [], stair([b.reference for b in bins]), "reference", Colour.REFERENCE, line=step | {"width": 0}
    )
    current = charts.line([], stair([b.current for b in bins]), "current", Colour.CURRENT, line=step)
    reference |= {"x": edges, "fill": "tozeroy", "fillcolor": Colour.REFERENCE, "opacity": 0.75}
    current |= {"x": edges}
    axis = charts.value_axis(tickformat=".0%", hoverformat=".1%", rangemode="tozero")
    return {"data": [reference, current], "layout": charts.frame(height=_OVERLAY_HEIGHT, yaxis=axis, dragmode=False)}


def _bars(bins: Sequence[Bin]) -> dict[str, Any]:
    labels = [in_figure(_short(b.label) or "(empty text)") for b in bins]
    place = list(range(len(bins)))
    if any(len(label) > _UPRIGHT for label in labels):
        return _sideways(bins, [in_figure(formats.short(b.label, _BESIDE) or "(empty text)") for b in bins])
    reference = {"type": "bar", "x": place, "y": [b.reference for b in bins], "name": "reference"}
    current = {"type": "bar", "x": place, "y": [b.current for b in bins], "name": "current"}
    data = [
        reference | {"marker": {"color": Colour.REFERENCE}, "opacity": 0.75, "customdata": labels},
        current | {"marker": {"color": Colour.CURRENT}, "width": 0.34, "customdata": labels},
    ]
    layout = charts.frame(
        height=_OVERLAY_HEIGHT,
        barmode="overlay",
        bargap=0.25,
        dragmode=False,
        xaxis=charts.axis(showgrid=False, tickvals=place, ticktext=labels),
        yaxis=charts.value_axis(tickformat=".0%", hoverformat=".1%", rangemode="tozero"),
    )
    return {"data": data, "layout": layout}


def _sideways(bins: Sequence[Bin], labels: list[str]) -> dict[str, Any]:
    """Bars that lie, where names are too long to stand below them. The first value is at the top."""
    place = list(range(len(bins)))
    shared = {"type": "bar", "orientation": "h", "y": place, "customdata": labels}
    said = {"hovertemplate": "%{customdata}: %{x:.1%}"}
    data = [
        shared | said | {"x": [b.reference for b in bins], "name": "reference", "opacity": 0.75,
                         "marker": {"color": Colour.REFERENCE}},
        shared | said | {"x": [b.current for b in bins], "name": "current", "width": 0.34,
                         "marker": {"color": Colour.CURRENT}},
    ]  # fmt: skip
    layout = charts.frame(
        height=_OVERLAY_HEIGHT, hovermode="closest", barmode="overlay", bargap=0.25, dragmode=False,
        xaxis=charts.value_axis(tickformat=".0%", rangemode="tozero"),
        yaxis=charts.axis(showgrid=False, tickvals=place, ticktext=labels, range=[len(bins) - 0.5, -0.5]),
    )  # fmt: skip
    return {"data": data, "layout": layout}


def _overlay_answer(distribution: Distribution) -> str:
    before, now = distribution.reference_mean, distribution.current_mean
    if before is not None and now is not None:
        means = f"Mean {formats.figure(now)}, in the reference {formats.figure(before, like=now)}"
        return f"{means}; {formats.count(distribution.rows)} rows."
    most = max(distribution.bins, key=lambda b: abs(b.current - b.reference))
    change = formats.points(most.current - most.reference)
    return f"Largest change: {formats.short(most.label)}, {change}; {formats.count(distribution.rows)} rows."
