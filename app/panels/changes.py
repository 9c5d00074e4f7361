"""Every measure of drift: the features side by side, one of them alone, the model's own output, and the thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.app import formats, markup
from pilothouse.app.panel import Panel, Table
from pilothouse.app.panels import fleet
from pilothouse.data.history.results import Drift, FeatureDrift, Measure
from pilothouse.data.measures.changes import CHANCE, MEASURES
from pilothouse.data.measures.drift_thresholds import DriftThresholds, Null
from pilothouse.data.signature import NUMERIC

_SIZES = ("total_variation", "hellinger", "cramers_v")
_SHARES = frozenset({"out_of_range", "new"})
_HEAD = ("Feature", "State", "PSI", "q", "KS", "Wasserst.", "Jensen-S.", "Total var.", "Hellinger",
         "Cramér's V", "Beyond ref.", "Missing")  # fmt: skip
_OF_ALL = {
    "psi": "Population stability index",
    "jensen_shannon": "Jensen-Shannon distance",
    "wasserstein": "Wasserstein distance, in standard deviations of the reference",
}
_ONE_TITLES = _OF_ALL | MEASURES
_TINY = 0.001
_WRAPPED = "white-space:normal;max-width:20rem"


def every_measure(found: Drift, limit: int, search: str = "") -> Panel:
    """The features with all their measures as rows; `table` draws them."""
    features = matching(found, limit, search)
    columns = ("feature", "state", "psi", "threshold", "ks", "ks_p", "wasserstein", "jensen_shannon", "missing",
               "reference_missing", "new_share", *(f"{name}{part}" for name in MEASURES for part in ("", "_p", "_q")),
               "reason")  # fmt: skip
    return Panel(
        name=f"{found.model}-every-measure",
        title="Every measure, most drifted first",
        rows=Table(columns=columns, rows=tuple(_cells(f) for f in features)),
        empty="" if features else "No feature has this in its name.",
        note="q: the chance of such a chi-squared when nothing has changed, adjusted for the number of features. "
        "Wasserstein in standard deviations of the reference. Beyond ref.: values outside its range, or categories it "
        "does not have. The menu has p and q of every test.",
        code=f'house["{found.model}"].drift("{found.window}")',
    )


def table(found: Drift, limit: int, search: str = "") -> markup.Html:
    rows = [_row(f) for f in matching(found, limit, search)]
    return markup.table(_HEAD, rows, right=range(2, len(_HEAD)))


def matching(found: Drift, limit: int, search: str) -> list[FeatureDrift]:
    """The features to show: those with `search` in their name, most drifted first."""
    return [f for f in found.features if search.lower() in f.name.lower()][:limit]


def one_feature(feature: FeatureDrift, model: str, window: object) -> Panel:
    """All measures of one feature, each with its chance and the reason where it cannot be said."""
    rows = tuple((_ONE_TITLES[name], m.value, m.p, m.q, m.reason) for name, m in all_of(feature).items())
    return Panel(
        name=f"{model}-measures-of-one",
        title=f"Every measure of {formats.short(feature.name)}",
        answer=f"{feature.reason}.",
        state=feature.state,
        rows=Table(columns=("measure", "value", "p", "q", "note"), rows=rows),
        note="p: how likely chance alone makes such a value. q: the same, adjusted for the number of features.",
        code=f'house["{model}"].history.drift(house["{model}"].window("{window}"))',
    )


def one_table(feature: FeatureDrift) -> markup.Html:
    rows = [_one_row(name, measure) for name, measure in all_of(feature).items()]
    return markup.table(("Measure", "Value", "p", "q", ""), rows, right=(1, 2, 3))


def output(lines: Sequence[tuple[str, FeatureDrift | None]]) -> markup.Html:
    """The score and the prediction, each as a line."""
    rows = [[markup.tag("span", title, kind="ph-name"), *_row(found)[1:]] for title, found in lines if found]
    return markup.table(("Output", *_HEAD[1:]), rows, right=range(2, len(_HEAD)))


def thresholds_sentence(held: DriftThresholds | None, *, for_this: bool) -> str:
    """By which marks states are given. for_this : whether calibrated thresholds hold for the window shown."""
    fixed = "PSI 0.1 is worth a look and 0.2 is critical (Siddiqi's marks, the same for every feature)"
    if held is None:
        return f"{fixed}. Nobody has calibrated thresholds for this model."
    drawn = (
        f"days of the log drawn anew, from {_days(held.baseline)}"
        if held.null is Null.DAYS
        else f"{formats.count(held.rows)} rows at a time, drawn one by one from the reference: days that are alike "
        "are not counted in, so there may be more alarms than that"
    )
    stretched = f" They were raised {held.stretched:.2g}-fold, for days that are alike." if held.stretched > 1 else ""
    calibrated = (
        f"Each feature has its own threshold{_with_answers(held)}, calibrated to {held.basis} over all of them "
        f"({drawn}).{stretched}"
    )
    return calibrated if for_this else f"{calibrated} This time range is shorter than that, so here {fixed}."


def _with_answers(held: DriftThresholds) -> str:
    alone: dict[tuple[str, ...], str] = {("score",): "has the score", ("prediction",): "have the answers"}
    words = alone.get(tuple(held.answers), "have the score and the answers")
    return f", and so {words}" if held.answers else ""


def _days(baseline: str) -> str:
    """
    >>> _days("2026-04-22T00:00:00+00:00/2026-06-17T00:00:00+00:00")
    '2026-04-22 to 2026-06-17'
    """
    return " to ".join(moment[:10] for moment in baseline.split("/"))


def all_of(feature: FeatureDrift) -> dict[str, Measure]:
    """Every measure of a feature by name: those that each kind has, then the further ones."""
    silent = next((m.reason for m in feature.more.values() if m.value is None and m.reason), "")
    first = {name: Measure(value=v, reason="" if v is not None else silent) for name in _OF_ALL
             if (v := getattr(feature, name)) is not None or name != "wasserstein" or feature.kind in NUMERIC}  # fmt: skip
    return first | feature.more


def _cells(f: FeatureDrift) -> tuple[str | float | None, ...]:
    def told(name: str, part: str) -> float | None:
        found: float | None = getattr(f.more[name], part) if name in f.more else None
        return found

    more = [told(name, part) for name in MEASURES for part in ("value", "p", "q")]
    return (f.name, f.state.value, f.psi, f.threshold, f.ks, f.ks_p, f.wasserstein, f.jensen_shannon, f.missing,
            f.reference_missing, f.new_share, *more, f.reason)  # fmt: skip


def _row(f: FeatureDrift) -> list[object]:
    name = markup.name(f.name)
    if f.state in fleet.NEEDS_A_PERSON:
        name = markup.join([name, markup.tag("div", f.reason, kind="ph-quiet", style=_WRAPPED)])
    q = f.more[CHANCE].q if CHANCE in f.more else None
    beyond = next((f.more[name].value for name in ("out_of_range", "new") if name in f.more), None)
    sizes = [formats.number(f.more[name].value if name in f.more else None) for name in _SIZES]
    missing = formats.share(f.missing)
    return [name, markup.chip(f.state), formats.number(f.psi, 2), chance(q), formats.number(f.ks), formats.number(f.wasserstein, 2),
            formats.number(f.jensen_shannon), *sizes, formats.share(beyond), missing]  # fmt: skip


def _one_row(name: str, measure: Measure) -> list[object]:
    value = formats.NOTHING if measure.value is None else _value(name, measure.value)
    note = markup.tag("span", measure.reason, kind="ph-quiet")
    return [_ONE_TITLES[name], value, chance(measure.p), chance(measure.q), note]


def _value(name: str, value: float) -> str:
    if name in _SHARES:
        return formats.share(value, 2)
    if name == "missing_change":
        return formats.points(value, 2)
    return formats.number(value, 4) if abs(value) < 10 else formats.figure(value)


def chance(p: float | None) -> str:
    """
    >>> chance(0.0312), chance(1e-30), chance(None)
    ('0.031', '< 0.001', '–')
    """
    return f"< {_TINY}" if p is not None and p < _TINY else formats.number(p)
