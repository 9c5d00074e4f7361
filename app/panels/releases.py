"""Champion against challenger: the scorecard the gate read, its verdict in words, and the proof of a switch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from typing import Any

from pilothouse.app import formats, forms, markup, metric_words
from pilothouse.app.faces import Scorecard
from pilothouse.app.panel import Panel, Table
from pilothouse.data.history.results import Performance
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.state.audit import AuditRow
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.windows import Window
from pilothouse.ops.governance.erasure import erased_rows

# How a metric is read: its name, and whether more of it is better.
_METRICS = (("roc_auc", "ROC AUC", True), ("log_loss", "log-loss", False), ("brier", "Brier score", False))
_DIGEST = re.compile(r"[0-9a-f]{40,}")
_DIGITS = 12
"""How much of a digest is shown: enough to find it by; the whole stands in the tooltip."""
_VERDICT = {
    "promote": ("healthy", "Gate: promote", "✓"),
    "keep": ("critical", "Gate: keep the champion", "●"),
    "wait": ("watch", "Gate: wait", "▲"),
}


def verdict(card: Scorecard | None) -> str:
    """`promote`, `keep`, `wait`, or an empty text where no gate has spoken."""
    return str((card or {}).get("decision", {}).get("verdict", ""))


def verdict_chip(card: Scorecard | None) -> markup.Html:
    tone, words, shape = _VERDICT.get(verdict(card), ("plain", "Not judged", "○"))
    return markup.badge(f"{shape} {words}", tone)


def verdict_words(card: Scorecard | None) -> str:
    """The gate's verdict, to stand in a sentence."""
    said = {"promote": "the gate says promote", "keep": "the gate keeps the champion", "wait": "the gate asks to wait"}
    return said.get(verdict(card), "no gate has judged it")


def verdict_reason(card: Scorecard | None) -> str:
    if card is None:
        return "This version was registered by hand: no gate has compared it with a champion."
    return str(card.get("decision", {}).get("reason", ""))


def same_rows(card: Scorecard, zone: tzinfo) -> str:
    """On which rows both were judged."""
    window = card.get("window") or {}
    if not window.get("start") or not window.get("end"):
        return f"{formats.count(card.get('rows'))} labelled rows that neither had seen"
    span = formats.span(Window(_time(window["start"]), _time(window["end"])), zone)
    return f"{formats.count(card.get('rows'))} labelled rows of {span}, held out from training"


