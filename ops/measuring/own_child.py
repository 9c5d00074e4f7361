"""The process that runs a team's own metrics: `python -m pilothouse.ops.measuring.own_child FOLDER FIRST`.

FOLDER holds `order.json`, the archives that the order names, and `rows.arrow`; without rows the metrics are only looked up.
From the metric number FIRST on, each gives one line of JSON on stdout; the line before the first says that it begins.
Here a metric may print, hang, end the process or take all memory: whoever asked goes on.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pilothouse.ops.runtimes.code import OwnCode

ORDER, ROWS = "order.json", "rows.arrow"
MEMORY_BYTES, FILE_BYTES = 4 * 2**30, 2**30
_NICENESS = 5
_MOST_WORDS = 200


class Wanted(msgspec.Struct):
    """A metric to run. entry : `module:object`. code : the file in the folder that holds its module; empty where it is installed."""

    entry: str
    code: str = ""


class Order(msgspec.Struct):
    """path : where modules are looked for, as in the process that asks."""

    wanted: list[Wanted]
    path: list[str]


class Said(msgspec.Struct):
    """What came of a metric. error : why there is no value; `found` tells whether the metric itself could be had."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    error: str = ""
    found: bool = True


def main(folder: Path, first: int) -> None:
    """Say something of every metric from number `first` on."""
    _limit()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # Whatever a metric prints must not be taken for an answer.
    os.dup2(2, 1)
    order = msgspec.json.decode((folder / ORDER).read_bytes(), type=Order)
    sys.path[:] = order.path
    rows = pl.read_ipc(folder / ROWS) if (folder / ROWS).exists() else None
    answers.write(b"\n")
    for wanted in order.wanted[first:]:
        answers.write(msgspec.json.encode(_said(folder, wanted, rows)) + b"\n")


def _limit() -> None:
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _said(folder: Path, wanted: Wanted, rows: pl.DataFrame | None) -> Said:
    # A team's own code fails in whatever way it likes, when it is imported and when it runs; the other metrics stand.
    try:
        function = _function(folder, wanted)
    except (Exception, SystemExit) as error:
        return Said(error=f"it cannot be imported ({_short(error)})", found=False)
    if not callable(function):
        return Said(error=f"it is no function but a {type(function).__name__}", found=False)
    if rows is None:
        return Said()
    try:
        return as_said(function(rows))
    except (Exception, SystemExit) as error:
        return Said(error=f"{wanted.entry} failed ({_short(error)})")


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_MOST_WORDS]


def _function(folder: Path, wanted: Wanted) -> Any:
    if wanted.code:
        return OwnCode((folder / wanted.code).read_bytes(), wanted.code).find(wanted.entry)
    module, _, name = wanted.entry.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def as_said(given: object) -> Said:
    """A number, or a number and the two ends of its band, as it is told; in all other cases why it is neither.

    >>> as_said((0.5, 0.4, 0.6)).high, as_said("much").error
    (0.6, 'it gave a str; a number is wanted, or a number and the two ends of its band')
    """
    numbers = [_number(one) for one in (given if isinstance(given, tuple) else (given,))]
    if len(numbers) not in (1, 3) or None in numbers:
        return Said(error=f"it gave {_what(given)}; a number is wanted, or a number and the two ends of its band")
    value, low, high = (*numbers, None, None)[:3]
    if value is None or not math.isfinite(value):
        return Said(error=f"it gave {value}, which is no number that can be shown")
    if low is None or high is None:
        return Said(value=value)
    if not low <= value <= high or not math.isfinite(high - low):
        return Said(error=f"it gave {value:g} with a band from {low:g} to {high:g}, which does not hold it")
    return Said(value=value, low=low, high=high)


def _number(one: object) -> float | None:
    """`one` as a number, also NumPy's and those of a frame; None for what is none. A text is none, whatever it spells."""
    if isinstance(one, str | bytes):
        return None
    try:
        return float(one)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _what(given: object) -> str:
    if isinstance(given, tuple):
        return f"{len(given)} values ({', '.join(type(one).__name__ for one in given[:4])})"
    return "nothing" if given is None else f"a {type(given).__name__}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
