"""A figure on its way to the browser as it stands.

Streamlit has Plotly look at every property of a figure each time that a page is shown, which for a page of nine figures
took as long as a question to the log. Ours are made by our own code, and a test has Plotly look at them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import plotly.io
from plotly.basedatatypes import BaseFigure


class Drawn(BaseFigure):  # type: ignore[misc]
    """What `st.plotly_chart` takes for a figure that has been looked at: the spec, and the template of its theme."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        # Not Plotly's own, which does what is to be spared here.
        self._spec = spec

    def to_dict(self) -> dict[str, Any]:
        """The spec with the template in force, which Plotly would put there, and which Streamlit's colours rest on."""
        return {
            **self._spec,
            "layout": {"template": _template(plotly.io.templates.default), **self._spec.get("layout", {})},
        }


@lru_cache(maxsize=4)
def _template(name: str) -> dict[str, Any]:
    template: dict[str, Any] = plotly.io.templates[name].to_plotly_json()
    return template
