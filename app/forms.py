"""Which form of a version answers, in words: its ONNX form or the original, and how far the one is from the other."""

from __future__ import annotations

from pilothouse.app import formats
from pilothouse.data.state.catalog import Conversion, VersionRow
from pilothouse.data.state.checks import LiveCheck
from pilothouse.ops.preflight import Preflight

_LIBRARIES = {
    "sklearn": "scikit-learn", "lightgbm": "LightGBM", "xgboost": "XGBoost", "catboost": "CatBoost",
    "onnx": "the ONNX file", "object": "its own code",
}  # fmt: skip


def answering(version: VersionRow) -> str:
    """What answers for `version`, and why it is that.

    `ONNX, at most 2.6e-07 from scikit-learn on 12,649 rows`, or `scikit-learn (no ONNX: ...)`.
    """
    original = _LIBRARIES.get(version.runtime, version.runtime)
    told = version.conversion
    if told is None:
        return original
    if told.sha256 is None:
        return f"{original} (no ONNX: {told.reason})"
    return f"ONNX, at most {_distance(told)} from {original} on {formats.count(told.rows)} rows"


def checked_live(check: LiveCheck | None) -> str:
    """How many live rows the original has scored again, and how far apart both were."""
    if check is None or not check.rows:
        return formats.NOTHING
    beyond = f", {formats.count(check.beyond)} too far apart" if check.beyond else ""
    return f"{formats.count(check.rows)}, at most {check.largest:.1e} apart{beyond}"


def preflight_sentence(one: Preflight) -> str:
    """`flights version 2 (champion): same, 1,000 rows at most 3.1e-08 apart (scikit-learn 1.7.2 -> 1.8.0)`."""
    role = " (champion)" if one.champion else ""
    compared = ""
    if one.largest is not None:
        compared = f", {formats.count(one.rows)} rows at most {one.largest:.1e} apart"
    upgraded = ", ".join(f"{name} {then} -> {now}" for name, (then, now) in one.upgraded.items())
    why = f": {one.reason}" if one.reason else ""
    return (
        f"{one.model} version {one.version}{role}: {one.verdict}{compared}{f' ({upgraded})' if upgraded else ''}{why}"
    )


def _distance(told: Conversion) -> str:
    spread = " of the predictions' spread" if told.unit != 1.0 else ""
    return formats.NOTHING if told.largest is None else f"{told.largest:.1e}{spread}"
