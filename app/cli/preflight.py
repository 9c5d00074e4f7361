"""Commands that look at versions as a whole: whether they convert now, and whether they outlive an upgrade."""

from __future__ import annotations

from typing import Annotated

import typer

from pilothouse.app.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_house, print_json
from pilothouse.app.forms import answering, preflight_sentence
from pilothouse.ops.preflight import STOPS, Preflight


def preflight(
    name: Annotated[str | None, typer.Argument(help="One model; left out, all of them.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Record versions of which nothing was recorded, as they answer now.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Whether each version would answer as before under the libraries installed here. Exit code 1 when one would not.

    Run it in a second environment with the new libraries, on the same workspace, before you upgrade: it only reads.
    """
    house = open_house(workspace)
    if record:
        for version in house.record_versions(name):
            print(f"{version.model} version {version.version}: recorded")
        return

    def say(one: Preflight) -> None:
        if not as_json:
            print(preflight_sentence(one), flush=True)

    found = house.preflight(name, tell=say)
    if as_json:
        print_json({"versions": found})
    if any(one.verdict in STOPS for one in found):
        raise typer.Exit(1)


def convert(
    name: str,
    version: Annotated[int, typer.Argument(help="Its number.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Convert a version of NAME that was registered before versions were converted, or that could not be then.

    Service workers answer with the new form once they load the version anew.
    """
    house = open_house(workspace)
    found = house.convert(name, version)
    print(f"{name} version {version}: {answering(found)}")
