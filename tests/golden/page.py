"""The page of the documentation that says how closely each measure agrees with other implementations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.golden.agreement import RESULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agreement.md"
_HEAD = """# Agreement with other implementations

Measures of which there is an independent implementation are compared with it on the same rows: real flights, and planted data. The
tables have the largest difference that was seen, and how much is allowed. Where the definition is the same, only rounding may
differ; where it is not, the note says why. `make golden` measures all of it anew and writes this page; the tests do so on
every change.
"""


def write_page() -> None:
    """Write docs/agreement.md from the results of all families."""
    parts = [_HEAD]
    for file in sorted(RESULTS.glob("*.json")):
        parts += [f"## {file.stem.replace('_', ' ').capitalize()}\n", *_table(json.loads(file.read_text())), ""]
    PAGE.write_text("\n".join(parts).rstrip() + "\n")


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| measure | against | on | values | largest difference | allowed |"
    yield "| --- | --- | --- | ---: | ---: | ---: |"
    for row in rows:
        note = f" ({row['note']})" if row["note"] else ""
        unit = " of the value" if row["relative"] else ""
        cells = (row["measure"] + note, row["rival"], row["data"], f"{row['compared']:,}")
        yield "| " + " | ".join((*cells, f"{row['largest']:.1e}{unit}", f"{row['allowed']:.0e}")) + " |"
