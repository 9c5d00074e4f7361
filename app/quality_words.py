"""What the quality of data comes to in sentences: the same on the page, at the command line and in a notebook."""

from __future__ import annotations

from datetime import timedelta, tzinfo

from pilothouse.app import formats
from pilothouse.data.history.results import State
from pilothouse.data.measures.quality import Quality, RuleLine, Volume
from pilothouse.ops.measuring.schemas import INFERRED


def answer(found: Quality, zone: tzinfo) -> str:
    """What is broken and since when, the graver first; or that nothing is."""
    said = [rules_sentence(found, zone), volume_sentence(found.volume, zone)]
    worst = next((line.state for line in found.rules if line.state is not State.HEALTHY), State.HEALTHY)
    return " ".join(said[::-1] if _graver(found.volume.state, worst) else said)


def _graver(volume: State, rules: State) -> bool:
    order = [State.CRITICAL, State.WATCH]
    return volume in order and (rules not in order or order.index(volume) < order.index(rules))


def rules_sentence(found: Quality, zone: tzinfo) -> str:
    if not found.rows:
        return "No rows in this range, so no rule can be checked."
    now = [line for line in found.rules if line.state is State.CRITICAL]
    over = [line for line in found.rules if line.state is State.WATCH]
    if now:
        worst = max(now, key=lambda line: line.violations)
        more = f", and {len(now) - 1} more {_rules(len(now) - 1)} broken" if len(now) > 1 else ""
        return f"{_broken(worst, zone)}{more}."
    if over:
        verb = "rule was" if len(over) == 1 else "rules were"
        return f"No rule has been broken for a day; {len(over)} {verb} broken earlier."
    return f"All {len(found.rules)} rules hold, each for at least {formats.share(1 - found.tolerated)} of the rows."


def _broken(line: RuleLine, zone: tzinfo) -> str:
    since = f", since {formats.day_of(line.since, zone)}" if line.since else ""
    return f"The rule “{line.rule.words}” is broken by {formats.share(line.share)} of the rows{since}"


def _rules(n: int) -> str:
    return "rule is" if n == 1 else "rules are"


def volume_sentence(found: Volume, zone: tzinfo) -> str:
    """Whether as much comes as usual."""
    if found.late:
        return f"The newest row is {_ago(found.age)} old; about {formats.count(found.missed)} rows usually come in that time."
    if found.reason:
        return f"Whether as many rows come as usual cannot be said: {found.reason}."
    few = [hour for hour in found.odd_hours if hour.odd == "too few"]
    many = len(found.odd_hours) - len(few)
    if few:
        first = formats.moment(few[0].window.start, zone)
        more = f", and {many} had far more" if many else ""
        return f"{len(few)} of {len(found.hours)} hours had far fewer rows than usual, the first at {first}{more}."
    return f"{many} hours had far more rows than usual." if many else "As many rows come as usual."


def _ago(age: timedelta | None) -> str:
    return formats.duration(age)


def basis(found: Quality) -> str:
    """Where the rules come from, and what counts."""
    source = (
        "inferred from the reference; nobody has agreed on them yet"
        if found.schema_version == INFERRED
        else (f"version {found.schema_version} of the schema")
    )
    unshown = "" if not found.unshown else f" {found.unshown} sensitive columns are not shown."
    return (
        f"{formats.count(found.rows)} rows against {len(found.rules)} rules ({source}). A rule counts as broken where more "
        f"than {formats.share(found.tolerated)} of the rows break it, beyond chance.{unshown}"
    )


def freshness(found: Volume) -> list[tuple[str, str, str]]:
    """Tiles: the age of the newest row, rows, odd hours, errors."""
    gap = f"usual longest gap {_ago(found.usual_gap)}" if found.usual_gap else "usual gap not known yet"
    odd = found.odd_hours
    judged = sum(hour.expected is not None for hour in found.hours)
    few = sum(hour.odd == "too few" for hour in odd)
    return [
        ("Newest row", "none" if found.age is None else f"{_ago(found.age)} ago", gap),
        ("Rows", formats.compact(found.rows), f"in {len(found.hours)} hours"),
        (
            "Odd hours",
            formats.count(len(odd)) if judged else formats.NOTHING,
            f"{few} too few" if judged else found.reason,
        ),
        ("Error share", formats.share(found.error_share, 2), f"{formats.count(found.errors)} rows"),
    ]
