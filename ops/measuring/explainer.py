"""What contributes to the answers of one version: its scorer, asked about rows mixed with rows of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pilothouse.data.errors import BadData, CannotExplain, MissingColumn, UnknownFeature
from pilothouse.data.measures.outcomes import Bools, Floats, Ints
from pilothouse.data.measures.shapley import Game, Shares, exact_shapley, marginal_contributions, sampled_shapley
from pilothouse.data.policies import ALTERED, ColumnClass
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Feature, Kind, Signature, Task, Value
from pilothouse.ops.scoring import Scored, Scorer

BACKGROUND = 100
"""Reference rows that an answer is compared with."""
EXACT_FEATURES = 8
"""Up to so many features every coalition is asked; with more, orders are drawn."""
ROUNDS = 8
SEED = 0
_MOST_MIXED = 40_000
"""Mixed rows asked for one answer, about: of wide models fewer background rows are taken."""
_LEAST_BACKGROUND = 10
_AT_ONCE = 30_000
"""Mixed rows that are scored in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explains answers of `scorer`, which takes the features of `signature`, against the rows of `background`.

    of_class : the class whose chance is explained; None for the one that was answered, and unless there are several.
    """

    scorer: Scorer
    signature: Signature
    background: pl.DataFrame
    of_class: Value = None

    @property
    def features(self) -> int:
        return len(self.signature.features)

    def score(self, row: pl.DataFrame) -> Scored:
        """What the scorer says to one row."""
        return self.scorer.score(row)

    def places(self, scored: Scored) -> Ints:
        """Where the class that is explained stands, row by row. See `class_places`."""
        return class_places(scored, self.signature, self.of_class)

    def shares(self, row: pl.DataFrame, *, rounds: int = ROUNDS, seed: int = SEED) -> Shares:
        """What each feature contributed to the answer to `row`, a frame of one row. Raises CannotExplain."""
        game, rows = self._game(row), self.background.height
        if self.features <= EXACT_FEATURES:
            return exact_shapley(game, self.features, rows)
        return sampled_shapley(game, self.features, rows, rounds=rounds, seed=seed)

    def many(self, rows: pl.DataFrame, *, seed: int = SEED) -> Floats:
        """Contributions to the answers to many rows, each from one random order and its reverse for each row of the
        background: float64, shape (rows, features). Single ones are rough; their means are not. Raises CannotExplain.
        """
        rng = np.random.default_rng(seed)
        step = max(1, _AT_ONCE // max(1, 2 * self.background.height * (self.features - 1)))
        parts = [self._some(rows[start : start + step], rng) for start in range(0, rows.height, step)]
        return np.vstack(parts)

    def _some(self, rows: pl.DataFrame, rng: np.random.Generator) -> Floats:
        own, players = self.background.height, self.features
        ends, place = self._ends(rows)
        ranks = rng.permuted(np.tile(np.arange(players), (rows.height * own, 1)), axis=1)
        ranks = np.vstack([ranks, players - 1 - ranks])
        asked, behind = (np.tile(each.ravel(), 2) for each in np.divmod(np.arange(rows.height * own), own))
        stack = pl.concat([self.background, rows.select(self.background.columns)])

        def game(masks: Bools, orders: Ints) -> Floats:
            from_row = np.where(masks, (own + asked[orders])[:, None], behind[orders][:, None])
            return self.mixed(stack, from_row, place[asked[orders]])

        base, total = ends[behind, asked], level(self.scorer.score(rows), place)[asked]
        added = marginal_contributions(game, ranks, np.arange(len(ranks)), base, total)
        mean: Floats = added.reshape(2, rows.height, own, players).mean(axis=(0, 2))
        return mean

    def _ends(self, rows: pl.DataFrame) -> tuple[Floats, Ints]:
        """What the scorer says to each background row, by asked row as its class is: shape (background, rows); and the
        place of each asked row's class."""
        said, behind = self.scorer.score(rows), self.scorer.score(self.background)
        place = self.places(said)
        if behind.scores is None:
            return np.repeat(level(behind, place)[:, None], rows.height, axis=1), place
        return np.asarray(behind.scores, dtype=np.float64)[:, place], place

    def mixed(self, stack: pl.DataFrame, from_row: Ints, place: Ints) -> Floats:
        """What the scorer says to rows put together: each feature from the row of `stack` that `from_row` gives."""
        mixed = (pl.col(name).gather(pl.Series(from_row[:, at])) for at, name in enumerate(stack.columns))
        answers = level(self.scorer.score(stack.select(mixed)), place)
        if not np.isfinite(answers).all():
            raise CannotExplain("the model gives no number for some mixtures of rows with reference rows")
        return answers

    def method(self) -> str:
        """How contributions are found, in words."""
        against = f"against {self.background.height} rows of the reference"
        if self.features <= EXACT_FEATURES:
            return f"Shapley values, {against}; every coalition of features was asked"
        return f"Shapley values, {against}; {ROUNDS} rounds of random orders with a fixed seed"

    def _game(self, row: pl.DataFrame) -> Game:
        stack = pl.concat([self.background, row.select(self.background.columns)])
        own, place = self.background.height, self.places(self.scorer.score(row))

        def game(masks: Bools, places: Ints) -> Floats:
            return self.mixed(stack, np.where(masks, own, places[:, None]), np.repeat(place, len(places)))

        return game


