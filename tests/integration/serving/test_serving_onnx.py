"""The service answers the same with the ONNX form of a version as with the original."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.integration.serving.conftest import SIGNATURE, Bench

from pilothouse.data.state import catalog
from pilothouse.data.state.catalog import Conversion
from pilothouse.ops.runtimes import tasks
from pilothouse.ops.runtimes.originals import Artifact


def converted_twin(bench: Bench, folder: Path) -> int:
    """A version like the first one, with its ONNX form."""
    with bench.state.read() as conn:
        first = catalog.get_version(conn, "flights", 1)
    rng, file = np.random.default_rng(5), folder / "rows.parquet"
    pl.DataFrame(
        {
            "carrier": rng.choice(["UA", "AA", "DL", "ZZ"], 500),
            "hour": rng.integers(0, 24, 500),
            "temp": rng.normal(60, 10, 500),
            "distance": rng.uniform(100, 2500, 500),
        }
    ).write_parquet(file)
    task = tasks.Original(
        artifact=Artifact.of(first), signature=SIGNATURE, threshold=0.5,
        rows_file=str(file),
    )  # fmt: skip
    told: Conversion = tasks.convert(task, bench.store, lambda text: None)
    assert told.sha256 is not None, told.reason
    with bench.state.write() as conn:
        number = catalog.next_version(conn, "flights")
        catalog.add_version(conn, replace(first, version=number, conversion=told))
    return number


def answers(client: Any, rows: list[dict[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
    answer = client.post("/models/flights/predict", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    return answer.json()["version"], answer.json()["predictions"]


def test_both_forms_answer_alike_over_http(bench: Bench, serve_with: Any, tmp_path: Path) -> None:
    twin = converted_twin(bench, tmp_path)
    rows = [
        {"carrier": carrier, "hour": hour, "temp": temp, "distance": 1234.5}
        for carrier in ("UA", "DL", "never seen", None)
        for hour in (0, 9, None)
        for temp in (61.5, None)
    ]
    with serve_with() as client:
        version, wanted = answers(client, rows)
        assert (version, client.get("/models/flights").json()["answers_with"]) == (1, "sklearn")
    bench.flip(twin)
    with serve_with() as client:
        version, found = answers(client, rows)
        assert (version, client.get("/models/flights").json()["answers_with"]) == (twin, "onnx")
    assert [row["score"] for row in found] == pytest.approx([row["score"] for row in wanted], abs=1e-5)
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
