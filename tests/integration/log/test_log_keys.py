"""Business keys, however they are spelled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.support.small import MODEL, ROW, make_small

from pilothouse.data.errors import BadData


def test_a_label_finds_its_row_in_whatever_spelling_both_came(tmp_path: Path) -> None:
    loans = make_small(tmp_path / "workspace")[MODEL]
    row = pl.DataFrame([ROW]).with_columns(prediction=1, key=pl.lit('{"contract": 7.0, "branch" : "Kraków"}'))
    loans.log(row)
    told = {"key": ['{"branch":"Krak\\u00f3w","contract":7}'], "label": [1], "observed_at": [datetime.now(UTC)]}
    loans.label(pl.DataFrame(told))
    found = loans.rows("1d", key={"contract": 7, "branch": "Kraków"})
    assert len(found.rows) == 1
    assert found.rows[0][found.columns.index("label")] == 1
    loans.house.close()


@pytest.mark.parametrize("key", ["contract 7", "[7]", '{"contract": [7]}'])
def test_a_key_that_is_no_object_of_parts_is_refused(tmp_path: Path, key: str) -> None:
    loans = make_small(tmp_path / "workspace")[MODEL]
    with pytest.raises(BadData, match="Give a JSON object of strings and numbers"):
        loans.log(pl.DataFrame([ROW]).with_columns(prediction=1, key=pl.lit(key)))
    loans.house.close()
