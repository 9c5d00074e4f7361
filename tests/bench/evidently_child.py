"""Evidently in a process of its own: `python -m tests.bench.evidently_child FOLDER`, one answer for each line it is sent.

FOLDER holds `current.parquet`, `reference.parquet` and `columns.json`. An answer is the processor time in milliseconds
of making its data sets and running its drift preset; imports and reading the files are done before.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pandas as pd

from tests.bench.repeat import cpu_ms


def main() -> None:
    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    folder = Path(sys.argv[1])
    columns = json.loads((folder / "columns.json").read_text())
    numeric, categorical = columns["numeric"], columns["categorical"]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    frames = [_plain(folder / f"{name}.parquet", categorical) for name in ("current", "reference")]

    def preset() -> None:
        data = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
        Report([DataDriftPreset(columns=numeric + categorical)]).run(*data)

    for _ in sys.stdin:
        print(cpu_ms(preset), flush=True)


def _plain(path: Path, categorical: list[str]) -> pd.DataFrame:
    """With plain NumPy dtypes: Evidently drops nullable and Arrow-backed columns without a word."""
    frame = pd.read_parquet(path)
    return frame.astype(dict.fromkeys(categorical, object))


if __name__ == "__main__":
    main()
