"""One folder holds everything: its layout, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pilothouse.data.errors import AlreadyExists, BadData, UnknownWorkspace
from pilothouse.data.names import checked_name

SETTINGS_FILE = "pilothouse.toml"
_UNFIT = frozenset("%[]")
_FOLDERS = (
    "tables/predictions",
    "tables/labels",
    "tables/rollups",
    "spool",
    "store",
    "references",
    "bento",
    "run",
)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside a workspace. Model names are checked before they become part of a path."""

    root: Path

    @classmethod
    def create(cls, root: Path | str) -> Workspace:
        """Make the folders of a new workspace, readable by their owner alone. Raises AlreadyExists on a second call."""
        path = Path(root).resolve()
        if unfit := sorted(_UNFIT & set(str(path))):
            raise BadData(f"A workspace cannot lie under {path}: its tables take no {' '.join(unfit)} in a path.")
        if (path / SETTINGS_FILE).exists():
            raise AlreadyExists(f"The workspace {path}", "Use it as it is, or name another folder.")
        for folder in _FOLDERS:
            (path / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(path, 0o700)
        (path / SETTINGS_FILE).write_text(
            "# Settings of this workspace; `pilothouse init --help` and docs/settings.md list them.\n"
        )
        return cls(path)

    @classmethod
    def open(cls, root: Path | str) -> Workspace:
        """The workspace at `root`. Raises UnknownWorkspace when there is none."""
        path = Path(root).resolve()
        if not (path / SETTINGS_FILE).is_file():
            raise UnknownWorkspace(path)
        return cls(path)

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def state_url(self) -> str:
        return f"sqlite:///{self.root / 'state.sqlite'}"

    @property
    def jobs_url(self) -> str:
        return f"sqlite:///{self.root / 'jobs.sqlite'}"

    @property
    def secret_file(self) -> Path:
        """The key of hashed columns (data/log/door.py)."""
        return self.root / "secret.key"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def bento(self) -> Path:
        return self.root / "bento"

    @property
    def inbox(self) -> Path:
        """Files that may be scored over HTTP; whoever may write here may have them scored."""
        return self.root / "inbox"

    @property
    def results(self) -> Path:
        """What jobs have scored, by the id of the job."""
        return self.root / "results"

    @property
    def run(self) -> Path:
        """Scratch of running processes: locks, metrics, logs. Nothing in it outlives them."""
        return self.root / "run"

    @property
    def epoch_file(self) -> Path:
        """The number of the newest deployment, mapped into memory by every service worker (data/epoch.py)."""
        return self.run / "epoch"

    def predictions(self, model: str) -> Path:
        return self.root / "tables" / "predictions" / checked_name(model)

    def labels(self, model: str) -> Path:
        return self.root / "tables" / "labels" / checked_name(model)

    def rollups(self, model: str) -> Path:
        return self.root / "tables" / "rollups" / checked_name(model)

    def reference(self, model: str, profile_id: str) -> Path:
        return self.root / "references" / checked_name(model) / checked_name(profile_id, "profile")
