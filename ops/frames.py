"""Frames as callers give them, made into frames as the log takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pilothouse.data.errors import MissingColumn


def under_our_names(frame: pl.DataFrame, mapping: Mapping[str, str], friendly: Mapping[str, str]) -> pl.DataFrame:
    """`frame` with its columns called as the log calls them. Raises MissingColumn when a mapped one is not there."""
    for theirs in mapping.values():
        if theirs not in frame.columns:
            raise MissingColumn("the frame", theirs, frame.columns)
    mapped = frame.drop(set(mapping) & set(frame.columns) - set(mapping.values())).rename(
        {theirs: ours for ours, theirs in mapping.items()}
    )
    short = {name: full for name, full in friendly.items() if name in mapped.columns and full not in mapped.columns}
    return mapped.rename(short)


def as_polars(frame: Any) -> pl.DataFrame:
    """A polars frame from a polars, pandas or Arrow one."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    return pl.from_pandas(frame) if hasattr(frame, "iloc") else pl.DataFrame(frame)
