"""A file is scored exactly as the service answers the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from pilothouse.app.house import House

ROWS: list[dict[str, Any]] = [
    {"carrier": carrier, "hour": hour, "temp": temp, "distance": 100.0 + 37 * hour}
    for carrier in ("UA", "AA", "UA ", None)
    for hour in (0, 11, 12, 23)
    for temp in (61.5, None)
]


def test_a_file_as_the_service_answers(bench: Any, client: Any, tmp_path: Path) -> None:
    answered = client.post("/models/flights/predict", json={"rows": ROWS})
    assert answered.status_code == 200, answered.text
    told = answered.json()["predictions"]
    pl.DataFrame(ROWS).write_parquet(tmp_path / "asked.parquet")
    house = House.open(bench.workspace.root)
    report = house["flights"].score(tmp_path / "asked.parquet", tmp_path / "scored.parquet", log=False)
    house.close()
    assert report.counts.scored == len(ROWS)
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored["prediction"].to_list() == [row["prediction"] for row in told]
    assert scored["score"].to_list() == [row["score"] for row in told]
