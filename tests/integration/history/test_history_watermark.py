"""The watermark while rows are being sealed: it may tell of more work than there is, never of less."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.small import MODEL, make_small, planted

import pilothouse.data.history.history as asked
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import seal
from pilothouse.ops.house import House


@pytest.mark.parametrize(("place", "name"), [(PredictionLog, "unsealed_rows"), (asked, "open_tables")])
@pytest.mark.parametrize("before", [True, False])
def test_rows_sealed_while_the_watermark_is_taken_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, before: bool
) -> None:
    with closing(make_small(tmp_path / "house")) as house:
        house.catch_up()
        rows = planted(20, seed=1).drop("failed").with_columns(score=pl.lit(0.5), prediction=pl.lit(0))
        house[MODEL].log(rows, version=1)
        monkeypatch.setattr(place, name, sealing(house, getattr(place, name), before))
        assert house[MODEL].history.watermark().behind


def sealing(house: House, then: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """`then`, with all that waits in the spool sealed just before it or just after it."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            seal_all(house)
        found = then(*args, **kwargs)
        if not before:
            seal_all(house)
        return found

    return wrapped


def seal_all(house: House) -> None:
    seal(house.workspace, {MODEL: house[MODEL].signature}, house.settings, clock=house.clock)
