"""Any two versions of a model on the same logged, labelled rows."""

from __future__ import annotations

from pilothouse.data.errors import EmptyWindow
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.measures.compare import Comparison
from pilothouse.data.state import catalog
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.windows import Window
from pilothouse.data.workspace import Workspace
from pilothouse.ops.pipeline import snapshot, tasks
from pilothouse.ops.pipeline.tasks import Artifact


def compare(
    workspace: Workspace, state: State, store: Store, model: str, champion: int, challenger: int, window: Window
) -> Comparison:
    """Both versions score the labelled rows of `window` anew, from the features as logged, and are compared row by row.

    Raises UnknownModel, UnknownVersion, EmptyWindow without labelled rows, BadData when all are of one class.
    """
    with state.read() as conn:
        row = catalog.get_model(conn, model)
        versions = [catalog.get_version(conn, model, version) for version in (champion, challenger)]
    log = PredictionLog(workspace, model, row.signature, row.label_policy)
    rows, _ = snapshot.labelled_rows(log, row.signature, window)
    if rows.is_empty():
        raise EmptyWindow(f"The labelled log of {model} in {window}")
    old, new = (Artifact(sha256=v.artifact_sha256, trusted=v.trusted_types).load(store) for v in versions)
    return tasks.judge(old, new, row.signature, rows)
