"""The command that lists versions: what each is, what answers for it, and how it stands to the original."""

from __future__ import annotations

from pilothouse.app.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_house,
    print_json,
    print_table,
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
                "conversion": v.conversion, "live_check": live, "created_at": v.created_at,
                "created_by": v.created_by, "note": v.note,
            }
            for v, live in found
        ]  # fmt: skip
        print_json({"model": name, "versions": rows})
        return
    print_table(
        f"{name}: versions",
        ("version", "", "answers with", "live rows checked", "registered", "by", "note"),
        [
            (
                v.version, "champion" if champion and v.version == champion.version else "", answering(v),
                checked_live(live), v.created_at, v.created_by, v.note,
            )
            for v, live in found
        ],
    )  # fmt: skip
