"""The command that lists versions: what each is, what answers for it, and how it stands to the original."""

from __future__ import annotations

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
)
from pilothouse.app.forms import answering, checked_live


def versions(name: str, workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """The versions of NAME, newest first: which form of each answers, and how far it is from the original."""
    house = open_house(workspace)
    handle, champion = house[name], house[name].champion
    found = [(version, house.live_check(name, version.version)) for version in handle.versions]
    if as_json:
        rows = [
            {
                "version": v.version, "champion": champion is not None and v.version == champion.version,
                "runtime": v.runtime, "answers_with": v.answers_with, "artifact_sha256": v.artifact_sha256,
                "conversion": v.conversion, "code": v.code, "live_check": live, "created_at": v.created_at,
                "created_by": v.created_by, "note": v.note,
            }
            for v, live in found
        ]  # fmt: skip
        print_json({"model": name, "versions": rows})
        return
    # What answers is told in whole sentences, which no column of a terminal has room for.
    for v, live in found:
        role = ", champion" if champion and v.version == champion.version else ""
        print(f"version {v.version}{role}: registered {v.created_at:%Y-%m-%d %H:%M} UTC by {v.created_by}")
        print(f"  answers with {answering(v)}")
        if v.code is not None:
            print(f"  own code {v.code.name}, SHA-256 {v.code.sha256[:12]}")
        if live is not None:
            print(f"  live rows checked: {checked_live(live)}")
        if v.note:
            print(f"  {v.note}")
