"""Questions about the quality of what a model is asked, and the acts on its data schema. A part of its handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pilothouse.data.measures.quality import Quality
from pilothouse.data.state.catalog import ModelRow
from pilothouse.data.windows import Window
from pilothouse.ops.measuring.quality import measure_quality
from pilothouse.ops.measuring.schemas import AgreedSchema, agreed, edit

if TYPE_CHECKING:
    from pilothouse.ops.house import House
    from pilothouse.ops.model import ModelHandle


class QualityActs:
    """What a model's rows are to keep to, and whether they do."""

    house: House
    row: ModelRow

    def quality(self, window: str | Window = "7d") -> Quality:
        """Which rules the window's rows break and since when, and whether as many came as usual. Raises QueryTooSlow."""
        handle = cast("ModelHandle", self)
        return measure_quality(handle, handle.window(window) if isinstance(window, str) else window)

    @property
    def schema(self) -> AgreedSchema:
        """The rules in force: the newest version agreed on, or what the reference suggests."""
        return agreed(self.house.workspace, self.house.state, self.row)

    def edit_schema(self, *edits: str, reason: str) -> AgreedSchema:
        """Agree on other rules, such as "age <= 120"; without an edit, on those inferred. See `ops.measuring.schemas.edit`."""
        return edit(cast("ModelHandle", self), edits, reason)
