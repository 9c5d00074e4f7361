"""Artifacts: a fitted scikit-learn model as skops bytes, and back. Types that skops does not know must be named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from pilothouse.data.errors import BadArtifact, UnportableModel, UntrustedArtifact

REVIEWED = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
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


def dump(model: Any, trusted: Sequence[str] = ()) -> bytes:
    """`model` as skops bytes that `load` accepts with the same `trusted` types.

    Raises UntrustedArtifact listing the types that are neither known to skops, nor REVIEWED, nor in `trusted`, and
    UnportableModel for a lambda or a class of the running script, which no other process could find.
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
    if unknown := sorted(set(found) - set(trusted) - REVIEWED):
        raise UntrustedArtifact(unknown)
    return content


def types_to_trust(content: bytes, trusted: Sequence[str] = ()) -> tuple[str, ...]:
    """`trusted`, and those of the REVIEWED types that stand in `content`: what a version writes down of itself."""
    from skops.io import get_untrusted_types

    found = set(get_untrusted_types(data=content))
    return (*trusted, *sorted(found & REVIEWED - set(trusted)))


def load(content: bytes, trusted: Sequence[str] = ()) -> Any:
    """The model in `content`. Nothing is built before every type in it is known to skops, REVIEWED or named in `trusted`.

    Raises UntrustedArtifact, or BadArtifact when the bytes are not skops or need a library that is not there.
    """
    from skops.io import get_untrusted_types, loads

    sha256 = hashlib.sha256(content).hexdigest()
    try:
        found = set(get_untrusted_types(data=content))
    except Exception as error:
        raise BadArtifact(sha256, f"it is not a skops file ({type(error).__name__})") from error
    if unknown := sorted(found - set(trusted) - REVIEWED):
        raise UntrustedArtifact(unknown)
    try:
        return loads(content, trusted=sorted(found))
    except Exception as error:
        raise BadArtifact(sha256, f"skops could not rebuild it ({type(error).__name__}: {error})") from error
