"""The segments in which a model is weak, as a table and a sentence."""

from __future__ import annotations

from pilothouse.app import formats, markup, together_words
from pilothouse.app.panel import Panel, Table
from pilothouse.data.measures.weak_segments import Loss, WeakSegment, WeakSegments

LOSS_WORDS = {
    Loss.LOG_LOSS: "Log-loss",
    Loss.BRIER: "Brier score",
    Loss.SURPRISE: "Surprise",
    Loss.ERROR: "Share of errors",
    Loss.ABSOLUTE_ERROR: "Absolute error",
}
_HEAD = (
    "segment", "rows", "share", "labelled", "loss", "loss_low", "loss_high", "rest", "difference", "difference_low",
    "difference_high", "expected_difference", "q", "worse_in_parts", "of_parts", "new_since_deploy", "roc_auc",
    "roc_auc_rest",
)  # fmt: skip


def panel(found: WeakSegments) -> Panel:
    return Panel(
        name=f"{found.model}-weak-segments",
        title=f"Where the {LOSS_WORDS[found.loss].lower()} is high",
        answer=answer(found),
        rows=Table(columns=_HEAD, rows=tuple(map(_cells, found.found))),
        note=note(found),
        code=f'house["{found.model}"].weak_segments("{found.window}", "{found.loss}")',
    )


def _cells(s: WeakSegment) -> tuple[str | float | int | bool | None, ...]:
    auc = [s.metrics[name].value if name in s.metrics else None for name in ("roc_auc", "roc_auc_rest")]
    return (
        s.name, s.rows, s.share, s.labelled, s.loss.value, s.loss.low, s.loss.high, s.rest.value, s.difference.value,
        s.difference.low, s.difference.high, s.expected.value, s.q, s.worse_in, s.parts, s.new_since_deploy, *auc,
    )  # fmt: skip


def answer(found: WeakSegments) -> str:
    """How many there are, and the worst."""
    if found.reason:
        return f"Nothing can be said: {found.reason}."
    if not found.found:
        return f"No segment was found in which the model is worse than elsewhere, among {found.searched:,} looked at."
    worst, number = found.found[0], len(found.found)
    many = f"{number} weak segments. The worst is" if number > 1 else "One weak segment:"
    return (
        f"{many} {worst.name}, {formats.share(worst.share)} of the rows: {LOSS_WORDS[found.loss].lower()} "
        f"{formats.figure(worst.loss.value)} against {formats.figure(worst.rest.value)} elsewhere."
    )


def note(found: WeakSegments) -> str:
    """What was searched, and how to read it."""
    hidden = "" if not found.unshown else f" {found.unshown} hidden columns were left out."
    return (
        f"{found.searched:,} segments of {len(found.columns)} columns were looked at on one half of "
        f"{found.labelled:,} labelled rows; {found.tested:,} were measured on the other half, of which at most 5 % are "
        f"false finds.{hidden} A segment may hold rows of another.{_columns(found)} {bands_of(found)}".rstrip()
    )


def _columns(found: WeakSegments) -> str:
    """What the last columns of the table say; nothing where there is no table."""
    if not found.found:
        return ""
    expected = found.loss in (Loss.LOG_LOSS, Loss.BRIER)
    own = " Already expected: the part of the difference that the model's own scores foretell." if expected else ""
    return f"{own} Worse in: in how many parts of the range it was worse than the rest."


def bands_of(found: WeakSegments) -> str:
    """What the bands of the differences count as one draw."""
    return together_words.of_bands([s.difference.by for s in found.found if s.difference.low is not None])


def table(found: WeakSegments) -> markup.Html:
    """The weak segments, the worst first."""
    ranked = found.loss in (Loss.LOG_LOSS, Loss.BRIER, Loss.SURPRISE)
    expected = found.loss in (Loss.LOG_LOSS, Loss.BRIER)
    head = ["Segment", LOSS_WORDS[found.loss], "Against the rest", "95 % band"]
    head += [*(["Already expected"] if expected else []), *(["ROC AUC", "Elsewhere"] if ranked else [])]
    rows = [_row(s, expected=expected, ranked=ranked) for s in found.found]
    return markup.table([*head, "Share", "Worse in"], rows, right=range(1, len(head) + 2))


def _row(s: WeakSegment, *, expected: bool, ranked: bool) -> list[object]:
    fresh = [" ", markup.badge("new since the last deploy", "watch")] if s.new_since_deploy else []
    cells: list[object] = [
        markup.join([markup.name(s.name), *fresh]), formats.figure(s.loss.value),
        formats.change(s.difference.value, s.loss.value),
        markup.tag("span", formats.edges(s.difference.low, s.difference.high, s.loss.value),
                                                       title=together_words.of_metric(s.difference)),
    ]  # fmt: skip
    if expected:
        cells.append(formats.signed(s.expected.value))
    if ranked:
        cells += [formats.number(s.metrics[name].value) for name in ("roc_auc", "roc_auc_rest")]
    return [*cells, formats.share(s.share), f"{s.worse_in} of {s.parts}" if s.parts else formats.NOTHING]
