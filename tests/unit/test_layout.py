"""The house keeps its order: who may import whom, where SQL and Streamlit stand, and what an import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = {"data": 0, "ops": 1, "app": 2, "pages": 3}
MODULES = sorted(p for folder in ORDER for p in (ROOT / folder).rglob("*.py"))
MAX_LINES = 400


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def folder_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in MODULES
        for name in imported(path)
        if (found := re.match(r"pilothouse\.(data|ops|app|pages)\b", name)) and ORDER[found[1]] > ORDER[folder_of(path)]
    ]
    assert wrong == []


def test_only_app_and_pages_import_streamlit() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if folder_of(path) in ("data", "ops") and any(n.split(".")[0] == "streamlit" for n in imported(path))
    ]
    assert wrong == []


def test_pages_do_not_touch_the_stores() -> None:
    stores = re.compile(r"pilothouse\.data\.(log|rollups|state\.store|sql|store)\b|duckdb|deltalake|sqlalchemy")
    wrong = [
        f"{path.name} imports {name}"
        for path in MODULES
        if folder_of(path) == "pages"
        for name in imported(path)
        if stores.match(name)
    ]
    assert wrong == []


def test_sql_stands_in_data_alone() -> None:
    statement = re.compile(
        r"[\"']\s*(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|CREATE TABLE)\b", re.I
    )
    wrong = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if folder_of(path) != "data" and statement.search(path.read_text())
    ]
    assert wrong == []


def test_nothing_is_loaded_that_could_run_code() -> None:
    dangerous = re.compile(r"^(pickle|cloudpickle|dill|joblib|marshal|shelve)(\.|$)")
    found = {path.relative_to(ROOT).as_posix() for path in MODULES for name in imported(path) if dangerous.match(name)}
    # The one process that makes skops files of foreign pickles.
    assert found == {"ops/runtimes/quarantine.py"}
    started = [path for path in MODULES if "pilothouse.ops.runtimes.quarantine" in imported(path)]
    assert [path.name for path in started] == ["pickles.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_grows_past_reading(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_public_face_is_sorted_and_complete() -> None:
    import pilothouse as ph

    assert ph.__all__ == sorted(ph.__all__)
    assert all(hasattr(ph, name) for name in ph.__all__)


def test_importing_pilothouse_is_cheap() -> None:
    code = "import sys, pilothouse; print('\\n'.join(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "polars",
        "pandas",
        "pandera",
        "numpy",
        "sklearn",
        "duckdb",
        "streamlit",
        "evidently",
        "dbos",
        "bentoml",
        "sqlalchemy",
    }
    assert heavy & set(loaded) == set()


def test_the_links_are_relative_and_whole() -> None:
    for folder in ORDER:
        link = ROOT / "src" / "pilothouse" / folder
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{folder}"
        assert link.resolve() == ROOT / folder


def test_no_file_of_app_is_named_like_a_library() -> None:
    # Streamlit puts this folder first on sys.path, so such a file would take the library's place.
    shadowing = {p.stem for p in (ROOT / "app").glob("*.py")} & set(sys.stdlib_module_names)
    assert shadowing == set()
