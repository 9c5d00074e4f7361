"""The rows of the flights that estimates are compared on: scores and labels, of a reference and of the weeks after it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pilothouse.data.demo.flights import FEATURES, TARGET, load_flights
from pilothouse.ops.demo.build import FIRST_LOGGED_WEEK, REFERENCE_WEEKS, TRAINED_WEEKS, make_pipeline, weeks_of
from tests.planted.estimate_worlds import Scored, World

LAST_WEEK = 52


@cache
def flights() -> World:
    """The demo's model, the reference weeks, and each week after them."""
    frame = load_flights().filter(pl.col(TARGET).is_not_null())
    trained = weeks_of(frame, *TRAINED_WEEKS)
    model = make_pipeline().fit(trained.select(FEATURES).to_pandas(), trained[TARGET].to_numpy())

    def scored(first: int, last: int) -> Scored:
        rows = weeks_of(frame, first, last)
        scores = model.predict_proba(rows.select(FEATURES).to_pandas())[:, 1]
        return Scored(scores=scores, labels=rows[TARGET].to_numpy().astype(bool))

    windows = tuple(scored(week, week + 1) for week in range(FIRST_LOGGED_WEEK, LAST_WEEK))
    return World(reference=scored(*REFERENCE_WEEKS), windows=windows)


def write(file: Path) -> None:
    """As `make_nannyml` reads them: columns part (0 for the reference, then the number of the week), score, label."""
    world = flights()
    parts = [world.reference, *world.windows]
    pl.DataFrame(
        {
            "part": np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts]),
            "score": np.concatenate([part.scores for part in parts]),
            "label": np.concatenate([part.labels for part in parts]),
        }
    ).write_parquet(file)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
