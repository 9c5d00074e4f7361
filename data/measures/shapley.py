"""Shapley values of one answer: what each feature contributed to it, against rows of a background.

The game: features in a coalition have the row's own values, all others those of a background row; a coalition is worth
what the model says, averaged over the background (Lundberg and Lee 2017, with the interventional expectation of Janzing,
Minorics and Bloebaum 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pilothouse.data.measures.outcomes import Bools, Floats, Ints

Game = Callable[[Bools, Ints], Floats]
"""What the model says of mixed rows. First: bool, shape (rows, players), True where the row's own value stands; second:
int64, shape (rows,), the background row that gives the others. Answer: float64, shape (rows,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shares:
    """What each player contributed; `base` and all of `values` add up to `total`.

    base : mean answer over the background. total : the answer that is explained. values : float64, shape (players,).
    errors : half widths of 95 % bands for the sampling of orders, 0 where every coalition was asked; same shape.
    evaluations : mixed rows that the model was asked about.
    """

    base: float
    total: float
    values: Floats
    errors: Floats
    background: int
    evaluations: int
    exact: bool

    @property
    def gap(self) -> float:
        """By how much base and contributions miss the answer: rounding."""
        return float(self.base + self.values.sum() - self.total)


def exact_shapley(game: Game, players: int, background: int) -> Shares:
    """Shapley values from every coalition: 2 ** players of them, each with every row of the background.

    Source: Shapley (1953), eq. 12. Raises ValueError for more than 20 players.
    """
    if players > 20:
        raise ValueError(f"{players} players have too many coalitions to ask each; sample orders instead")
    masks = (np.arange(1 << players)[:, None] >> np.arange(players)) % 2 == 1
    places = np.tile(np.arange(background), len(masks))
    said = game(np.repeat(masks, background, axis=0), places).reshape(len(masks), background)
    worth = said.mean(axis=1)
    return Shares(
        base=float(worth[0]), total=float(worth[-1]), values=_from_worths(worth, masks), errors=np.zeros(players),
        background=background, evaluations=said.size, exact=True,
    )  # fmt: skip


def _from_worths(worth: Floats, masks: Bools) -> Floats:
    players, sizes, numbers = masks.shape[1], masks.sum(axis=1), np.arange(len(worth))
    weights = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = numbers[~masks[:, player]]
        gains = worth[without | (1 << player)] - worth[without]
        values[player] = (weights[sizes[without]] * gains).sum()
    return values


def sampled_shapley(game: Game, players: int, background: int, *, rounds: int, seed: int) -> Shares:
    """Shapley values from random orders of the players: each round draws one for every background row, and its reverse.

    The contributions add up exactly, whatever was drawn. rounds : at least 2; the bands are from how far rounds differ.
    Source: Castro, Gomez and Tejada (2009); reversed orders: Mitchell et al. (2022), section 4.1.
    """
    rng, every = np.random.default_rng(seed), np.arange(background)
    ends = game(np.vstack([np.zeros((background, players), bool), np.ones((1, players), bool)]), np.append(every, 0))
    base, total = ends[:-1], float(ends[-1])
    found = np.stack([_round(game, players, base, total, rng) for _ in range(rounds)])
    return Shares(
        base=float(base.mean()), total=total, values=found.mean(axis=0), errors=_half_widths(found),
        background=background, evaluations=len(ends) + rounds * 2 * background * (players - 1), exact=False,
    )  # fmt: skip


def _round(game: Game, players: int, base: Floats, total: float, rng: np.random.Generator) -> Floats:
    """The mean contributions of one random order, and its reverse, with each background row."""
    ranks = rng.permuted(np.tile(np.arange(players), (len(base), 1)), axis=1)
    both = np.vstack([ranks, players - 1 - ranks])
    places = np.tile(np.arange(len(base)), 2)
    mean: Floats = marginal_contributions(game, both, places, np.tile(base, 2), total).mean(axis=0)
    return mean


def marginal_contributions(game: Game, ranks: Ints, places: Ints, base: Floats, total: float | Floats) -> Floats:
    """What each player adds when players join one after the other.

    ranks : int64, shape (orders, players): when each player joins, from 0. places : int64, shape (orders,): the
    background row of each order. base, total : float64, same shape: the answer before anybody joins, and after all have.
    Gives float64, shape (orders, players); each row adds up to total - base.
    """
    orders, players = ranks.shape
    steps = np.arange(1, players)[None, :, None]
    masks = (ranks[:, None, :] < steps).reshape(-1, players)
    inner = game(masks, np.repeat(places, players - 1)).reshape(orders, players - 1) if players > 1 else None
    path = [
        base[:, None],
        *([] if inner is None else [inner]),
        np.broadcast_to(np.reshape(total, (-1, 1)), (orders, 1)),
    ]
    added: Floats = np.take_along_axis(np.diff(np.hstack(path), axis=1), ranks, axis=1)
    return added


def _half_widths(found: Floats) -> Floats:
    from scipy.stats import t

    rounds = len(found)
    if rounds < 2:
        return np.full(found.shape[1], np.inf)
    widths: Floats = float(t.ppf(0.975, rounds - 1)) * found.std(axis=0, ddof=1) / math.sqrt(rounds)
    return widths
