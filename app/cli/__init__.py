"""The command line: every command opens the same house as the pages and the notebook."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point of `pilothouse`. Errors of the house become one line on stderr and the exit code of their kind."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from pilothouse.app.cli.commands import app
    from pilothouse.data.errors import PilothouseError
    from pilothouse.ops.answers import exit_code

    try:
        app()
    except PilothouseError as error:
        print(f"pilothouse: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
