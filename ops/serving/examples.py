"""The row that a version is warmed up with, and that clients are shown: one that it has seen the like of."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pilothouse.data.rollups.profile import profile_before
from pilothouse.data.signature import Feature, Kind, Signature, Value

_log = logging.getLogger("pilothouse.service")


def reference_example(folder: Path, signature: Signature) -> dict[str, Value]:
    """A row that the model has seen the like of: the reference's own example, else one made from the signature.

    Versions that take their features otherwise have theirs in the folders of the profiles before.
    """
    file, before = folder / "example.json", profile_before(folder)
    if file.is_file():
        kept = json.loads(file.read_text())
        if all(f.name in kept and _is_like(kept[f.name], f) for f in signature.features):
            return {name: kept[name] for name in signature.names}
    if before is not None:
        return reference_example(folder.parent / before, signature)
    if file.is_file():
        _log.warning("%s lacks features; an example was made from the signature", file.name)
    return {f.name: _made_up(f) for f in signature.features}


def _is_like(value: object, feature: Feature) -> bool:
    """Whether a value of the example is of the feature's kind, or missing."""
    if feature.numeric:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    return value is None or isinstance(value, bool if feature.kind is Kind.BOOLEAN else str)


def _made_up(feature: Feature) -> Value:
    values: dict[Kind, Value] = {Kind.NUMBER: 0.0, Kind.INTEGER: 0, Kind.BOOLEAN: False, Kind.CATEGORY: "a"}
    return values[feature.kind]
