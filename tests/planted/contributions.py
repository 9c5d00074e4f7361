"""Frozen: models that add up effects, whose mean size of contributions is known in closed form. Written before bands were looked at.

shap is asked as Pilothouse asks it, inside of a pipeline that scales the columns first.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from pilothouse.data.measures.contributions import measure_contributions
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.ops.measuring.by_shap import ShapExplainer
from pilothouse.ops.measuring.explainer import Explainer
from pilothouse.ops.scoring import SklearnScorer, model_frame
from tests.planted.verdict import Verdict

SEEDS = {"small": 3, "full": 40}
COLUMNS, BACKGROUND, EXPLAINED, TRAINED = 8, 50, 300, 200
NAMES = [f"x{place}" for place in range(COLUMNS)]


def run(size: str) -> list[Verdict]:
    held = [hold for seed in range(SEEDS[size]) for hold in _world(seed)]
    return [
        Verdict(name="mean size of contributions: band holds the true mean", seeds=SEEDS[size],
                value=float(np.mean(held)), unit="share of bands", goal=0.9, detail=f"{len(held)} bands"),
    ]  # fmt: skip


def _world(seed: int) -> list[bool]:
    """Whether each column's band holds the mean size of its contributions to the answers to all rows of the law."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng([21, seed])
    weights = rng.choice([-1.0, 1.0], COLUMNS) * np.linspace(0.2, 1.5, COLUMNS)
    trained, background, asked = (_frame(rng, rows) for rows in (TRAINED, BACKGROUND, EXPLAINED))
    signature = Signature(
        features=tuple(Feature(name=name, kind=Kind.NUMBER) for name in NAMES),
        target=Target(name="y", kind=Kind.NUMBER), task=Task.REGRESSION,
    )  # fmt: skip
    model = make_pipeline(StandardScaler(), LinearRegression())
    scorer = SklearnScorer(
        model.fit(model_frame(signature, trained), trained.to_numpy() @ weights), signature, 0.5
    )  # fmt: skip
    explainer = Explainer(scorer=scorer, signature=signature, background=background)
    found = ShapExplainer(explainer=explainer, original=scorer).attribute(asked)
    middle = background.to_numpy().mean(axis=0)
    wanted = {name: abs(w) * _mean_distance(m) for name, w, m in zip(NAMES, weights, middle, strict=True)}
    sizes = {each.name: each.size for each in measure_contributions(NAMES, found.values, [[]] * COLUMNS)}
    return [(sizes[name].low or 0.0) <= wanted[name] <= (sizes[name].high or 0.0) for name in NAMES]


def _frame(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    return pl.DataFrame(rng.normal(size=(rows, COLUMNS)), schema=NAMES, orient="row")


def _mean_distance(middle: float) -> float:
    """Mean of |x - middle| where x is standard normal."""
    return math.sqrt(2 / math.pi) * math.exp(-(middle**2) / 2) + middle * math.erf(middle / math.sqrt(2))
