"""What is measured of a model beyond its roll-ups. A part of its handle."""

from __future__ import annotations


class MeasureActs:
    """The measures of a model's handle: each method asks one question of the log and the reference."""
