"""Several classes without labels, on worlds whose truth is known: do the bands hold, and is concept drift noticed?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.data.measures.calibrate_classes import ClassCalibration, calibrate_classes
from pilothouse.data.measures.estimate import Expected
from pilothouse.data.measures.estimate_classes import ToldClasses, estimate_classes
from tests.planted.estimate_class_worlds import ClassRows, ClassWorld, covariate, covariate_fitted, weeks
from tests.planted.estimates import Both, Guess, noticed, quiet, share, shares, suspected_weeks
from tests.planted.verdict import Verdict

SEEDS = {"small": 2, "full": 20}
BESIDES = ("kappa", "mcc", "top_2", "top_3", "ece")
NANNYML = Path(__file__).resolve().parents[1] / "golden" / "data" / "nannyml_cbpe_classes.json"


def run(size: str) -> list[Verdict]:
    seeds = SEEDS[size]
    rivals: dict[str, Any] = json.loads(NANNYML.read_text())
    return [
        *_covered("covariate shift", covariate, seeds, rivals["covariate"]),
        *_covered("covariate shift, learned model", covariate_fitted, seeds, rivals["covariate_fitted"]),
        noticed(seeds, _suspected),
        quiet(seeds, _suspected),
    ]


def _covered(
    case: str, make: Callable[[int], ClassWorld], seeds: int, rival: Sequence[dict[str, Any]]
) -> Iterator[Verdict]:
    guesses = [guess for seed in range(seeds) for guess in _guesses(make(seed))]
    yield share(f"{case}: any realized metric in its band", guesses, seeds)
    windows = [window for world in rival[:seeds] for window in world["windows"]]
    for name, theirs in (("macro_roc_auc", "roc_auc"), ("accuracy", "accuracy")):
        mine = [guess for guess in guesses if guess[0] == name]
        yield share(f"{case}: realized {name} in the band", mine, seeds)
        yield _rival(f"{case}: realized {name} in NannyML's band", mine, [window[theirs] for window in windows], seeds)
    yield from shares(case, BESIDES, guesses, seeds)


def _rival(name: str, guesses: Sequence[Guess], bands: Sequence[Sequence[float]], seeds: int) -> Verdict:
    inside = [low <= came <= high for (_, _, came), (_, low, high) in zip(guesses, bands, strict=True)]
    width = np.mean([high - low for _, low, high in bands])
    detail = f"mean width {width:.4f}; three of its standard errors either way, ours are of 95 %"
    return Verdict(name=name, seeds=seeds, value=float(np.mean(inside)), unit="share", detail=detail)


def _guesses(world: ClassWorld) -> Iterator[Guess]:
    known = calibrate_classes(world.reference.scores, world.reference.labels)
    for window in world.windows:
        told, came = _both(known, window)
        yield from ((name, each, came[name].value) for name, each in told.items())


def _both(known: ClassCalibration, rows: ClassRows) -> Both:
    said = rows.scores.argmax(axis=1)
    pair = ToldClasses.by(known, rows.scores, said), ToldClasses.realized(rows.scores, said, rows.labels)
    told, came = ({n: e for n, e in estimate_classes(each).items() if isinstance(e, Expected)} for each in pair)
    return told, came


def _suspected(seed: int, changes: bool) -> list[int]:
    world = weeks(seed, changes=changes)
    known = calibrate_classes(world.reference.scores, world.reference.labels)
    return suspected_weeks([_both(known, window) for window in world.windows])
