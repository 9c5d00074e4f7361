"""The FastAPI application of docs/client.md, as it stands there, without its middleware, and as a process."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "client.md"
SERVICE = "http://127.0.0.1:3000"
_MIDDLEWARE = re.compile(r"app\.add_middleware\(.*?\n\)[^\n]*\n", re.S)


def documented(url: str) -> list[str]:
    """The documented blocks of Python, speaking to the service at `url`."""
    return [block.replace(SERVICE, url) for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)]


def write_watched(folder: Path, name: str, url: str) -> None:
    """Write the documented application to `folder` as the module `name`."""
    (folder / f"{name}.py").write_text(documented(url)[0])


def write_plain(folder: Path, name: str) -> None:
    """Write the same application without the middleware."""
    source, found = _MIDDLEWARE.subn("", documented(SERVICE)[0])
    assert found == 1
    (folder / f"{name}.py").write_text(source)
