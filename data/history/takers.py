"""Features that not all versions take in the same way: each of them apart, under a name that says which it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import polars as pl

from pilothouse.data.history.results import FeatureDrift
from pilothouse.data.rollups.profile import STORED, FeatureProfile, Profile
from pilothouse.data.signature import Signature


def shown_features(profile: Profile, signature: Signature) -> dict[str, FeatureProfile]:
    """The features of `profile` by the names that people see."""
    names = signature.shown()
    return {names.get(f"{STORED}{name}", name): feature for name, feature in profile.features.items()}


def under_shown_names(features: Iterable[FeatureDrift], signature: Signature) -> Iterator[FeatureDrift]:
    """The drift of features as roll-ups call them, under the names that people know."""
    shown = signature.shown()
    own = {column.column: column.name for column in signature.logged}
    for drift in features:
        column = f"{STORED}{drift.name}"
        yield replace(drift, name=shown.get(column, drift.name), feature=own.get(column, drift.name))


def of_takers(counts: pl.DataFrame, feature: FeatureProfile, signature: Signature) -> pl.DataFrame:
    """`counts` of the versions that take `feature` in this way: in rows of the others it is not missing."""
    if not signature.variants:
        return counts
    takers = takers_of(f"{STORED}{feature.name}", counts["version"].unique().to_list(), signature)
    return counts.filter(pl.col("version").is_in(takers))


def takers_of(column: str, versions: list[int], signature: Signature) -> list[int]:
    """Those of `versions` whose rows have values of their own in the log's `column` of a feature."""
    return [version for version in versions if signature.of_version(version).holds(column)]
