"""Commands about realized performance: every metric, thresholds and what they cost, score bands, own metrics."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

import typer

from pilothouse.app import formats
from pilothouse.app import metric_words as words
from pilothouse.app.cli.model_options import CodeOption, TrustCodeOption, own_of
from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WindowOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
    span_text,
)
from pilothouse.app.panels.lending import bands as score_bands
from pilothouse.app.panels.metrics import answer, bands_rest_on, speaks_for
from pilothouse.app.panels.thresholds import saving_sentence
from pilothouse.data.errors import BadData
from pilothouse.data.measures.report import MetricReport
from pilothouse.data.policies import Costs, OwnMetric
from pilothouse.ops.model import ModelHandle

ThresholdOption = Annotated[float | None, typer.Option("--threshold", help="Another one than the champion's.")]
ExactOption = Annotated[bool, typer.Option("--exact", help="Read every labelled row instead of the counts.")]
VersionOption = Annotated[int | None, typer.Option("--version", help="Of one version's answers alone.")]
Cost = Annotated[float | None, typer.Option(help="What one such answer costs; a gain is negative.")]


def metrics(
    name: str,
    window: WindowOption = "28d",
    threshold: ThresholdOption = None,
    exact: ExactOption = False,
    version: VersionOption = None,
    as_known: Annotated[
        datetime | None, typer.Option("--as-known", formats=["%Y-%m-%d"], help="Also as known at the end of this day.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Every metric of NAME, each with its 95 % band; the team's own metrics are there too."""
    handle = open_house(workspace)[name]
    found = handle.metrics(window, threshold=threshold, exact=exact, version=version)
    then = None if as_known is None else _then(handle, found, as_known)
    if as_json:
        print_json(found if then is None else {"now": found, "then": then})
        return
    print(answer(found))
    if not found.labelled:
        return
    print_table(
        f"{name}: {span_text(found.window)}",
        ("metric", "value", "low", "high", *(("as known then",) if then else ()), "note"),
        _lines(found, then),
    )
    print(speaks_for(found))
    if told := bands_rest_on(found):
        print(told)


def _then(handle: ModelHandle, found: MetricReport, day: datetime) -> MetricReport:
    """The same as it was known when the day was over."""
    over = datetime.combine(day.date() + timedelta(days=1), time(), handle.house.settings.zone)
    return handle.metrics(
        found.window, threshold=found.threshold, exact=found.exact, version=found.version, as_known=over
    )


def _lines(found: MetricReport, then: MetricReport | None) -> list[list[object]]:
    lines: list[list[object]] = [
        [key, m.value, m.low, m.high, *([then.metrics[key].value] if then else []), m.reason or None]
        for key, m in found.metrics.items()
    ]
    own: list[list[object]] = [
        [
            words.own_title(o),
            o.found.value,
            o.found.low,
            o.found.high,
            *([None] if then else []),
            o.found.reason or None,
        ]
        for o in found.own
    ]
    return lines + own


