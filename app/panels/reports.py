"""Evidently's report: its verdicts beside ours, and the frame it is shown in."""

from __future__ import annotations

import html

from pilothouse.app import formats, markup
from pilothouse.ops.reports.report import EvidentlyReport, Verdict

# The report is made from logged values, so a category could carry a script. Inside a frame without `allow-same-origin`
# it reaches neither this page nor the network.
_ALLOWED = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
_POLICY = f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">'


def sandboxed(report: str) -> str:
    """A page whose only content is `report`, in a frame of an origin of its own without a network."""
    inner = html.escape(_POLICY + report, quote=True)
    frame = f'<iframe sandbox="allow-scripts" title="Evidently report" srcdoc="{inner}"></iframe>'
    style = "<style>html,body{margin:0;height:100%}iframe{border:0;width:100%;height:100%;background:#fff}</style>"
    return f"<!doctype html><html><head>{style}</head><body>{frame}</body></html>"


def verdicts(report: EvidentlyReport) -> markup.Html:
    """Feature by feature: our state and Evidently's, and why they part where they do."""
    parted = sum(bool(v.why) for v in report.features)
    sample = f"{formats.count(report.sampled_rows)} of {formats.count(report.rows)} rows"
    if report.sampled_rows < report.rows:
        sample += ", chosen at random with a fixed seed"
    failed = f"{len(report.failed)} of its {len(report.tests)} tests failed." if report.tests else ""
    words = f"{', '.join(report.presets).capitalize()}. Made in {report.seconds:.0f} s over {sample}. {failed}"
    if not report.features:
        return markup.tag("p", words, kind="ph-sentence")
    words += f" The two part on {parted} of {len(report.features)} features."
    head = ("Feature", "Ours", "PSI", "Evidently", "Its method", "Value", "Threshold", "Why they part")
    table = markup.table(head, [_row(v) for v in report.features], right=(2, 5, 6))
    return markup.join([markup.tag("p", words, kind="ph-sentence"), table])


def _row(v: Verdict) -> list[object]:
    name = markup.tag("span", v.feature, kind="ph-name")
    why = markup.tag("span", v.why, kind="ph-quiet")
    figures = [formats.number(v.value), formats.number(v.threshold, 2)]
    return [name, markup.chip(v.ours), formats.number(v.psi, 2), v.evidently, v.method, *figures, why]
