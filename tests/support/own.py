"""A team's own transformer, as it would stand in a package of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Doubling(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Gives every number twice. No converter has heard of it."""

    def fit(self, _rows: Any, _target: Any = None) -> Doubling:
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return np.hstack([np.asarray(rows, dtype=np.float64)] * 2)
