"""The command that packages models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilothouse.app.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_house, print_json

EXAMPLES = """
Examples:

pilothouse package flights --out packages

pilothouse package flights --version 3 --out packages

pilothouse package flights loans --out packages
"""


def package(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The models that answer in it.")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the file is put into.")],
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Of a single model; else its champion.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Make a Bento of NAME: it serves alone, with a log of its own, wherever `bentoml serve` runs."""
    from pilothouse.ops.deploy.package import package as make

    def tell(step: str) -> None:
        if not as_json:
            print(f"  {step}")

    made = make(open_house(workspace), names, out, version=version, tell=tell)
    if as_json:
        print_json({"file": str(made.file), "bento": made.tag, "models": list(made.models)})
        return
    print(made.sentence)
