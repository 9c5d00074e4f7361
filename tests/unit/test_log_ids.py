"""Ids made as a column: those of RFC 9562, laid out and ordered as the ones made one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest

from pilothouse.data.log.ids import new_id_column, new_ids

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
COUNTED = 1 << 12


@pytest.mark.parametrize("count", [0, 1, 3 * COUNTED + 5])
def test_ids_of_a_column_are_laid_out_as_single_ones(count: int) -> None:
    column = new_id_column(count, NOON).to_list()
    assert [text[:18] for text in column] == [text[:18] for text in new_ids(count, NOON)]
    parsed = [UUID(text) for text in column]
    assert [str(one) for one in parsed] == column
    assert {(one.version, one.variant) for one in parsed} <= {(7, RFC_4122)}
    assert all(before < after for before, after in pairwise(column))


def test_the_rest_is_random() -> None:
    first, second = ({text[19:] for text in new_id_column(COUNTED, NOON)} for _ in range(2))
    assert len(first | second) == 2 * COUNTED
