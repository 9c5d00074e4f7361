"""A team's own metrics run apart: whatever one of them does, the others stand, and so does whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.support.dashboard import dashboard_of, open_page, words
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import BadCode, UnreviewedCode
from pilothouse.data.policies import OwnMetric
from pilothouse.data.store import Store
from pilothouse.data.windows import utc_now
from pilothouse.ops.house import House
from pilothouse.ops.measuring.own_child import Said, as_said
from pilothouse.ops.measuring.own_running import run_apart
from pilothouse.ops.runtimes.code import packed

ROWS, LIMIT_S = 200, 2.0
BAD = {
    "raises": "own:raises failed (ZeroDivisionError: division by zero)",
    "text": "it gave a str; a number is wanted",
    "nan": "it gave nan, which is no number",
    "leaves": "failed (SystemExit: enough)",
    "dies": "own:dies ended its process (exit code 3)",
    "hangs": "own:hangs was stopped after 2 s (own_metric_limit_s). Make it faster",
    "greedy": "failed (MemoryError",
    "gone": "it cannot be imported (AttributeError",
    "number": "it is no function but a int",
}
OWN = """
import os, subprocess, sys, time

number = 3

def rows(rows):
    return len(rows)

def raises(rows):
    return 1 / 0

def prints(rows):
    print("no answer " * 100_000)
    print("no answer", file=sys.stderr)
    return 7

def writes_to_our_line(rows):
    os.write(1, b'{"value": 99}\\n')
    return 8

def text(rows):
    return "0.5"

def nan(rows):
    return float("nan")

def leaves(rows):
    sys.exit("enough")

def dies(rows):
    os._exit(3)

def hangs(rows):
    subprocess.Popen(["sleep", "98765"])
    while True:
        pass

def greedy(rows):
    return len(bytearray(8 * 2**30))

def moment(rows):
    return time.time()
"""


def test_the_others_stand_beside_those_that_fail(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sha256 = store.put(packed({"own.py": OWN.encode()}))
    names = ("rows", *BAD, "prints", "writes_to_our_line")
    metrics = [OwnMetric(name=n, entry=f"own:{n}", code_sha256=sha256, code_name="own.py") for n in names]
    found = dict(zip(names, run_apart(store, metrics, pl.DataFrame({"label": [0, 1]}), LIMIT_S), strict=True))
    assert [found[name].value for name in ("rows", "prints", "writes_to_our_line")] == [2, 7, 8]
    for name, said in BAD.items():
        assert found[name].value is None, name
        assert said in found[name].error, name
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x0098765" in read(p)], (
        "what it began goes too"
    )


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.float32(0.5), Said(value=0.5)),
        (True, Said(value=1.0)),
        ((0.5, 0.4, np.float64(0.6)), Said(value=0.5, low=0.4, high=0.6)),
        ((0.5, 0.4), "it gave 2 values (float, float)"),
        ((0.5, None, 0.6), "it gave 3 values (float, NoneType, float)"),
        ((0.5, 0.6, 0.7), "with a band from 0.6 to 0.7, which does not hold it"),
        (None, "it gave nothing"),
        ([1], "it gave a list"),
        (10**400, "it gave a int"),
        (float("-inf"), "it gave -inf"),
    ],
)
def test_only_numbers_are_values(given: object, said: Said | str) -> None:
    found = as_said(given)
    assert found == said if isinstance(said, Said) else said in found.error


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two hundred labelled loans of the last days, and metrics that may take two seconds."""
    folder = tmp_path_factory.mktemp("own")
    made = make_small(folder / "house", f'time_zone = "UTC"\nown_metric_limit_s = {LIMIT_S}\n')
    loans, frame, start = made[MODEL], planted(ROWS, seed=3), utc_now() - timedelta(days=5)
    at = pl.Series([start + timedelta(minutes=10 * n) for n in range(ROWS)])
    loans.log(loans.predict(frame.drop("failed")).with_columns(id=ids(ROWS), at=at, logged_at=at))
    label(made, frame["failed"], at)
    file = folder / "own.py"
    file.write_text(OWN)
    with pytest.raises(UnreviewedCode) as unseen:
        loans.add_metric("moment", "own:moment", code=file)
    for name in ("moment", "hangs"):
        loans.add_metric(name, f"own:{name}", code=file, trust=unseen.value.sha256)
    with pytest.raises(BadCode, match="it is no function but a int"):
        loans.add_metric("number", "own:number", code=file, trust=unseen.value.sha256)
    yield made
    made.close()


def ids(rows: int) -> pl.Series:
    return pl.int_range(rows, eager=True).cast(pl.String)


def label(house: House, told: pl.Series, at: pl.Series) -> None:
    house[MODEL].label(pl.DataFrame({"id": ids(len(told)), "label": told, "observed_at": at}))
    house.catch_up()


def moment(house: House) -> float | None:
    return house[MODEL].own_values("8w")[0].found.value


def test_what_was_said_of_the_same_log_is_remembered(house: House) -> None:
    first = moment(house)
    assert first == moment(house)
    assert house[MODEL].metrics("8w", own=False).own == ()
    assert house[MODEL].metrics("8w").own[0].found.value == first
    label(house, pl.Series([0, 1]), pl.Series([utc_now()] * 2))
    assert moment(house) not in (first, None)


def test_the_page_shows_the_value_and_the_reason(house: House) -> None:
    with dashboard_of(house.workspace.root):
        app = open_page("performance", model=MODEL, range="8w")
        assert not app.exception
        assert "own:hangs was stopped after 2 s" in words(app)
