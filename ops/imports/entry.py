"""The ways in: what the command line, the page and the notebook call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from pilothouse.ops.frames import as_polars
from pilothouse.ops.house import House
from pilothouse.ops.imports.digests import frame_digest
from pilothouse.ops.imports.plan import Wishes
from pilothouse.ops.imports.queries import fetch, forget
from pilothouse.ops.imports.records import Records
from pilothouse.ops.imports.report import ImportReport, Preview, Progress
from pilothouse.ops.imports.run import Order, preview, run_import
from pilothouse.ops.imports.sources import Source, Tables, open_source


def import_log(
    house: House,
    name: str,
    source: Any,
    *,
    tell: Callable[[Progress], None] = lambda progress: None,
    **options: Any,
) -> ImportReport:
    """See `House.import_log`."""
    report = run_import(house, order_of(house, name, source, **options), tell=tell)
    if query := options.get("query"):
        forget(Records(house.workspace, name).folder, str(source), query)
    return report


def preview_import(house: House, name: str, source: Any, **options: Any) -> Preview:
    """See `House.preview_import`. A query is fetched for it, and the file of its result is not kept."""
    query = options.get("query")
    found = preview(house, order_of(house, name, source, **options))
    if query and not options.get("resume"):
        forget(Records(house.workspace, name).folder, str(source), query)
    return found


def order_of(
    house: House,
    name: str,
    source: Any,
    *,
    labels: Any = None,
    reference: Any = None,
    query: str | None = None,
    encoding: str | None = None,
    bad_rows: str | Path | None = None,
    resume: bool = False,
    wishes: Wishes | None = None,
    **said: Any,
) -> Order:
    """The order for an import.

    source, labels, reference : paths or frames; with `query`, `source` is the address of a database.
    said : fields of Wishes, where no `wishes` are given.
    """
    unknown = sorted(set(said) - {f.name for f in fields(Wishes)})
    if unknown:
        raise TypeError(f"an import has no option {', '.join(unknown)}")
    if query is not None:
        predictions: Source = fetch(
            str(source), query, Records(house.workspace, name).folder, model=name, resume=resume
        )
    else:
        predictions = opened(source, encoding)
    beside = _path(source) if query is None else None
    return Order(
        model=name, source=predictions, labels=None if labels is None else opened(labels, encoding),
        reference=None if reference is None else opened(reference, encoding), wishes=wishes or Wishes(**said),
        bad_rows=None if bad_rows is None else Path(bad_rows), beside=beside, labels_beside=_path(labels), resume=resume,
    )  # fmt: skip


def _path(source: Any) -> Path | None:
    return Path(source) if isinstance(source, str | Path) else None


def opened(source: Any, encoding: str | None) -> Source:
    """The source that somebody names by its path, or gives as a frame. Raises UnreadableSource."""
    if isinstance(source, str | Path):
        return open_source(Path(source), encoding=encoding)
    frame = as_polars(source)

    def read(columns: Sequence[str] | None) -> Any:
        chosen: pl.DataFrame = frame if columns is None else frame.select(columns)
        return chosen.to_arrow().to_batches(max_chunksize=65_536)

    return Tables(name="the frame", rows=frame.height, digest_of=lambda: frame_digest(frame), read=read)
