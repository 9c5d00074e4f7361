"""What is installed is what is tracked: the wheel holds every file of the four folders, and no other top-level name."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_what_is_tracked_and_nothing_else(tmp_path: Path) -> None:
    # From a copy of the tracked files, so that neither builds nor scratch files of this folder get in.
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(copy)], check=True)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "wheel"), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    listed = subprocess.run(
        ["git", "ls-files", "app", "data", "ops", "pages", ":!ops/client"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {f"pilothouse/{name}" for name in listed.stdout.split()} | {
        "pilothouse/__init__.py",
        "pilothouse/py.typed",
    }
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == wanted


def test_the_client_is_a_distribution_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(copy)], check=True)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "wheel"), str(copy / "ops/client")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    source = copy / "ops/client/src"
    tracked = subprocess.run(["git", "ls-files"], cwd=source, capture_output=True, text=True, check=True)
    assert names == set(tracked.stdout.split())
    assert [line for line in metadata.splitlines() if line.startswith("Requires")] == [
        "Requires-Python: >=3.9", "Requires-Dist: httpx>=0.25"
    ]  # fmt: skip
