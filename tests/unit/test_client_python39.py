"""The client's source keeps to the grammar of the oldest Python that it is installed on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parents[2] / "ops" / "client" / "src").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_is_python_39(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    # Annotations such as `str | None` would be worked out when the module is loaded, and fail there.
    futures = [name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names]
    assert "annotations" in futures or path.name == "__init__.py"
