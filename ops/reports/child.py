"""The child process that makes an Evidently report: a request folder in, `report.html` and `verdicts.json` out.

Evidently takes seconds to import and more to run, and holds hundreds of megabytes: the dashboard must not carry that.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def _plain_pandas(path: Path, numeric: list[str], categorical: list[str]) -> Any:
    """The frame with plain NumPy dtypes: Evidently drops nullable and Arrow-backed columns without a word."""
    import polars as pl

    frame = pl.read_parquet(path)
    pandas = frame.select(*numeric, *categorical, "label", "score").to_pandas()
    for name in categorical:
        pandas[name] = pandas[name].astype(object)
    return pandas


def make(folder: Path) -> None:
    """Make the report that `folder`/request.json asks for; parquet files `current` and `reference` lie beside it."""
    started = time.perf_counter()
    warnings.simplefilter("ignore")
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset

    request = json.loads((folder / "request.json").read_text())
    numeric, categorical = request["numeric"], request["categorical"]
    labelled = request["labelled"]
    classification = [BinaryClassification(target="label", prediction_probas="score", pos_label=1)]
    definition = DataDefinition(
        numerical_columns=numeric,
        categorical_columns=categorical,
        classification=classification if labelled else None,
    )
    current, reference = (
        Dataset.from_pandas(_plain_pandas(folder / f"{name}.parquet", numeric, categorical), data_definition=definition)
        for name in ("current", "reference")
    )
    columns = numeric + categorical
    presets = [DataDriftPreset(columns=columns), DataSummaryPreset(columns=columns)]
    report = Report([*presets, ClassificationPreset()] if labelled else presets, include_tests=True)
    snapshot = report.run(current, reference)
    (folder / "report.html").write_text(snapshot.get_html_str(as_iframe=False), encoding="utf-8")
    verdicts = [
        {
            "name": metric["config"]["column"],
            "method": metric["config"]["method"],
            "threshold": float(metric["config"]["threshold"]),
            "value": float(metric["value"]),
        }
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"] == "evidently:metric_v2:ValueDrift"
    ]
    answer = {"seconds": time.perf_counter() - started, "features": verdicts}
    (folder / "verdicts.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
