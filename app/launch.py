"""How the dashboard is started: `python -m pilothouse.app.launch PORT`, for the workspace PILOTHOUSE_WORKSPACE names.

Streamlit runs a page's script, and so its imports, when the first browser asks for it. These take seconds, of which the
browser spends most on loading itself, so a thread makes them as soon as the server answers.
"""

from __future__ import annotations

import pkgutil
import socket
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Thread

_ADDRESS = "127.0.0.1"
_LOOK_EVERY_S, _ANSWERS_WITHIN_S = 0.1, 90.0
_NO_PART_OF_PAGES = {"main", "launch", "cli"}
_WHERE_USED = (
    "pandas",
    "alembic.migration",
    "deltalake",
    "scipy.special",
    "plotly.tools",
    "plotly.io",
    "onnxruntime",
    "sklearn.model_selection",
    "sklearn.linear_model",
    "sklearn.isotonic",
)
"""What pages import only where they use it."""


def dashboard_argv(port: int) -> tuple[str, ...]:
    """Module and arguments that run the dashboard on 127.0.0.1."""
    return ("pilothouse.app.launch", str(port))


def warm() -> None:
    """Import what the pages will ask for."""
    import pilothouse.app

    own = [found.name for found in pkgutil.iter_modules(pilothouse.app.__path__, "pilothouse.app.")]
    for name in [name for name in own if name.rpartition(".")[2] not in _NO_PART_OF_PAGES]:
        import_module(name)
    for name in _WHERE_USED:
        import_module(name)


def warm_once_it_answers(port: int) -> None:
    """Not before, so that the server is not kept from getting ready."""
    deadline = time.monotonic() + _ANSWERS_WITHIN_S
    while not _answers(port) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
    warm()


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((_ADDRESS, port)) == 0


def main(port: str) -> None:
    """Serve the dashboard until the process is ended; theme and fonts come from the folder beside its entry."""
    from streamlit.web.cli import main as streamlit

    Thread(target=warm_once_it_answers, args=(int(port),), name="warming", daemon=True).start()
    entry = Path(__file__).resolve().parent / "main.py"
    streamlit(
        ["run", str(entry), "--server.port", port, "--server.address", _ADDRESS],
        prog_name="streamlit",
    )


if __name__ == "__main__":
    main(sys.argv[1])