def _time(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _estimate(side: Mapping[str, Any], name: str) -> Mapping[str, float | None]:
    found = side.get(name)
    return found if isinstance(found, Mapping) else {"value": found}


def scorecard(card: Scorecard, *, model: str, challenger: int, zone: tzinfo) -> Panel:
    """Both versions on the same untouched rows: rows only; `scorecard_table` draws them."""
    rows = []
    for key, name, _ in _METRICS:
        old, new = (_estimate(card.get(side, {}), key) for side in ("champion", "challenger"))
        rows.append(
            (name, old.get("value"), old.get("low"), old.get("high"), new.get("value"), new.get("low"), new.get("high"))
        )
    columns = ("metric", "champion", "champion_low", "champion_high", "challenger", "challenger_low", "challenger_high")
    return Panel(
        name=f"{model}-scorecard-v{challenger}",
        title="Against the champion, on the same rows",
        answer=verdict_reason(card),
        rows=Table(columns=columns, rows=tuple(rows)),
        note=f"Judged on {same_rows(card, zone)}.",
        code=f'next(v.scorecard for v in house["{model}"].versions if v.version == {challenger})',
    )


def scorecard_table(card: Scorecard, *, challenger: int) -> markup.Html:
    """Metric by metric: champion, challenger, and the difference. Bands of 95 % stand below each figure."""
    champion = card.get("champion", {}).get("version")
    head = ("Metric", f"Champion v{champion}" if champion else "Champion", f"Challenger v{challenger}", "Difference")
    return markup.table(head, [_metric_row(card, *metric) for metric in _METRICS], right=(1, 2, 3))


def _metric_row(card: Scorecard, key: str, name: str, more_is_better: bool) -> list[object]:
    old, new = (_estimate(card.get(side, {}), key) for side in ("champion", "challenger"))
    before, after = old.get("value"), new.get("value")
    change = None if before is None or after is None else after - before
    direction = "higher is better" if more_is_better else "lower is better"
    named = markup.join([markup.tag("div", name, kind="ph-name"), markup.tag("div", direction, kind="ph-quiet")])
    return [named, _figure(old), _figure(new), _difference(card, key, change, more_is_better)]


def _figure(found: Mapping[str, float | None]) -> markup.Html:
    value = markup.tag("div", formats.number(found.get("value")))
    return markup.join([value, markup.tag("div", formats.band(found.get("low"), found.get("high")), kind="ph-quiet")])


def _difference(card: Scorecard, key: str, change: float | None, more_is_better: bool) -> markup.Html:
    gain = _estimate(card, "gain") if key == "roc_auc" else {}
    tone = "plain" if not change else "healthy" if (change > 0) == more_is_better else "watch"
    shown = markup.badge(formats.signed(change), tone)
    if gain.get("low") is None:
        return shown
    band = f"{formats.signed(gain.get('low'))} to {formats.signed(gain.get('high'))}"
    return markup.join([markup.tag("div", shown), markup.tag("div", band, kind="ph-quiet")])


def predicted_outcome(card: Scorecard | None, model: str, version: int) -> str:
    """What promoting is expected to do, in one sentence, or that nobody knows."""
    if card is None:
        return f"Nobody has compared version {version} with the champion: what this does to {model} is not known."
    gain = _estimate(card, "gain")
    return (
        f"On {formats.count(card.get('rows'))} untouched rows its ROC AUC was {formats.signed(gain.get('value'))} "
        f"against the champion's (95 % band {formats.signed(gain.get('low'))} to {formats.signed(gain.get('high'))})."
    )


def challengers(versions: Sequence[VersionRow], champion: VersionRow | None) -> list[VersionRow]:
    """Versions made after the champion, newest first; all of them while there is no champion."""
    return [v for v in versions if champion is None or v.version > champion.version]


def rolled_back(deployments: Sequence[Deployment], version: int) -> Deployment | None:
    """The roll back that took `version` out of service, if that is the last that happened to it.

    deployments : newest first.
    """
    for deployment in deployments:
        if deployment.version == version:
            return None
        if deployment.previous == version:
            return deployment if deployment.act == "rollback" else None
    return None


def rollback_sentence(deployment: Deployment, zone: tzinfo) -> str:
    """Who took a version back, when and why."""
    when = formats.moment(deployment.at, zone)
    return f"It was champion until {deployment.actor} rolled it back on {when}: {deployment.reason.rstrip('.')}."


def is_recommended(version: VersionRow, deployments: Sequence[Deployment]) -> bool:
    """Whether a verdict supports promoting it: the gate says so, and no person has taken it back since."""
    return verdict(version.scorecard) == "promote" and rolled_back(deployments, version.version) is None


def standing(version: VersionRow, deployments: Sequence[Deployment]) -> str:
    """How a challenger stands, to end a sentence that begins with its name."""
    if rolled_back(deployments, version.version):
        return "was rolled back"
    return f"is the challenger: {verdict_words(version.scorecard)}"


def card_head(version: VersionRow, *chips: markup.Html) -> markup.Html:
    title = markup.tag("h2", f"Version {version.version}", kind="ph-heading")
    return markup.tag("div", markup.join([title, *chips]), kind="ph-row")


def version_facts(
    version: VersionRow, zone: tzinfo, measured: Performance | None = None, range_name: str = ""
) -> markup.Html:
    """What a version is; with `measured`, also how it does over the chosen range."""
    found: list[tuple[str, object]] = []
    if measured is not None:
        found.append(
            (f"{metric_words.title(metric_words.main_of(measured.metrics))}, {range_name}", _measured(measured))
        )
    sha256 = version.artifact_sha256 or ""
    digest = markup.tag("span", sha256[:12] or "served elsewhere", kind="ph-mono", title=sha256)
    found += [
        ("Trained on", trained_on(version, zone)),
        ("Registered", f"{formats.moment(version.created_at, zone)} by {version.created_by}"),
        ("Artifact", markup.join([version.runtime, " ", digest])),
    ]
    if version.code is not None:
        digest = markup.tag("span", version.code.sha256[:_DIGITS], kind="ph-mono", title=version.code.sha256)
        found.append(("Own code", markup.join([version.code.name, " ", digest])))
    if version.conversion is not None:
        answers = markup.tag("span", forms.answering(version), title=version.onnx_sha256 or "")
        found.append(("Answers with", markup.join([answers])))
    if gone := erased_rows(version):
        words = f"{formats.count(gone)} rows of its training snapshot, after it was judged on them"
        found.append(("Erased since", words))
    if version.note and version.scorecard is None:
        # The note of a version that was retrained is the gate's reason, and that stands above it already.
        found.append(("Note", version.note))
    return markup.facts(found)


def _measured(measured: Performance) -> str:
    name, rows = metric_words.main_of(measured.metrics), formats.count(measured.labelled)
    main = measured.metrics.get(name)
    if main is None or main.value is None:
        return main.reason if main is not None and main.reason else "not known yet"
    return f"{metric_words.value(name, main.value)} ({metric_words.band(name, main)}) on {rows} rows of its own"


def live_comparison(compared: Comparison | None, deployment: Deployment) -> markup.Html:
    """Both versions on the labelled rows since the switch, once there are any."""
    if compared is None or not compared.rows:
        words = "No labelled rows since the switch yet. The comparison stands here as soon as their labels arrive."
        return markup.tag("p", words, kind="ph-empty")
    head = ("Metric", f"Before v{deployment.previous}", f"Now v{deployment.version}", "Difference")
    rows = [_live_row(compared, *metric) for metric in _METRICS]
    words = f"Both versions on the same {formats.count(compared.rows)} labelled rows since the switch."
    return markup.join([markup.tag("p", words, kind="ph-sentence"), markup.table(head, rows, right=(1, 2, 3))])


def _live_row(compared: Comparison, key: str, name: str, more_is_better: bool) -> list[object]:
    before, after = asdict(compared.champion)[key], asdict(compared.challenger)[key]
    change = after["value"] - before["value"]
    card = {"gain": asdict(compared.gain)} if key == "roc_auc" else {}
    named = markup.tag("span", name, kind="ph-name")
    return [named, _figure(before), _figure(after), _difference(card, key, change, more_is_better)]


def trained_on(version: VersionRow, zone: tzinfo) -> str:
    if version.trained is None:
        return "not recorded"
    return f"{formats.span(version.trained, zone)} {version.trained.end.astimezone(zone):%Y}"


def history_table(deployments: Sequence[Deployment], zone: tzinfo) -> markup.Html:
    """Every change of champion, newest first."""
    head = ("When", "Act", "Champion", "Before", "By", "Reason", "Audit row")
    return markup.table(head, [_deployment_row(d, zone) for d in deployments])


def _deployment_row(d: Deployment, zone: tzinfo) -> list[object]:
    before = f"v{d.previous}" if d.previous is not None else formats.NOTHING
    name = markup.tag("span", f"v{d.version}", kind="ph-name")
    return [
        formats.second(d.at, zone),
        d.act,
        name,
        before,
        d.actor,
        markup.tag("span", d.reason or formats.NOTHING, kind="ph-wrap"),
        f"#{d.audit_seq}",
    ]


def audit_table(rows: Sequence[AuditRow], zone: tzinfo) -> markup.Html:
    """Who did what, newest first; each row is sealed to the one before it by its hash."""
    head = ("#", "When", "Who", "Act", "Facts", "Seal")
    return markup.table(head, [_audit_row(row, zone) for row in rows], right=(0,))


def _audit_row(row: AuditRow, zone: tzinfo) -> list[object]:
    facts = _facts(row.details)
    shown = markup.tag("span", facts if len(facts) < 160 else f"{facts[:159]}…", title=str(row.details), kind="ph-wrap")
    seal = markup.tag("span", row.hash[:_DIGITS], kind="ph-mono ph-quiet", title=row.hash)
    return [row.seq, formats.second(row.at, zone), row.actor, row.act, shown, seal]


def _facts(details: Mapping[str, Any]) -> str:
    """An act's facts in a line: names in words, digests cut, what was left empty left out."""
    return " · ".join(
        _facts(value) if isinstance(value, Mapping) else f"{key.replace('_', ' ')}: {_shortened(value)}"
        for key, value in details.items()
        if value not in (None, "")
    )


def _shortened(value: object) -> str:
    text = str(value)
    return text[:_DIGITS] if _DIGEST.fullmatch(text) else text
