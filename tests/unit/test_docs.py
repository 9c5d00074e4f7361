"""Every command and every setting is in the documents, and the documents name none that is not there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import typer

from pilothouse.app.cli.commands import app
from pilothouse.data.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def command_names() -> set[str]:
    """All commands, those of groups with the group's name before them."""
    root = typer.main.get_command(app)
    names = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        names |= {f"{name} {inner}" for inner in command.commands} if hasattr(command, "commands") else {name}
    return names


def test_every_command_is_documented_and_no_other() -> None:
    text = (DOCS / "cli.md").read_text()
    rows = re.findall(r"^\| `pilothouse ([a-z-]+(?: [a-z]+)?)", text, re.M)
    groups = {name.split()[0] for name in command_names() if " " in name}
    documented = {row if row.split()[0] in groups else row.split()[0] for row in rows}
    assert documented == command_names()


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `\"?([^`\"]+)\"?` \|", (DOCS / "settings.md").read_text(), re.M))
    assert rows == {f.name: str(f.default) for f in fields(Settings)}


def test_links_between_documents_lead_somewhere() -> None:
    root = DOCS.parent
    for page in [root / "README.md", root / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
