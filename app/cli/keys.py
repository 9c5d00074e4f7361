"""Commands about the service's API keys. A key is printed once, when it is made."""

from __future__ import annotations

from typing import Annotated

import typer

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    ReasonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
)
from pilothouse.data.settings import YES
from pilothouse.data.state.keys import KeyRow
from pilothouse.ops.governance.keys import NewKey
from pilothouse.ops.house import House

keys = typer.Typer(help="API keys of the service.", no_args_is_help=True)

CallerArgument = Annotated[str, typer.Argument(metavar="CALLER", help="Who will use it; the name stands in the log.")]
_SCOPES = "predict:NAME, predict:*, feedback, log, metrics or read; may be repeated."


@keys.command("create")
def create_key(
    caller: CallerArgument,
    scope: Annotated[list[str], typer.Option("--scope", help=_SCOPES)],
    expires: Annotated[str | None, typer.Option("--expires", help="After how long it ends, such as 90d.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Make a key for CALLER, and show it once."""
    house = open_house(workspace)
    _show(house, house.keys.create(caller, scope, expires=expires), as_json)


@keys.command("list")
def list_keys(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """All keys: whose they are, what they may do, and whether they still hold."""
    house = open_house(workspace)
    found, now = house.keys.list(), house.clock()
    if as_json:
        print_json({"keys": [_plain(key) | {"standing": key.standing(now)} for key in found]})
        return
    rows = [(k.caller, k.id, ", ".join(k.scopes), k.standing(now), k.created_at, k.expires_at) for k in found]
    print_table("API keys", ("caller", "id", "may", "standing", "made", "until"), rows)


@keys.command("rotate")
def rotate_key(
    caller: CallerArgument,
    overlap: Annotated[str, typer.Option("--overlap", help="How long the key before still holds.")] = "7d",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Make a successor of CALLER's key with the same scopes, and show it once."""
    house = open_house(workspace)
    _show(house, house.keys.rotate(caller, overlap=overlap), as_json)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    reason: ReasonOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """End the key ID at once: every service worker refuses it within two seconds."""
    revoked = open_house(workspace).keys.revoke(key_id, reason=reason)
    print(f"The key {revoked.id} of {revoked.caller} is revoked since {revoked.revoked_at:%Y-%m-%d %H:%M:%S} UTC.")


def _show(house: House, made: NewKey, as_json: bool) -> None:
    if as_json:
        print_json(_plain(made.row) | {"key": made.text})
        return
    row = made.row
    until = f" until {row.expires_at:%Y-%m-%d %H:%M} UTC" if row.expires_at else ""
    print(made.text)
    print(f"This is the key of {row.caller}, shown this once. It may: {', '.join(row.scopes)}{until}.")
    if house.settings.require_keys != YES:
        print('Requests need no key yet: set require_keys = "yes" in pilothouse.toml and start the service anew.')


def _plain(key: KeyRow) -> dict[str, object]:
    """What may be shown of a key: everything but its hash."""
    return {
        "id": key.id,
        "caller": key.caller,
        "scopes": list(key.scopes),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
