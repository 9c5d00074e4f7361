"""The dashboard's pages, run in this process without a browser, on a workspace of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import pilothouse.app

ENTRY = Path(pilothouse.app.__file__).resolve().parent / "main.py"
PAGES = ("fleet", "model", "drift", "performance", "segments", "quality", "explain", "releases", "retrain")


@contextmanager
def dashboard_of(workspace: Path) -> Iterator[None]:
    """The dashboard's process looks at `workspace`, and remembers nothing of another."""
    import streamlit as st

    before = os.environ.get("PILOTHOUSE_WORKSPACE")
    os.environ["PILOTHOUSE_WORKSPACE"] = str(workspace)
    st.cache_data.clear()
    st.cache_resource.clear()
    try:
        yield
    finally:
        from pilothouse.app import session

        session.house().close()  # type: ignore[attr-defined]
        st.cache_data.clear()
        st.cache_resource.clear()
        os.environ.pop("PILOTHOUSE_WORKSPACE")
        if before is not None:
            os.environ["PILOTHOUSE_WORKSPACE"] = before


def open_page(name: str, **query: str) -> AppTest:
    """The page as somebody finds it who follows a link to it."""
    app = AppTest.from_file(str(ENTRY), default_timeout=60)
    # AppTest has no way to open a page of `st.navigation` by its address: this is what the browser would send.
    app._page_hash = calc_hash("" if name == "fleet" else name)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def words(app: AppTest) -> str:
    """All that the page says, as HTML."""
    return "\n".join(str(element.proto.body) for element in app.get("html"))
