"""The two Delta tables of a model's log."""

from __future__ import annotations

from collections.abc import Callable

from pilothouse.data.delta import DeltaFolder
from pilothouse.data.log.places import index_of
from pilothouse.data.log.schema import label_schema, prediction_schema
from pilothouse.data.signature import Kind, Signature
from pilothouse.data.workspace import Workspace

CROWDED = 24
"""Files in one day above which `compact_log` merges them."""


def _no_crash(point: str) -> None:
    """Where nothing is to die."""


def prediction_folder(
    workspace: Workspace, model: str, signature: Signature, *, crash: Callable[[str], None] = _no_crash
) -> DeltaFolder:
    """The predictions of `model`, partitioned by the day of the event."""
    categories = [c.column for c in signature.logged if c.kind is Kind.CATEGORY]
    return DeltaFolder(
        workspace.predictions(model),
        prediction_schema(signature),
        ("day",),
        dictionaries=["role", "status", "caller", "spool", *_category_target(signature, "prediction"), *categories],
        looked_up=["prediction_id"],
        crash=crash,
    )


def label_folder(
    workspace: Workspace, model: str, signature: Signature, *, crash: Callable[[str], None] = _no_crash
) -> DeltaFolder:
    """The labels of `model`, partitioned by the day they were recorded."""
    return DeltaFolder(
        workspace.labels(model),
        label_schema(signature),
        ("day",),
        dictionaries=["source", "spool", *_category_target(signature, "label")],
        looked_up=["prediction_id"],
        crash=crash,
    )


def compact_log(workspace: Workspace, model: str, signature: Signature, *, crowded: int = CROWDED) -> dict[str, int]:
    """Merge the files of every day that has more than `crowded`; returns the days merged for each table."""
    merged = {}
    for folder in (prediction_folder(workspace, model, signature), label_folder(workspace, model, signature)):
        days = folder.crowded(crowded)
        if days:
            folder.compact(days)
            index_of(folder).keep_only(folder.files(check=False))
        merged[folder.path.parent.name] = len(days)
    return merged


def _category_target(signature: Signature, column: str) -> list[str]:
    return [column] if signature.target.kind is Kind.CATEGORY else []