def thresholds(
    name: str,
    window: WindowOption = "28d",
    threshold: ThresholdOption = None,
    exact: ExactOption = False,
    version: VersionOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """What each threshold of NAME would have done, and which costs least (see `pilothouse costs`)."""
    found = open_house(workspace)[name].thresholds(window, threshold=threshold, exact=exact, version=version)
    if as_json:
        print_json(found)
        return
    print(saving_sentence(found.saving) if found.saving else f"No best threshold can be named: {found.reason}.")
    every = max(1, len(found.points) // 20)
    print_table(
        f"{name}: {found.labelled:,} labelled rows, {span_text(found.window)}",
        ("threshold", "flagged", "precision", "recall", "F1", "come true unflagged", "cost a row"),
        [(p.threshold, p.flagged, p.precision, p.recall, p.f1, p.missed, p.cost) for p in found.points[::every]],
    )


def costs(
    name: str,
    tp: Cost = None,
    fp: Cost = None,
    fn: Cost = None,
    tn: Cost = None,
    currency: Annotated[str | None, typer.Option("--currency", help="EUR, USD, minutes.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Have none any more.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say what each kind of answer of NAME costs, or show it. What is left out stays, and is 0 at first."""
    handle = open_house(workspace)[name]
    given: dict[str, Any] = {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "currency": currency}
    told = {key: value for key, value in given.items() if value is not None}
    if clear:
        handle.set_costs(None)
    elif told:
        handle.set_costs(replace(handle.costs or Costs(fp=0.0, fn=0.0), **told))
    if as_json:
        print_json(handle.costs)
    elif handle.costs is None:
        print(f"{name} has no costs. Set them with: pilothouse costs {name} --fp 1 --fn 5 --currency EUR")
    else:
        _print_costs(name, handle.costs)


def _print_costs(name: str, kept: Costs) -> None:
    print_table(
        f"{name}: what one answer costs, in {kept.currency}",
        ("", "flagged", "let pass"),
        [("comes true", kept.tp, kept.fn), ("does not", kept.fp, kept.tn)],
    )


def lending(
    name: str,
    window: WindowOption = "26w",
    bands: Annotated[str, typer.Option("--bands", help="How many, or where they end: 10, or 0.1,0.3,0.5.")] = "10",
    every: Annotated[str, typer.Option("--every", help="Step of a vintage's age: 1d, 1w, 4w.")] = "1w",
    ages: Annotated[int, typer.Option("--ages", help="Steps of age; 0 leaves the vintages out.")] = 12,
    exact: ExactOption = False,
    version: VersionOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Score bands of NAME with lift and gains, and vintages: the share of each month's rows that came true, by age."""
    handle = open_house(workspace)[name]
    found = handle.lending(window, bands=_bands(bands), every=every, ages=ages, exact=exact, version=version)
    if as_json:
        print_json(found)
        return
    told = score_bands(found)
    print(told.answer or told.empty)
    print_table(
        f"{name}: {found.labelled:,} labelled rows, {span_text(found.window)}",
        ("from", "to", "rows", "came true", "rate", "low", "high", "lift", "found so far"),
        [
            (b.low, b.high, b.rows, b.positives, b.rate.value, b.rate.low, b.rate.high, b.lift, b.gain)
            for b in reversed(found.bands)
        ],
    )
    zone = handle.house.settings.zone
    if found.vintages:
        print_table(
            f"vintages: share that came true, by age in steps of {every}",
            ("month", "rows", *(str(n) for n in range(1, ages + 1))),
            [
                (f"{v.window.start.astimezone(zone):%Y-%m}", v.rows, *map(formats.share, v.shares))
                for v in found.vintages
            ],
        )


def _bands(text: str) -> int | list[float]:
    try:
        return int(text) if text.isdigit() else [float(edge) for edge in text.split(",")]
    except ValueError:
        raise BadData(f"--bands {text[:40]} is neither a number of bands nor scores such as 0.1,0.3,0.5.") from None


def metric(
    name: str,
    act: Annotated[Literal["list", "add", "drop"], typer.Argument(help="list, add or drop.")] = "list",
    called: Annotated[str | None, typer.Argument(help="What the metric is called, as profit.")] = None,
    entry: Annotated[str | None, typer.Argument(help="module:object of the function.")] = None,
    unit: Annotated[str, typer.Option("--unit", help="What it is counted in.")] = "",
    better: Annotated[str, typer.Option("--better", help="higher or lower.")] = "higher",
    code: CodeOption = None,
    trust_code: TrustCodeOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Metrics of NAME that are the team's own: a function of the labelled rows, `module:object`."""
    handle = open_house(workspace)[name]
    if act == "add":
        if not called or not entry:
            raise BadData(f"Name it and its function: pilothouse metric {name} add profit mymetrics:profit")
        trusted = own_of(code, trust_code, None, None).trust
        handle.add_metric(called, entry, unit=unit, better=better, code=code, trust=trusted)
    elif act == "drop":
        handle.drop_metric(called or "")
    if as_json:
        print_json({"model": name, "own_metrics": handle.own_metrics})
        return
    _print_own(name, handle.own_metrics)


def _print_own(name: str, own: tuple[OwnMetric, ...]) -> None:
    print_table(
        f"{name}: own metrics",
        ("metric", "function", "unit", "better", "code"),
        [(m.name, m.entry, m.unit, m.better, m.code_sha256 and m.code_sha256[:12]) for m in own],
    )
