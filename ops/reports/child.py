"""The child process that makes an Evidently report: a request folder in, `report.html`, `report.json` and `answer.json` out.

Evidently takes seconds to import and more to run, and holds hundreds of megabytes: the dashboard must not carry that.
JSON lines go out on stdout while it works: {"say": text}.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def _say(text: str) -> None:
    print(json.dumps({"say": text}), flush=True)  # noqa: T201


def _plain_pandas(path: Path, request: dict[str, Any]) -> Any:
    """The frame with plain NumPy dtypes: Evidently drops nullable and Arrow-backed columns without a word."""
    import polars as pl

    numeric, categorical = request["numeric"], request["categorical"]
    pandas = pl.read_parquet(path).select(*numeric, *categorical, *request["outcome"]).to_pandas()
    texts = [name for name in pandas if pandas[name].dtype.kind not in "ifb"]
    for name in {*categorical, *texts}:
        pandas[name] = pandas[name].astype(object)
    return pandas


def _definition(request: dict[str, Any]) -> Any:
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression

    told: dict[str, Any] = {
        "binary": {"classification": [BinaryClassification(target="label", prediction_probas="score", pos_label=1)]},
        "multiclass": {"classification": [MulticlassClassification(target="label", prediction_labels="prediction")]},
        "regression": {"regression": [Regression(target="label", prediction="prediction")]},
        "": {},
    }
    return DataDefinition(
        numerical_columns=request["numeric"], categorical_columns=request["categorical"], **told[request["task"]]
    )


def _presets(request: dict[str, Any]) -> list[Any]:
    from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset, RegressionPreset

    columns = request["numeric"] + request["categorical"]
    make = {
        "drift": lambda: DataDriftPreset(columns=columns),
        "summary": lambda: DataSummaryPreset(columns=columns),
        "classification": ClassificationPreset,
        "regression": RegressionPreset,
    }
    return [make[name]() for name in request["presets"]]


def make(folder: Path) -> None:
    """Make the report that `folder`/request.json asks for; parquet files `current` and `reference` lie beside it."""
    started = time.perf_counter()
    warnings.simplefilter("ignore")
    _say("loading Evidently")
    from evidently import Dataset, Report

    request = json.loads((folder / "request.json").read_text())
    _say("reading the rows")
    definition = _definition(request)
    current, reference = (
        Dataset.from_pandas(_plain_pandas(folder / f"{name}.parquet", request), data_definition=definition)
        for name in ("current", "reference")
    )
    _say(f"measuring: {', '.join(request['presets'])}")
    snapshot = Report(_presets(request), include_tests=True).run(current, reference)
    if request["html"]:
        _say("drawing the report")
        (folder / "report.html").write_text(snapshot.get_html_str(as_iframe=False), encoding="utf-8")
    (folder / "report.json").write_text(snapshot.json(), encoding="utf-8")
    found = snapshot.dict()
    answer = {
        "seconds": time.perf_counter() - started,
        "features": [_verdict(metric) for metric in found["metrics"] if _is_drift(metric)],
        "tests": [_test(test) for test in found["tests"]],
    }
    (folder / "answer.json").write_text(json.dumps(answer))


def _is_drift(metric: dict[str, Any]) -> bool:
    return bool(metric["config"]["type"] == "evidently:metric_v2:ValueDrift")


def _verdict(metric: dict[str, Any]) -> dict[str, Any]:
    config = metric["config"]
    return {
        "name": config["column"],
        "method": config["method"],
        "threshold": float(config["threshold"]),
        "value": float(metric["value"]),
    }


def _test(test: dict[str, Any]) -> dict[str, str]:
    status = str(getattr(test["status"], "value", test["status"])).lower()
    return {"name": str(test["name"]), "status": status, "detail": str(test["description"])}


if __name__ == "__main__":
    make(Path(sys.argv[1]))
