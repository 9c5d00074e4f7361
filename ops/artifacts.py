"""Artifacts: a fitted scikit-learn model as skops bytes, and back. Types that skops does not know must be named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from typing import Any

from pilothouse.data.errors import BadArtifact, UnportableModel, UntrustedArtifact

REVIEWED = frozenset(
    {
        "catboost.core.CatBoostClassifier",
        "catboost.core.CatBoostRegressor",
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "pilothouse.ops.runtimes.native.LightGBMFile",
        "pilothouse.ops.runtimes.native.XGBoostFile",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Types of gradient boosting that skops asks about. They are rebuilt from numbers, or from what their own library reads
back, and name no code to be called."""


def dump(model: Any, trusted: Sequence[str] = (), own: Set[str] = frozenset()) -> bytes:
    """`model` as skops bytes that `load` accepts with the same `trusted` types. own : modules that come with the model.

    Raises UntrustedArtifact listing the types that are neither known to skops, nor REVIEWED, nor in `trusted` or `own`,
    and UnportableModel for a lambda or a class of the running script, which no other process could find.
    """
    from skops.io import dumps, get_untrusted_types

    try:
        content: bytes = dumps(model)
    except Exception as error:
        raise UnportableModel(f"a part of it ({type(error).__name__} while it was written)") from error
    found = get_untrusted_types(data=content)
    homeless = sorted(t for t in found if t.startswith("__main__.") or "<lambda>" in t or "<locals>" in t)
    if homeless:
        raise UnportableModel(", ".join(homeless))
    if unknown := sorted(t for t in {*found} - {*trusted} - REVIEWED if not _stands_in(t, own)):
        raise UntrustedArtifact(unknown)
    return content


def types_to_trust(content: bytes, trusted: Sequence[str] = (), own: Set[str] = frozenset()) -> tuple[str, ...]:
    """`trusted`, and those types of `content` that are REVIEWED or of `own` modules: what a version writes down of itself.

    Raises BadArtifact when the bytes are not skops.
    """
    found = {t for t in _untrusted(content) if t in REVIEWED or _stands_in(t, own)}
    return (*trusted, *sorted(found - set(trusted)))


def load(content: bytes, trusted: Sequence[str] = ()) -> Any:
    """The model in `content`. Nothing is built before every type in it is known to skops, REVIEWED or named in `trusted`.

    Raises UntrustedArtifact, or BadArtifact when the bytes are not skops or need a library that is not there.
    """
    from skops.io import loads

    found = _untrusted(content)
    if unknown := sorted(found - set(trusted) - REVIEWED):
        raise UntrustedArtifact(unknown)
    try:
        return loads(content, trusted=sorted(found))
    except Exception as error:
        why = f"skops could not rebuild it ({type(error).__name__}: {error})"
        raise BadArtifact(hashlib.sha256(content).hexdigest(), why) from error


def _untrusted(content: bytes) -> set[str]:
    """Types in `content` that skops does not know. Raises BadArtifact."""
    from skops.io import get_untrusted_types

    try:
        return set(get_untrusted_types(data=content))
    except Exception as error:
        why = f"it is not a skops file ({type(error).__name__})"
        raise BadArtifact(hashlib.sha256(content).hexdigest(), why) from error


def _stands_in(kind: str, own: Set[str]) -> bool:
    return kind.partition(".")[0] in own
