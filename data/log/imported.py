"""Questions that an import asks of the log: which rows are there already, and which of its labels have found theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from pilothouse.data.log.repeats import ANSWERING
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.signature import Signature
from pilothouse.data.sql.duck import connect, statement
from pilothouse.data.sql.labels import label_matches
from pilothouse.data.workspace import Workspace


def known_rows(asked: pa.Table, files: Sequence[str]) -> list[int]:
    """Numbers of the rows of `asked` (columns IDENTITY) that the prediction table's `files` hold as the same answer."""
    numbered = asked.append_column("row_number", pa.array(range(asked.num_rows), pa.int64()))
    with connect(sorted({Path(file).parent for file in files})) as database:
        database.register("asked", numbered)
        rows = database.sql(statement("known_rows"), params={"files": list(files), "answering": ANSWERING}).fetchall()
    return [number for (number,) in rows]


def matched_labels(workspace: Workspace, model: str, signature: Signature, source: str, horizon: timedelta) -> int:
    """How many labels that name `source` as theirs belong to a prediction of the log.

    horizon : how long after an event a label found by its key still belongs to it.
    """
    predictions, labels = (folder(workspace, model, signature).files() for folder in (prediction_folder, label_folder))
    if not predictions or not labels:
        return 0
    text = statement("matched_labels").format(matches=label_matches("log", "told"))
    with connect([workspace.predictions(model), workspace.labels(model)]) as database:
        given = {"predictions": predictions, "labels": labels, "source": source, "horizon": horizon}
        ((matched,),) = database.execute(text, given).fetchall()
    return int(matched)
