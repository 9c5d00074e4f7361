"""A package really built, exported, and served by BentoML where there is neither this checkout nor the workspace.

The environment is a fresh one that lends the libraries of this one, and has ours from the package's wheel alone. With
SIZE=full it lends nothing, and installs what the package names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.support.processes import is_ready, wait_until
from tests.support.small import MODEL, ROW, make_small, planted

from pilothouse.data.errors import AlreadyExists, BadData, InvalidName, UnknownModel
from pilothouse.ops import artifacts
from pilothouse.ops.deploy.contents import Packed, packed_model
from pilothouse.ops.deploy.package import Package, package
from pilothouse.ops.deploy.plan import Plan
from pilothouse.ops.deploy.unpack import unpack
from pilothouse.ops.house import House
from pilothouse.ops.supervisor import free_port

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A workspace, the package of two of its models, and the folder that it unpacks to."""

    house: House
    package: Package
    bento: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    root = tmp_path_factory.mktemp("package")
    house = make_small(root / "ws", 'time_zone = "Europe/Berlin"')
    house.monitor("watched", reference=pl.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}), target="y")
    first = house[MODEL].version(1)
    estimator = artifacts.load(house.store.read(first.artifact), first.trusted_types)
    house.register("leases", estimator, reference=planted(200, seed=4), target="failed", trusted=("numpy.dtype",))
    steps: list[str] = []
    made = package(house, [MODEL, "leases"], root / "out", tell=steps.append)
    assert len(steps) == 3
    assert made.tag == "loans-leases:1-1"
    yield Built(house=house, package=made, bento=unpacked(made.file, root / "bento"))
    house.close()


