"""`python -m pilothouse.ops.serving --workspace DIR --port N`: the process that `pilothouse up` starts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pilothouse.data.errors import PilothouseError
from pilothouse.data.settings import load_settings
from pilothouse.data.workspace import Workspace
from pilothouse.ops.answers import DONE, UNEXPECTED, exit_code
from pilothouse.ops.serving.main import serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pilothouse.ops.serving", description="Serve a workspace's models.")
    parser.add_argument("--workspace", type=Path, required=True, help="folder that holds pilothouse.toml")
    parser.add_argument("--port", type=int, help="port; the setting service_port where left out")
    parser.add_argument("--host", help="address; the setting service_host where left out")
    given = parser.parse_args(arguments)
    try:
        workspace = Workspace.open(given.workspace)
        chosen = {"service_port": given.port, "service_host": given.host}
        told = serve(workspace, load_settings(workspace.settings_file, **chosen))
    except PilothouseError as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    return DONE if told else UNEXPECTED


if __name__ == "__main__":
    sys.exit(main())
