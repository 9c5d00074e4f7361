"""Starting the service: the application of one worker, and the supervisor of several."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from starlette.types import ASGIApp

from pilothouse.data.errors import InvalidSetting, PortTaken
from pilothouse.data.settings import ENV_PREFIX, Settings, load_settings
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.serving.supervisor import Supervisor

LOOPBACK = "127.0.0.1"
WORKSPACE_VARIABLE = f"{ENV_PREFIX}WORKSPACE"
_PORT_VARIABLE = f"{ENV_PREFIX}SERVICE_PORT"
_METRICS_FOLDER = "metrics-"
_GRACE_S = 5


def create_app() -> ASGIApp:
    """The application of one worker. The environment names the workspace."""
    workspace = Workspace.open(os.environ[WORKSPACE_VARIABLE])
    return assemble(workspace, load_settings(workspace.settings_file))


def assemble(workspace: Workspace, settings: Settings, clock: Clock = utc_now) -> ASGIApp:
    """The gate with everything behind it. Nothing runs before its lifespan starts."""
    # These import scikit-learn, BentoML and prometheus_client, which read the environment as they load.
    from pilothouse.ops.serving.core import Serving
    from pilothouse.ops.serving.gate import Gate
    from pilothouse.ops.serving.metrics import FOLDER_VARIABLE, Metrics
    from pilothouse.ops.serving.service import bentoml_app

    folder = os.environ.get(FOLDER_VARIABLE)
    serving = Serving(
        workspace, State.of(workspace, settings), settings, process=_process(settings, clock), clock=clock,
        metrics=Metrics(Path(folder) if folder else None),
    )  # fmt: skip
    return Gate(serving, bentoml_app(serving, workspace), settings)


def serve(workspace: Workspace, settings: Settings, port: int | None = None, host: str = LOOPBACK) -> bool:
    """Serve until SIGTERM or SIGINT, with `settings.service_workers` workers on one port.

    Returns whether it was told to end; False when its workers could not run. Raises InvalidSetting, before a socket
    opens, for any address but the loopback: there are no keys yet. Raises PortTaken.
    """
    if host != LOOPBACK:
        raise InvalidSetting("host", host, f"{LOOPBACK}: nothing but the loopback is safe without keys", "argument")
    number = settings.service_port if port is None else port
    with _listening(number) as listening:
        os.environ.update(_worker_environment(workspace, number))
        return Supervisor(work, settings.service_workers, _GRACE_S + 5).run(listening)


def work(listening: socket.socket) -> None:
    """The life of one worker."""
    import uvicorn

    config = uvicorn.Config(
        create_app, factory=True, http="httptools", loop="uvloop", ws="none", lifespan="on", access_log=False,
        log_level="warning", server_header=False, timeout_graceful_shutdown=_GRACE_S,
    )  # fmt: skip
    # Uvicorn raises a Ctrl-C again once all is in order; there is nothing left to say about it.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _listening(port: int) -> socket.socket:
    """A socket on the loopback that all workers take connections from. Raises PortTaken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError:
        listening.close()
        raise PortTaken(port) from None
    return listening


def _worker_environment(workspace: Workspace, port: int) -> Mapping[str, str]:
    """What every worker must find in its environment before it imports anything."""
    return {
        WORKSPACE_VARIABLE: str(workspace.root),
        _PORT_VARIABLE: str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics_folder(workspace)),
        "BENTOML_HOME": str(workspace.bento),
        "BENTOML_DO_NOT_TRACK": "True",
        # Each worker scores in one thread; more would fight for the same processors.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _metrics_folder(workspace: Workspace) -> Path:
    """A fresh folder for the figures of this service; those of services that have ended are cleared away."""
    for old in workspace.run.glob(f"{_METRICS_FOLDER}*"):
        pid = int(old.name.removeprefix(_METRICS_FOLDER))
        if pid == os.getpid() or not psutil.pid_exists(pid):
            shutil.rmtree(old)
    folder = workspace.run / f"{_METRICS_FOLDER}{os.getpid()}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _process(settings: Settings, clock: Clock) -> ProcessRow:
    now = clock()
    return ProcessRow(
        id=f"service-{uuid.uuid4().hex[:12]}", kind="service", host=socket.gethostname(), pid=os.getpid(),
        url=f"http://{LOOPBACK}:{settings.service_port}", started_at=now, beat_at=now, details={},
    )  # fmt: skip