def unpacked(file: Path, folder: Path) -> Path:
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def python(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has our packages from the Bento alone."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    inside = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(inside), "install", "--quiet"]
    needs = built.bento / "env" / "python"
    if os.environ.get("SIZE") == "full":
        subprocess.run([*pip, "--requirement", str(needs / "requirements.txt")], check=True)
    else:
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    wheels = [str(wheel) for wheel in (needs / "wheels").iterdir()]
    subprocess.run([*pip, "--no-deps", "--no-index", "--ignore-installed", *wheels], check=True)
    return inside


@contextmanager
def serving(python: Path, bento: Path, site: Path, *more: str, **environment: str) -> Iterator[str]:
    """`bentoml serve` of the Bento, far from everything else; ended by SIGTERM."""
    port = free_port(0)
    url = f"http://127.0.0.1:{port}"
    with (site.parent / "serve.log").open("ab") as log:
        process = subprocess.Popen(command(python, bento, port, *more), stdout=log, stderr=log, cwd=site.parent,
                                   env=clean(site, **environment))  # fmt: skip
    try:
        wait_until(lambda: is_ready(url), 90)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def command(python: Path, bento: Path, port: int, *more: str) -> list[str]:
    return [str(python), "-m", "bentoml", "serve", "--port", str(port), *more, str(bento)]


def clean(site: Path, **environment: str) -> dict[str, str]:
    home = {"HOME": str(site.parent), "BENTOML_HOME": str(site.parent / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    return (
        {"PATH": "/usr/bin:/bin", "PILOTHOUSE_WORKSPACE": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
        | home
        | environment
    )


def post(url: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}{path}", json=body, headers=headers, timeout=30, trust_env=False)


def test_it_serves_alone_with_keys_and_a_log_of_its_own(built: Built, python: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    said = subprocess.run([str(python), "-c", "import pilothouse; print(pilothouse.__file__)"], cwd="/",
                          env=clean(site), capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert said.startswith(str(python.parents[1]))
    unpack(built.bento / "src" / "house", site)
    edge = House.open(site)
    key = edge.keys.create("shop", ["predict:*", "read"]).text
    with serving(python, built.bento, site, PILOTHOUSE_REQUIRE_KEYS="yes", PILOTHOUSE_SEAL_EVERY_S="0.2") as url:
        refused = post(url, "/models/loans/predict", {"rows": [ROW]})
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:pilothouse:no-key")
        assert refused.headers["content-type"] == "application/problem+json"
        held = {"authorization": f"Bearer {key}"}
        answered = post(url, "/models/loans/predict", {"rows": [ROW], "ids": ["a"]}, **held).json()
        bentos = post(url, "/bentoml/predict", {"model": MODEL, "rows": [ROW], "ids": ["b"]}, **held).json()
        assert post(url, "/models/leases/predict", {"rows": [ROW]}, **held).status_code == 200
        assert post(url, "/models/loans/feedback", {"labels": [{"id": "a", "label": 1}]}, **held).status_code == 403
        named = httpx.get(f"{url}/models", headers=held, trust_env=False).json()["models"]
        # The worker beside the service seals what was logged.
        wait_until(lambda: edge[MODEL].prediction_log.unsealed_rows() == 0, 60)
    assert sorted((model["name"], model["version"]) for model in named) == [("leases", 1), (MODEL, 1)]
    assert answered["predictions"][0]["score"] == bentos["predictions"][0]["score"]
    frame = pl.DataFrame([ROW])
    assert answered["predictions"][0]["score"] == pytest.approx(built.house[MODEL].predict(frame)["score"][0], abs=1e-6)
    rows = edge[MODEL].prediction_log.predictions()
    assert sorted(rows.select("prediction_id", "caller").rows()) == [("a", "shop"), ("b", "shop")]
    assert built.house[MODEL].prediction_log.count() == 0
    assert edge.settings.time_zone == "Europe/Berlin"
    edge.close()


def test_it_does_not_start_open_to_others_without_keys(built: Built, python: Path, tmp_path: Path) -> None:
    asked = command(python, built.bento, free_port(0), "--host", "0.0.0.0")
    ended = subprocess.run(asked, env=clean(tmp_path / "site"), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "The service does not start on 0.0.0.0" in ended.stderr


def test_the_same_version_gives_the_same_files(built: Built, tmp_path: Path) -> None:
    again = unpacked(package(built.house, [MODEL, "leases"], tmp_path / "again").file, tmp_path / "bento")
    first, second = files_of(built.bento), files_of(again)
    assert [name for name in first | second if first.get(name) != second.get(name)] == ["bento.yaml"]
    differing = set(first["bento.yaml"].splitlines()) ^ set(second["bento.yaml"].splitlines())
    assert {line.partition(b":")[0] for line in differing} == {b"creation_time"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_inside_holds_what_is_tracked(built: Built) -> None:
    import zipfile

    listed = subprocess.run(["git", "ls-files", "app", "data", "ops", "pages", ":!ops/client"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    (wheel,) = (built.bento / "env" / "python" / "wheels").glob("pilothouse-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    present = {f"pilothouse/{name}" for name in listed if (ROOT / name).exists()}
    assert present <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("pilothouse/ops/client/")]


def test_hadolint_finds_nothing_in_the_dockerfile(built: Built) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    said = subprocess.run([str(hadolint), str(built.bento / "env" / "docker" / "Dockerfile")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (said.returncode, said.stdout) == (0, "")


def test_a_later_package_brings_its_version_and_leaves_what_the_site_decided(built: Built, tmp_path: Path) -> None:
    house, inside, site = built.house, tmp_path / "two", tmp_path / "site"
    first = Packed.read(built.bento / "src" / "house")
    unpack(built.bento / "src" / "house", site)
    row = first.models[0].version
    second = house.add_version(MODEL, artifacts.load(house.store.read(row.artifact), row.trusted_types))
    Packed(models=(packed_model(house[MODEL], second.version),), settings={}).write(inside, house.workspace)
    unpack(inside, site)
    edge = House.open(site)
    assert [d.version for d in edge[MODEL].deployments] == [2, 1]
    edge[MODEL].rollback(reason="the site prefers it")
    unpack(inside, site)
    assert edge[MODEL].champion is not None
    assert edge[MODEL].champion.version == 1
    edge.close()


def test_what_cannot_be_packaged_is_said(built: Built, tmp_path: Path) -> None:
    house = built.house
    with pytest.raises(AlreadyExists, match=r"loans-leases-1-1\.bento exists already"):
        package(house, [MODEL, "leases"], built.package.file.parent)
    with pytest.raises(BadData, match="each once; got: loans, loans"):
        package(house, [MODEL, MODEL], tmp_path)
    with pytest.raises(UnknownModel):
        package(house, ["../loans"], tmp_path)
    with pytest.raises(Exception, match="watched version 1 is served elsewhere"):
        package(house, ["watched"], tmp_path)
    for name, version in (("a\nservice: x", "1"), ("{{ 7 }}", "1"), ("loans", "1; rm -rf /")):
        with pytest.raises(InvalidName):
            Plan(name=name, version=version, context="", home="", out="", image="", description="", wheels=())
