"""Any two versions of a model on the same logged, labelled rows."""

from __future__ import annotations

from pilothouse.data.errors import BadData, EmptyWindow
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.signature import Task
from pilothouse.data.state.catalog import VersionRow
from pilothouse.data.store import Store
from pilothouse.data.windows import Window
from pilothouse.ops.pipeline import snapshot, tasks
from pilothouse.ops.runtimes.originals import Artifact


def compare(
    log: PredictionLog, store: Store, champion: VersionRow, challenger: VersionRow, window: Window
) -> Comparison:
    """Both versions score the labelled rows of `window` anew, from the features as logged, and are compared row by row.

    Raises EmptyWindow without labelled rows, BadData unless the model is binary, when all are of one class, or when the
    versions take their features in different ways.
    """
    signature = log.signature.of_version(champion.version)
    if signature.task is not Task.BINARY:
        raise BadData(
            f"Two versions are scored anew and compared row by row for binary models only; {log.model} is a "
            f"{signature.task} model. Compare what each has shown on its own rows."
        )
    if signature != log.signature.of_version(challenger.version):
        raise BadData(
            f"Versions {champion.version} and {challenger.version} of {log.model} take their features in different ways: "
            "no row has what both need. Compare what each has shown on its own rows."
        )
    rows, _ = snapshot.labelled_rows(log, signature, window)
    if rows.is_empty():
        raise EmptyWindow(f"The labelled log of {log.model} in {window}")
    old, new = (Artifact.of(version).load(store) for version in (champion, challenger))
    return tasks.judge(old, new, signature, rows)
