"""A workspace with one model, `flights`, of two versions; and a client of its service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from pilothouse.data.epoch import publish_epoch
from pilothouse.data.log.reader import PredictionLog
from pilothouse.data.log.seal import SealReport, seal
from pilothouse.data.policies import GatePolicy, LabelPolicy
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.data.state import catalog, deployments, processes
from pilothouse.data.state.catalog import ModelRow, VersionRow
from pilothouse.data.state.deployments import Deployment
from pilothouse.data.state.store import State
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops import artifacts
from pilothouse.ops.scoring import model_frame

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SIGNATURE = Signature(
    features=(
        Feature(name="carrier", kind=Kind.CATEGORY),
        Feature(name="hour", kind=Kind.INTEGER),
        Feature(name="temp", kind=Kind.NUMBER),
        Feature(name="distance", kind=Kind.NUMBER, nullable=False),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)
TRUSTED = ("numpy.dtype",)
ROW: dict[str, Any] = {"carrier": "UA", "hour": 9, "temp": 61.5, "distance": 1400.0}


def fitted(sign: float) -> Any:
    """A pipeline for which a late hour means a late arrival (`sign` 1) or none (-1); it fills in missing values."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(7)
    n = 400
    frame = pl.DataFrame(
        {
            "carrier": rng.choice(["UA", "AA", "DL"], n),
            "hour": rng.integers(0, 24, n),
            "temp": rng.normal(60, 10, n),
            "distance": rng.uniform(100, 2500, n),
        }
    )
    late = (sign * (frame["hour"].to_numpy() - 12) + rng.normal(0, 4, n) > 0).astype(int)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        (SimpleImputer(), ["hour", "temp", "distance"]),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(model_frame(SIGNATURE, frame), late)


class Bench:
    """A workspace to serve from, with the acts that tests need."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.state = State.open(self.workspace.state_url)
        self.store = Store(self.workspace.store)
        self.epoch = 0

    def add_model(self, name: str = "flights", signature: Signature = SIGNATURE) -> None:
        row = ModelRow(
            name=name, task=signature.task, signature=signature, profile_id="r1", label_policy=LabelPolicy(),
            gate_policy=GatePolicy(), created_at=NOW, created_by="test",
        )  # fmt: skip
        with self.state.write() as conn:
            catalog.add_model(conn, row)

    def add_version(self, content: bytes, name: str = "flights", signature: Signature = SIGNATURE) -> int:
        with self.state.write() as conn:
            version = catalog.next_version(conn, name)
            row = VersionRow(
                model=name, version=version, artifact_sha256=self.store.put(content), runtime="sklearn",
                signature=signature, trusted_types=TRUSTED, libraries={}, threshold=0.5, run_id=None,
                snapshot_sha256=None, trained=None, scorecard=None, note="", created_at=NOW, created_by="test",
            )  # fmt: skip
            catalog.add_version(conn, row)
        return version

    def flip(self, version: int, name: str = "flights") -> Deployment:
        """Make `version` the champion, without asking the workers first."""
        now = datetime.now(UTC)
        with self.state.write() as conn:
            before = deployments.current(conn, name)
            written = deployments.append(
                conn, model=name, version=version, expected_epoch=before.seq if before else 0, act="promote",
                actor="test", reason="test", clicked_at=now, at=now,
            )  # fmt: skip
        publish_epoch(self.workspace.epoch_file, written.seq)
        return written

    def prepare(self, version: int, name: str = "flights") -> int:
        with self.state.write() as conn:
            return processes.request_preparation(conn, name, version, datetime.now(UTC)).seq

    def answers(self, seq: int) -> dict[str, tuple[bool, str]]:
        with self.state.read() as conn:
            return {a.process_id: (a.ok, a.detail) for a in processes.acknowledgements(conn, seq)}

    def workers(self) -> list[processes.ProcessRow]:
        with self.state.read() as conn:
            return processes.live(conn, "service", datetime.now(UTC))

    def seal(self) -> SealReport:
        return seal(self.workspace, {"flights": SIGNATURE}, Settings())

    def logged(self, name: str = "flights") -> pl.DataFrame:
        return PredictionLog(self.workspace, name, SIGNATURE, LabelPolicy()).predictions()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """BentoML leans on deprecated names of its own libraries; all other warnings stay errors."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            for theirs in (
                "pydantic.warnings.PydanticDeprecatedSince20",
                "pydantic.warnings.PydanticDeprecatedSince211",
            ):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{theirs}"))
            item.add_marker(pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"))


@pytest.fixture(scope="session")
def artifacts_of_two() -> tuple[bytes, bytes]:
    """Version 1 says late for late hours, version 2 for early ones."""
    return artifacts.dump(fitted(1), TRUSTED), artifacts.dump(fitted(-1), TRUSTED)


@pytest.fixture
def bench(tmp_path: Path, artifacts_of_two: tuple[bytes, bytes]) -> Iterator[Bench]:
    bench = Bench(tmp_path / "ws")
    bench.add_model()
    for content in artifacts_of_two:
        bench.add_version(content)
    bench.flip(1)
    folder = bench.workspace.reference("flights", "r1")
    folder.mkdir(parents=True)
    (folder / "example.json").write_text(json.dumps(ROW))
    yield bench
    bench.state.close()


@pytest.fixture
def client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with served(bench, monkeypatch) as client:
        yield client


class Client:
    """Speaks to an ASGI application in this process, over one event loop that turns while requests are under way."""

    def __init__(self, app: Any) -> None:
        self._app, self._loop = app, asyncio.Runner()
        self._to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()

    def __enter__(self) -> Client:
        self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.close()

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.together([("GET", path, more)])[0]

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.together([("POST", path, more)])[0]

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.together([(method, path, more)])[0]

    def together(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """The answers to requests that are all under way at once."""
        return self._loop.run(self._gather(requests))

    async def _gather(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        return await asyncio.gather(*(self._http.request(method, path, **more) for method, path, more in requests))

    async def _start(self) -> None:
        self._life = asyncio.create_task(self._app({"type": "lifespan"}, self._to_app.get, self._from_app.put))
        await self._tell("lifespan.startup")
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def _stop(self) -> None:
        await self._http.aclose()
        await self._tell("lifespan.shutdown")
        await self._life

    async def _tell(self, message: str) -> None:
        await self._to_app.put({"type": message})
        answer = asyncio.create_task(self._from_app.get())
        await asyncio.wait([answer, self._life], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._life
        assert answer.result()["type"] == f"{message}.complete", answer.result()


def served(bench: Bench, monkeypatch: pytest.MonkeyPatch, settings: Settings | None = None) -> Client:
    """A client of the whole application, in this process."""
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")  # Undone afterwards, with what the service makes of it.
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    from pilothouse.ops.serving.main import assemble

    return Client(assemble(bench.workspace, settings or Settings()))


@pytest.fixture
def serve_with(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it with settings for a client of a service that has them."""
    return lambda **settings: served(bench, monkeypatch, Settings(**settings))
