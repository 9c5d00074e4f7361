"""Frozen: models whose effects are known in closed form. Written before any explanation was looked at.

The model adds twelve effects and one product of two columns; what each column contributes to one answer, what shuffling
it costs, and how much larger its contributions became in a window can all be written down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pilothouse.data.measures.attribution import measure_attribution
from pilothouse.data.measures.importance import measure_importance, shuffles
from pilothouse.data.measures.shapley import sampled_shapley
from tests.planted.verdict import Verdict

Floats = npt.NDArray[np.float64]

SEEDS = {"small": 3, "full": 40}
COLUMNS, BACKGROUND, ROWS, NOISE = 12, 100, 4_000, 0.5
DRIFTED, WIDER = 3, 1.5
"""The column that is drawn wider in the window, and by how much."""
EXPLAINED = 300
"""Rows of the reference and of the window whose contributions are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Weights of the effects, the weight of the product of the first two columns, and rows of standard normal columns."""

    weights: Floats
    product: float
    rows: Floats

    def say(self, rows: Floats) -> Floats:
        said: Floats = rows @ self.weights + self.product * rows[:, 0] * rows[:, 1]
        return said

    def contributions(self, row: Floats, background: Floats) -> Floats:
        """The Shapley values of one answer against a background, by hand: a product is shared by its two columns."""
        alone: Floats = self.weights * (row - background.mean(axis=0))
        for own, other in ((0, 1), (1, 0)):
            shared = (row[own] - background[:, own]) * (row[other] + background[:, other]) / 2
            alone[own] += self.product * shared.mean()
        return alone


def make_world(seed: int, product: float = 0.8) -> World:
    rng = np.random.default_rng([11, seed])
    weights = rng.choice([-1.0, 1.0], COLUMNS) * np.linspace(0.0, 1.5, COLUMNS)
    return World(weights=weights, product=product, rows=rng.normal(size=(ROWS, COLUMNS)))


def run(size: str) -> list[Verdict]:
    """How often the bands hold the truth, and how often something is said of a column that did nothing."""
    seeds = SEEDS[size]
    return [_one_answer(seeds), _importance(seeds), *_drift(seeds)]


def _one_answer(seeds: int) -> Verdict:
    held = []
    for seed in range(seeds):
        world = make_world(seed)
        background = world.rows[:BACKGROUND]
        for row in world.rows[-5:]:

            def game(
                masks: npt.NDArray[np.bool_],
                places: npt.NDArray[np.int64],
                row: Floats = row,
                background: Floats = background,
                world: World = world,
            ) -> Floats:
                return world.say(np.where(masks, row, background[places]))

            found = sampled_shapley(game, COLUMNS, BACKGROUND, rounds=8, seed=seed)
            off = np.abs(found.values - world.contributions(row, background))
            held.append(off <= found.errors + 1e-9)
    return Verdict(name="one answer: band holds the true contribution", seeds=seeds, value=float(np.mean(held)),
                   unit="share of bands", goal=0.9, detail=f"{np.size(held)} bands")  # fmt: skip


def _importance(seeds: int) -> Verdict:
    """Mean absolute error of a normal law: the rise is known. Only columns outside the product are judged."""
    held = []
    for seed in range(seeds):
        world = make_world(seed, product=0.0)
        rng = np.random.default_rng([12, seed])
        true = world.say(world.rows) + rng.normal(size=ROWS) * NOISE
        orders = shuffles(ROWS, 5, seed)
        for column, weight in enumerate(world.weights):
            shuffled = np.stack([world.say(_with(world.rows, column, order)) for order in orders])
            found = measure_importance(-np.abs(true - world.say(world.rows)), -np.abs(true - shuffled), orders)
            wanted = np.sqrt(2 / np.pi) * (np.sqrt(NOISE**2 + 2 * weight**2) - NOISE)
            assert found.low is not None
            assert found.high is not None
            held.append(found.low - 1e-9 <= wanted <= found.high + 1e-9)
    return Verdict(name="importance: band holds the true rise of the error", seeds=seeds, value=float(np.mean(held)),
                   unit="share of bands", goal=0.9, detail=f"{len(held)} bands")  # fmt: skip


def _with(rows: Floats, column: int, order: npt.NDArray[np.int64]) -> Floats:
    changed = rows.copy()
    changed[:, column] = rows[order, column]
    return changed


def _drift(seeds: int) -> list[Verdict]:
    found, false = [], []
    for seed in range(seeds):
        world = make_world(seed, product=0.0)
        rng = np.random.default_rng([13, seed])
        window = rng.normal(size=(EXPLAINED, COLUMNS))
        window[:, DRIFTED] *= WIDER
        middle = world.rows[:BACKGROUND].mean(axis=0)
        before = world.weights * (world.rows[-EXPLAINED:] - middle)
        now = world.weights * (window - middle)
        changed = {each.name: each.changed for each in measure_attribution([*map(str, range(COLUMNS))], before, now)}
        found.append(changed[str(DRIFTED)])
        # The first column has no weight, so its contributions are 0 wherever.
        false += [said for name, said in changed.items() if name not in (str(DRIFTED), "0")]
    return [
        Verdict(name="attribution drift: the wider column is found", seeds=seeds, value=float(np.mean(found)),
                unit="share of seeds", goal=0.9),
        Verdict(name="attribution drift: said of a column that did not drift", seeds=seeds,
                value=float(np.mean(false)), unit="share of columns", goal=0.05, at_most=True),
    ]  # fmt: skip
