"""How the dashboard is started."""

from __future__ import annotations

from pathlib import Path


def dashboard_argv(port: int) -> tuple[str, ...]:
    """Module and arguments that run the dashboard on 127.0.0.1; theme and fonts come from the folder beside its entry."""
    entry = Path(__file__).resolve().parent / "main.py"
    return ("streamlit", "run", str(entry), "--server.port", str(port), "--server.address", "127.0.0.1")
