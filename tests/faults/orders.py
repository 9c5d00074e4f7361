"""Predictions, labels and corrections in any order, folded at any moment: equal to a recount in plain Python.

Labels come late, early, twice, in contradiction, for rows that never came, by id and by business key; every answer is
checked as known now and as known then.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from pilothouse.data.history.results import Performance
from pilothouse.data.log.schema import Role
from pilothouse.data.log.tables import compact_log
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.rollups.fold import rebuild
from pilothouse.data.rollups.store import compact_rollups, rollup_folder
from pilothouse.data.settings import Settings
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from tests.faults.campaign import Outcome, processes
from tests.faults.recount import changed_cells
from tests.integration.history.conftest import NOW, Book, Label, Prediction, profile_of

ORDERS = {"small": 20, "full": 1000}
TOLERANCE = 1e-12
START = NOW - timedelta(days=8)
_IDS = [f"row-{number}" for number in range(24)]
_KEYS = [None, None, '{"flight":"AA1"}', '{"flight":"BB2"}']
_EVENTS = 10


def run(size: str) -> list[Outcome]:
    with ProcessPoolExecutor(2, mp_context=processes()) as pool:
        wrong = dict(zip(range(ORDERS[size]), pool.map(wrong_answers, range(ORDERS[size])), strict=True))
    for seed, said in wrong.items():
        for sentence in said:
            print(f"order {seed}: {sentence}", file=sys.stderr)
    total = sum(len(said) for said in wrong.values())
    return [Outcome(name="random order of events", tried=len(wrong), lost=0, doubled=0, wrong=total)]


def wrong_answers(seed: int) -> list[str]:
    """What differs from a recount after the order that `seed` gives."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="orders-") as folder:
        book = Book(
            Workspace.create(Path(folder) / "house"),
            policy=LabelPolicy(horizon=timedelta(days=3)),
            settings=Settings(hours_kept_days=dice.choice([2, 60])),
            profile=_profile(),
        )
        for _ in range(_EVENTS):
            dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0](book, dice)
        _fold(book, dice)
        return [*_wrong_windows(book, dice), *_wrong_cells(book)]


_profile = cache(profile_of)


def _predict(book: Book, dice: random.Random) -> None:
    """Up to six rows, some with a shadow beside them; rows of one call may lie days apart."""
    logged = {row.id for row in book.predictions}
    made = []
    for row_id in [name for name in _IDS[:18] if name not in logged][: dice.randrange(1, 7)]:
        row = Prediction(
            id=row_id,
            at=START + timedelta(seconds=dice.randrange(7 * 86_400)),
            score=dice.choice([None, dice.random(), dice.random(), dice.random()]),
            version=dice.choice([1, 2]),
            logged_after=timedelta(hours=dice.choice([0, 0, 40])),
            keys=dice.choice(_KEYS),
        )
        made += [row, replace(row, version=3, role=Role.SHADOW)] if dice.random() < 0.2 else [row]
    if made:
        book.log(made)


def _tell(book: Book, dice: random.Random) -> None:
    told = []
    for _ in range(dice.randrange(1, 7)):
        observed = START + timedelta(seconds=dice.randrange(9 * 86_400))
        recorded = observed + timedelta(hours=dice.choice([0, 1, 30, 100]))
        label = Label(dice.choice([0.0, 1.0]), observed, recorded, id=dice.choice(_IDS))
        told.append(replace(label, id=None, key=dice.choice(_KEYS[1:])) if dice.random() < 0.3 else label)
    told = [label for label in told if label.id is not None or label.key is not None]
    if book.labels and dice.random() < 0.4:
        again = dice.choice(book.labels)
        told += [again, replace(again, label=1.0 - again.label, observed_at=again.observed_at + timedelta(hours=1))]
    if told:
        book.tell(told)


def _compact(book: Book, dice: random.Random) -> None:
    compact_log(book.workspace, "flights", book.signature, crowded=1)
    compact_rollups(rollup_folder(book.workspace, "flights"), crowded=1)


def _fold(book: Book, dice: random.Random) -> None:
    now = START + timedelta(days=dice.randrange(9))
    book.fold(clock=lambda: now)


_WEIGHTS: dict[Callable[[Book, random.Random], None], int] = {_predict: 3, _tell: 3, _fold: 3, _compact: 1}


def _wrong_windows(book: Book, dice: random.Random) -> list[str]:
    history = book.history()
    windows = [Window(START, NOW), *(_any_window(dice) for _ in range(2))]
    wrong = []
    for window in windows:
        for known in (None, (START + timedelta(days=dice.randrange(10))).replace(hour=0, minute=0)):
            found = history.performance(window, as_known=known)
            if difference := _difference(book, found, window, known):
                wrong.append(f"{window} as known {known or 'now'}: {difference}")
    return wrong


def _any_window(dice: random.Random) -> Window:
    first = START + timedelta(minutes=dice.randrange(8 * 24 * 60))
    return Window(first, first + timedelta(minutes=dice.randrange(1, 4 * 24 * 60)))


def _difference(book: Book, found: Performance, window: Window, known: datetime | None) -> str:
    until = None if known is None else (known - timedelta(days=1)).date()
    traffic = [row for row in book.predictions if row.at in window and row.role is not Role.SHADOW]
    rows = [row for row in traffic if until is None or row.logged_at.date() <= until]
    labels = book.known_labels(rows, until)
    scored = {row: label for row, label in labels.items() if row.score is not None}
    expected = {
        "rows": float(len(rows)),
        "labelled": float(len(labels)),
        "positive_rate": sum(labels.values()) / len(labels) if labels else None,
        "brier": sum(((row.score or 0.0) - label) ** 2 for row, label in scored.items()) / len(scored)
        if scored
        else None,
    }
    got = {name: metric.value for name, metric in found.metrics.items()} | {
        "rows": float(found.rows),
        "labelled": float(found.labelled),
    }
    far = [name for name, value in expected.items() if not _close(got.get(name), value)]
    return ", ".join(f"{name} {got.get(name)}, not {expected[name]}" for name in far)


def _close(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= TOLERANCE


def _wrong_cells(book: Book) -> list[str]:
    folder = rollup_folder(book.workspace, "flights")
    changed = changed_cells(
        folder,
        lambda: rebuild(
            book.workspace, "flights", book.signature, book.profile, book.policy, book.settings, clock=lambda: NOW
        ),
    )
    return [f"{changed} cells differ from a rebuild"] if changed else []
