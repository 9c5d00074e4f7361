"""A question that takes too long is ended, and so is one that nobody waits for any more."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pilothouse.data.errors import QueryCancelled, QueryTooSlow
from pilothouse.data.limits import Limit, check_limit
from pilothouse.data.sql.duck import connect

ENDLESS = "SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b WHERE a.range * b.range % 7 = 1"


def test_a_slow_query_is_ended_and_the_limit_named(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(QueryTooSlow, match=r"longer than 0.2 s and was ended. Ask for a narrower window"):
        with Limit(0.2), connect([tmp_path]) as duck:
            duck.sql(ENDLESS).fetchall()
    assert time.monotonic() - begun < 5


def test_who_asked_can_call_it_off_from_another_thread(tmp_path: Path) -> None:
    limit = Limit(60)
    threading.Timer(0.2, limit.cancel).start()
    with pytest.raises(QueryCancelled, match="called off"), limit, connect([tmp_path]) as duck:
        duck.sql(ENDLESS).fetchall()


def test_work_in_pieces_ends_between_two_of_them() -> None:
    with pytest.raises(QueryTooSlow), Limit(0.05):  # noqa: PT012
        time.sleep(0.2)
        check_limit()


def test_the_outer_limit_holds_and_nothing_is_limited_outside(tmp_path: Path) -> None:
    with Limit(60), Limit(0.05):
        time.sleep(0.2)
        check_limit()
    check_limit()
    with connect([tmp_path]) as duck:
        assert duck.sql("SELECT 1").fetchall() == [(1,)]