def level(scored: Scored, place: Ints) -> Floats:
    """The number that is explained, row by row: the chance of the positive class, of the class at `place` (int64, shape
    (rows,)), or the predicted number."""
    if scored.scores is not None:
        return np.asarray(scored.scores, dtype=np.float64)[np.arange(len(scored.scores)), place]
    return np.asarray(scored.prediction if scored.score is None else scored.score, dtype=np.float64)


def class_places(scored: Scored, signature: Signature, of_class: Value = None) -> Ints:
    """Where each row's predicted class, or `of_class`, stands among the target's classes: int64, shape (rows,); 0 unless
    there are several chances to choose from."""
    if scored.scores is None:
        return np.zeros(len(scored.prediction), dtype=np.int64)
    if of_class is not None:
        return np.full(len(scored.prediction), signature.target.classes.index(of_class))
    return np.array([signature.target.classes.index(said) for said in scored.prediction], dtype=np.int64)


def class_of(signature: Signature, asked: Value) -> Value:
    """The class that `asked` names, as it is or as a text; None for None. Raises BadData."""
    if asked is None:
        return None
    if signature.task is not Task.MULTICLASS:
        raise BadData("A class can be chosen for models of several classes alone; leave it out.")
    for known in signature.target.classes:
        if known == asked or str(known) == asked:
            return known
    allowed = ", ".join(map(str, signature.target.classes))
    raise BadData(f"{signature.target.name} has no class {asked!r}. It has: {allowed}.")


def outcome_words(signature: Signature, prediction: Value) -> str:
    """What the explained number is: `chance that late is 1`."""
    target = signature.target
    if signature.task is Task.REGRESSION:
        return f"predicted {target.name}"
    told = target.positive if signature.task is Task.BINARY else prediction
    return f"chance that {target.name} is {told}"


def background_of(reference: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Some of the reference rows, always the same ones. Raises CannotExplain without any."""
    if reference.is_empty():
        raise CannotExplain("the reference has no rows to compare with")
    wide = _MOST_MIXED // (2 * ROUNDS * max(1, len(signature.features) - 1))
    most = min(reference.height, BACKGROUND, max(_LEAST_BACKGROUND, wide))
    return reference.sample(most, seed=SEED)


def reference_features(folder: Path, signature: Signature) -> pl.DataFrame:
    """The features of the reference rows in `folder`, by their own names and in the signature's order.

    Raises CannotExplain where the rows are not kept, as in a package.
    """
    if not (folder / Profile.SAMPLE).is_file():
        raise CannotExplain("the reference rows are not kept here")
    kept = Profile.load_sample(folder)
    return kept.select(
        (pl.col(f.column) if f.column in kept.columns else pl.lit(None, _stored(f))).alias(f.name)
        for f in signature.features
    )


def row_frame(model: str, signature: Signature, given: Mapping[str, Value]) -> pl.DataFrame:
    """A row as a frame, as the log would hold it. Raises UnknownFeature, MissingColumn, BadData."""
    for name in given:
        if name not in signature.names:
            raise UnknownFeature(model, name, signature.names)
    for name in signature.names:
        if name not in given:
            raise MissingColumn("the row", name, given)
    return pl.DataFrame([_column(f, given[f.name]) for f in signature.features])


def _column(feature: Feature, value: Value) -> pl.Series:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    wanted = number if feature.numeric else isinstance(value, bool if feature.kind is Kind.BOOLEAN else str)
    if value is not None and not wanted:
        words = {Kind.BOOLEAN: "true, false or null", Kind.CATEGORY: "a text or null"}
        raise BadData(
            f"Feature {feature.name!r} of the row must be {words.get(feature.kind, 'a number or null')}; "
            f"got {type(value).__name__}."
        )
    if isinstance(value, int) and number:
        value = _as_double(feature.name, value)
    return pl.Series(feature.name, [value], dtype=_stored(feature))


def _as_double(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadData(f"Feature {name!r} of the row is out of the range of a double.") from None


def _stored(feature: Feature) -> type[pl.DataType]:
    return pl.Float64 if feature.numeric else pl.Boolean if feature.kind is Kind.BOOLEAN else pl.String


def check_unaltered(signature: Signature, classes: Mapping[str, ColumnClass]) -> None:
    """Raises CannotExplain where features do not stand in log and reference as the model saw them."""
    altered = [name for name in signature.names if classes.get(name) in ALTERED]
    if altered:
        raise CannotExplain(f"{', '.join(altered)}: hashed or dropped on the way into log and reference")
