"""One prediction explained: found in the log by its id or business key, or given as a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from pilothouse.data.errors import BadData, CannotExplain, NoChampion, UnknownPrediction
from pilothouse.data.history.results import Metric
from pilothouse.data.limits import Limit
from pilothouse.data.log.entries import KeyPart
from pilothouse.data.log.filters import parse_filter
from pilothouse.data.log.schema import CLASS_SCORES
from pilothouse.data.measures.explanation import (
    By,
    Explanation,
    FeatureLine,
    Place,
    Said,
    Standing,
    contributions,
    hide_lines,
    place_of,
)
from pilothouse.data.measures.shapley import Shares
from pilothouse.data.policies import ALTERED, UNSHOWN
from pilothouse.data.signature import Signature, Task, Value
from pilothouse.data.windows import Window
from pilothouse.ops.governance.columns import allow_unmasking
from pilothouse.ops.measuring.by_shap import Scale, ShapExplainer, check_installed, scale_words
from pilothouse.ops.measuring.explainer import (
    Explainer,
    background_of,
    check_unaltered,
    class_of,
    class_places,
    level,
    outcome_words,
    reference_features,
    row_frame,
)

if TYPE_CHECKING:
    from pilothouse.data.state.catalog import VersionRow
    from pilothouse.ops.model import ModelHandle
    from pilothouse.ops.scoring import Scored, Scorer

_EVER = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_SAME = 1e-5
"""By how much a score may differ from the one that was logged: the forms of a version do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The row that is asked about. logged : the log's columns of it, empty for a row that was given. of_class : the class
    whose chance is explained, where a person has chosen one."""

    version: VersionRow
    row: pl.DataFrame
    logged: Mapping[str, Any]
    of_class: Value = None


def explain(
    handle: ModelHandle,
    *,
    id: str | None = None,
    key: Mapping[str, KeyPart] | None = None,
    row: Mapping[str, Value] | None = None,
    of_class: Value = None,
    by: str = By.OURS,
    unmask: bool = False,
    reason: str = "",
) -> Explanation:
    """Why a version said what it said to one row: of the prediction `id`, of the newest with business key `key`, or to
    the features `row`, which the champion is asked about and which is not logged.

    of_class : of several classes the one whose chance is explained; None for the one that was answered. by : "ours" or
    "shap". unmask : show sensitive and masked columns one by one too, for a `reason`, which is audited.
    Raises UnknownPrediction, BadData unless exactly one of the three is given, NoChampion, NotAllowed, Unavailable where
    shap is not installed.
    """
    told_by = by_of(by)
    if sum(each is not None for each in (id, key, row)) != 1:
        raise BadData("Ask about one prediction: by its id, by its business key, or by a row of features.")
    if unmask:
        house = handle.house
        allow_unmasking(house.state, house.actor, handle.name, handle.row.classes, reason, house.clock)
    asked = _given(handle, row) if row is not None else _found(handle, id, key)
    told = _told(handle, _choosing(handle, asked, of_class), told_by)
    hidden = frozenset() if unmask else frozenset(n for n, c in handle.row.classes.items() if c in UNSHOWN)
    lines = sorted(hide_lines(list(told.features), hidden), key=_size, reverse=True)
    return replace(told, features=tuple(lines))


def by_of(text: str) -> By:
    """Who finds contributions. Raises BadData, Unavailable where shap is wanted and not installed."""
    if text not in (*By,):
        raise BadData(f"Contributions by {text!r} are not known. Known are: {', '.join(By)}.")
    if text == By.SHAP:
        check_installed()
    return By(text)


def _size(line: FeatureLine) -> float:
    return abs(line.contribution.value or 0.0)


def _given(handle: ModelHandle, row: Mapping[str, Value]) -> _Asked:
    champion = handle.champion
    if champion is None:
        raise NoChampion(handle.name)
    return _Asked(version=champion, row=row_frame(handle.name, champion.signature, row), logged={})


def _found(handle: ModelHandle, id: str | None, key: Mapping[str, KeyPart] | None) -> _Asked:
    answered = parse_filter("status=ok", handle.signature)
    with Limit(handle.house.settings.query_limit_s):
        rows = handle.prediction_log.find(_EVER, limit=1, filters=[answered], id=id, key=key)
    if rows.is_empty():
        told = f"the id {id!r}" if id is not None else "this business key"
        raise UnknownPrediction(handle.name, told)
    logged = rows.row(0, named=True)
    version = handle.version(logged["version"])
    features = {f.column: f.name for f in handle.signature.of_version(version.version).features}
    return _Asked(version=version, row=rows.select(*features).rename(features), logged=logged)


def _choosing(handle: ModelHandle, asked: _Asked, chosen: Value) -> _Asked:
    """`asked` with the class that is explained: the chosen one, else the one that was logged. Raises BadData."""
    signature = handle.signature.of_version(asked.version.version)
    if chosen is None and signature.task is Task.MULTICLASS:
        chosen = asked.logged.get("prediction")
    return replace(asked, of_class=class_of(signature, chosen))


def _told(handle: ModelHandle, asked: _Asked, by: By) -> Explanation:
    signature, logged = handle.signature.of_version(asked.version.version), asked.logged
    reference = reference_features(handle.house.workspace.reference(handle.name, handle.row.profile_id), signature)
    found, why = _explained(handle, asked, signature, reference, by)
    said = found.today if found is not None and not logged else _as_logged(asked, signature)
    of_class = said.prediction if asked.of_class is None else asked.of_class
    outcome = outcome_words(signature, of_class)
    at = logged.get("at")
    live = handle.at(at) if at is not None else None
    plain = [_line(name, asked.row, reference, None) for name in signature.names]
    whole = Explanation(
        model=handle.name, id=logged.get("prediction_id"), at=at, logged_at=logged.get("logged_at"),
        role=logged.get("role"), label=logged.get("label"), observed_at=logged.get("observed_at"), said=said,
        today=None, live=live.version if live else None, champion=_champion(handle, asked),
        outcome=outcome, explained=outcome, features=tuple(plain), reference_rows=reference.height, by=by,
        of_class=asked.of_class, reason=why,
    )  # fmt: skip
    return whole if found is None else replace(
        whole, today=found.today, features=found.features, base=found.parts.base, total=found.parts.total,
        background=found.parts.background, gap=found.parts.gap, method=found.method, note=_changed(said, found.today),
        explained=scale_words(found.scale, signature, of_class),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    today: Said
    features: tuple[FeatureLine, ...]
    parts: Shares
    scale: Scale
    method: str


def _explained(
    handle: ModelHandle, asked: _Asked, signature: Signature, reference: pl.DataFrame, by: By
) -> tuple[_Explained | None, str]:
    """What each feature contributed; or nothing, and why."""
    try:
        explainer = replace(explainer_of(handle, asked.version, signature, reference), of_class=asked.of_class)
        shares, scale, method = _shares(handle, asked, explainer, by)
    except CannotExplain as error:
        return None, error.reason
    parts = zip(signature.names, contributions(shares), strict=True)
    return _Explained(
        today=_said(asked, asked.version, explainer.scorer.score(asked.row)),
        features=tuple(_line(name, asked.row, reference, part) for name, part in parts),
        parts=shares, scale=scale, method=method,
    ), ""  # fmt: skip


def _shares(handle: ModelHandle, asked: _Asked, explainer: Explainer, by: By) -> tuple[Shares, Scale, str]:
    """Contributions, the scale that they are on, and how they were found. Raises CannotExplain."""
    if by is By.OURS:
        return explainer.shares(asked.row), Scale.ANSWER, explainer.method()
    found = by_shap(handle, asked.version, explainer).attribute(asked.row)
    return found.shares(explainer.background.height), found.scale, found.method


def by_shap(handle: ModelHandle, version: VersionRow, explainer: Explainer) -> ShapExplainer:
    """What explains by shap: it looks into the artifact itself, whatever form answers requests."""
    from pilothouse.ops.scoring import load_original

    return ShapExplainer(explainer=explainer, original=load_original(handle.house.store, version))


def explainer_of(handle: ModelHandle, version: VersionRow, signature: Signature, reference: pl.DataFrame) -> Explainer:
    """What explains answers of `version`. Raises CannotExplain."""
    check_unaltered(signature, handle.row.classes)
    return Explainer(
        scorer=_scorer(handle, version), signature=signature, background=background_of(reference, signature)
    )  # fmt: skip


def _scorer(handle: ModelHandle, version: VersionRow) -> Scorer:
    from pilothouse.ops.scoring import load_scorer

    if version.artifact_sha256 is None:
        raise CannotExplain(f"version {version.version} is served elsewhere and only watched here")
    return load_scorer(handle.house.store, version)


def _line(name: str, row: pl.DataFrame, reference: pl.DataFrame, part: Metric | None) -> FeatureLine:
    value: Value = row[name].item()
    place = place_of(value, reference[name]) if name in reference.columns else Place(standing=Standing.NO_REFERENCE)
    return FeatureLine(name=name, value=value, place=place, contribution=part or Metric(value=None))


def _said(asked: _Asked, version: VersionRow, scored: Scored) -> Said:
    score = level(scored, class_places(scored, version.signature, asked.of_class))[0]
    return Said(version=version.version, prediction=scored.prediction[0], score=float(score))


def _as_logged(asked: _Asked, signature: Signature) -> Said:
    logged = asked.logged
    score = logged.get("prediction") if signature.task is Task.REGRESSION else logged.get("score")
    if asked.of_class is not None and logged.get(CLASS_SCORES) is not None:
        score = logged[CLASS_SCORES][signature.target.classes.index(asked.of_class)]
    return Said(version=asked.version.version, prediction=logged.get("prediction"), score=score)


def _champion(handle: ModelHandle, asked: _Asked) -> Said | None:
    """What today's champion says to the same row; None where it cannot be asked."""
    champion = handle.champion
    if champion is None or champion.artifact_sha256 is None:
        return None
    signature = handle.signature.of_version(champion.version)
    if signature.features != handle.signature.of_version(asked.version.version).features:
        return None
    if any(handle.row.classes.get(name) in ALTERED for name in signature.names) and asked.logged:
        return None
    return _said(asked, champion, _scorer(handle, champion).score(asked.row))


def _changed(said: Said, today: Said) -> str:
    """What must be known where the version says otherwise now than what is logged; empty where it does not."""
    if said.score is None or today.score is None or abs(said.score - today.score) <= _SAME * max(1.0, abs(said.score)):
        return ""
    return (
        f"The log has {said.score:.6g} for this row, and the same version says {today.score:.6g} to the row as it is kept: "
        "parts of the row may have been emptied or changed since. The contributions are of the second."
    )
