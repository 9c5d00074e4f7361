"""Colours by their meaning: one name for one idea, in light and in dark.

A panel's figure names colours by meaning (`Colour.CURRENT`), never by value. `paint` puts values in at the edge: fixed
ones for a notebook or a saved page, and Streamlit's own palette tokens on a page, so that one figure serves both
themes and follows a switch without a rerun. Those tokens are private to Streamlit: this is the only module that
knows them, a test holds it against the installed Streamlit, and `.streamlit/config.toml` lists the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

CSS_FILE = Path(__file__).resolve().parent / "static" / "pilothouse.css"


class Colour(StrEnum):
    """What a colour says. No two meanings on a page share one."""

    CURRENT = "ph-current"
    REFERENCE = "ph-reference"
    CHALLENGER = "ph-challenger"
    TRUTH = "ph-truth"
    P50 = "ph-p50"
    P95 = "ph-p95"
    P99 = "ph-p99"
    HEALTHY = "ph-healthy"
    WATCH = "ph-watch"
    CRITICAL = "ph-critical"
    VOLUME = "ph-volume"
    STABLE = "ph-stable"
    BAND_WATCH = "ph-band-watch"
    BAND_DRIFT = "ph-band-drift"
    BAND_FAR = "ph-band-far"
    MUTED = "ph-muted"
    INK = "ph-ink"
    SURFACE = "ph-surface"
    GRID = "ph-grid"


CATEGORICAL = (
    Colour.CURRENT, Colour.REFERENCE, Colour.CHALLENGER, Colour.TRUTH, Colour.P50,
    Colour.P95, Colour.P99, Colour.HEALTHY, Colour.WATCH, Colour.CRITICAL,
)  # fmt: skip
"""Order of `chartCategoricalColors` in the theme."""

SEQUENTIAL = {Colour.STABLE: 0, Colour.VOLUME: 2, Colour.BAND_WATCH: 5, Colour.BAND_DRIFT: 7, Colour.BAND_FAR: 9}
"""Places in `chartSequentialColors`: a ramp from calm to far off."""

LIGHT: Mapping[str, str] = {
    Colour.CURRENT: "#2457C5", Colour.REFERENCE: "#A9B4C4", Colour.CHALLENGER: "#9333A8", Colour.TRUTH: "#17202E",
    Colour.P50: "#B9CF98", Colour.P95: "#7A9F3F", Colour.P99: "#486F12", Colour.HEALTHY: "#0B7A9B",
    Colour.WATCH: "#C27C00", Colour.CRITICAL: "#C0264B", Colour.STABLE: "#E9F0FA", Colour.VOLUME: "#C3D3EC",
    Colour.BAND_WATCH: "#F0B23E", Colour.BAND_DRIFT: "#D63A5F", Colour.BAND_FAR: "#8F1538",
    Colour.MUTED: "#667085", Colour.INK: "#17202E", Colour.SURFACE: "#FFFFFF", Colour.GRID: "#E6EAF0",
}  # fmt: skip

DARK: Mapping[str, str] = {
    Colour.CURRENT: "#7EA6FF", Colour.REFERENCE: "#56637A", Colour.CHALLENGER: "#D28BE6", Colour.TRUTH: "#E4E9F1",
    Colour.P50: "#4F6A2A", Colour.P95: "#86AB4C", Colour.P99: "#C0DF85", Colour.HEALTHY: "#4CBBD9",
    Colour.WATCH: "#F0B429", Colour.CRITICAL: "#FF6B85", Colour.STABLE: "#18263C", Colour.VOLUME: "#2C456F",
    Colour.BAND_WATCH: "#D99A23", Colour.BAND_DRIFT: "#B52F55", Colour.BAND_FAR: "#FF6B8B",
    Colour.MUTED: "#94A3B8", Colour.INK: "#E4E9F1", Colour.SURFACE: "#0F1620", Colour.GRID: "#243042",
}  # fmt: skip


def _streamlit_tokens() -> dict[str, str]:
    tokens: dict[str, str] = {colour: f"#{place + 1:06d}" for place, colour in enumerate(CATEGORICAL)}
    tokens |= {colour: f"#{place + 11:06d}" for colour, place in SEQUENTIAL.items()}
    return tokens | {
        Colour.MUTED: "#000036",
        Colour.INK: "#000037",
        Colour.SURFACE: "#000038",
        Colour.GRID: "#000039",
    }


STREAMLIT: Mapping[str, str] = _streamlit_tokens()
"""Tokens that Streamlit's frontend replaces with the colours of the theme in force."""


def paint(spec: Any, palette: Mapping[str, str]) -> Any:
    """`spec` with every colour's name replaced by its value in `palette`; the original is left as it is."""
    if isinstance(spec, str):
        return palette.get(spec, spec)
    if isinstance(spec, Mapping):
        return {key: paint(value, palette) for key, value in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [paint(value, palette) for value in spec]
    return spec
