"""Starting the service: the application of one worker, and the supervisor of several."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from starlette.types import ASGIApp

from pilothouse.data.errors import InvalidSetting, PortTaken
from pilothouse.data.settings import ENV_PREFIX, NOWHERE, ON, YES, Settings, load_settings
from pilothouse.data.state.processes import ProcessRow
from pilothouse.data.state.store import State
from pilothouse.data.windows import Clock, utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.serving.hosts import refuse_open, service_address
from pilothouse.ops.serving.supervisor import Supervisor

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from pilothouse.ops.serving.core import Serving

WORKSPACE_VARIABLE = f"{ENV_PREFIX}WORKSPACE"
_PORT_VARIABLE = f"{ENV_PREFIX}SERVICE_PORT"
_HOST_VARIABLE = f"{ENV_PREFIX}SERVICE_HOST"
_METRICS_FOLDER = "metrics-"
_GRACE_S = 5
_PORT_WITHIN_S = 4.0
"""Killed workers keep their port for up to two seconds on a busy machine."""
_GC_THRESHOLDS = (50_000, 20, 20)
_SWITCH_S = 0.000_5
"""For how long a thread that loads or follows may keep the interpreter from requests; Python's own is ten times that."""


def create_app() -> ASGIApp:
    """The application of one worker. The environment names the workspace."""
    workspace = Workspace.open(os.environ[WORKSPACE_VARIABLE])
    app = assemble(workspace, load_settings(workspace.settings_file))
    _collect_less()
    sys.setswitchinterval(_SWITCH_S)
    return app


def _collect_less() -> None:
    """Let the garbage collector leave alone what is loaded for good, and look less often: a thousand rows are a
    thousand new objects, and each look in between costs as much as scoring some of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def assemble(
    workspace: Workspace,
    settings: Settings,
    clock: Clock = utc_now,
    *,
    inner: Callable[[Serving], ASGIApp] | None = None,
) -> ASGIApp:
    """The gate with everything behind it. Nothing runs before its lifespan starts.

    inner : gives BentoML's application where that is the host, and the gate its middleware; None for one of our own.
    """
    # These import scikit-learn, BentoML and prometheus_client, which read the environment as they load.
    from pilothouse.ops.serving.access import AccessLog
    from pilothouse.ops.serving.core import Serving
    from pilothouse.ops.serving.explaining import ExplainRoutes
    from pilothouse.ops.serving.gate import Gate
    from pilothouse.ops.serving.jobs import JobRoutes
    from pilothouse.ops.serving.keyring import KeyRing
    from pilothouse.ops.serving.metrics import FOLDER_VARIABLE, Metrics
    from pilothouse.ops.serving.service import bentoml_app

    folder, state = os.environ.get(FOLDER_VARIABLE), State.of(workspace, settings)
    serving = Serving(
        workspace, state, settings, process=_process(settings, clock), clock=clock,
        metrics=Metrics(Path(folder) if folder else None, _besides(workspace, state, settings, clock)),
    )  # fmt: skip
    return Gate(
        serving, inner(serving) if inner else bentoml_app(serving, workspace), settings, clock,
        keys=KeyRing(state, clock) if settings.require_keys == YES else None,
        access=AccessLog(workspace.run / "logs", settings.access_log_bytes) if settings.access_log == ON else None,
        tables=(JobRoutes(workspace, state, serving.models, clock), ExplainRoutes(workspace, serving.models)),
    )  # fmt: skip


def _besides(workspace: Workspace, state: State, settings: Settings, clock: Clock) -> list[Collector]:
    """Figures beside the service's own: how far the log is from a central house, where there is one."""
    if settings.central_url == NOWHERE:
        return []
    from pilothouse.ops.forward.figures import ForwardFigures

    return [ForwardFigures(workspace, state, settings, clock)]


def serve(workspace: Workspace, settings: Settings) -> bool:
    """Serve until SIGTERM or SIGINT, with `settings.service_workers` workers on one port.

    Returns whether it was told to end; False when its workers could not run. Raises OpenWithoutKeys, before a socket
    opens, where others could reach it and no keys are asked for. Raises PortTaken.
    """
    refuse_open(settings)
    with _listening(settings.service_host, settings.service_port) as listening:
        os.environ.update(_worker_environment(workspace, settings))
        return Supervisor(work, settings.service_workers, _GRACE_S + 5).run(listening)


def work(listening: socket.socket) -> None:
    """The life of one worker."""
    import uvicorn

    from pilothouse.ops.serving.wire import Protocol

    config = uvicorn.Config(
        create_app, factory=True, http=Protocol, loop="uvloop", ws="none", lifespan="on", access_log=False,
        log_level="warning", server_header=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE_S,
    )  # fmt: skip
    # Uvicorn raises a Ctrl-C again once all is in order; there is nothing left to say about it.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    # What is frozen would look like a leak to libraries that count their objects at the end.
    gc.unfreeze()


def _listening(host: str, port: int) -> socket.socket:
    """A socket that all workers take connections from. Raises PortTaken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    give_up = time.monotonic() + _PORT_WITHIN_S
    while True:
        try:
            listening.bind((host, port))
            return listening
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if taken and time.monotonic() < give_up:
                time.sleep(0.05)
                continue
            listening.close()
            if taken:
                raise PortTaken(port) from None
            raise InvalidSetting("service_host", host, "an address of this machine", error.strerror or "bind") from None


def _worker_environment(workspace: Workspace, settings: Settings) -> Mapping[str, str]:
    """What every worker must find in its environment before it imports anything."""
    return {
        WORKSPACE_VARIABLE: str(workspace.root),
        _PORT_VARIABLE: str(settings.service_port),
        _HOST_VARIABLE: settings.service_host,
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics_folder(workspace)),
        "BENTOML_HOME": str(workspace.bento),
        "BENTOML_DO_NOT_TRACK": "True",
        # Each worker scores in one thread; more would fight for the same processors.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _metrics_folder(workspace: Workspace) -> Path:
    """A fresh folder for the figures of this service; those of services of this host that have ended are cleared away.

    Hosts and containers may share a workspace, and their process numbers are their own.
    """
    host = socket.gethostname()
    for old in workspace.run.glob(f"{_METRICS_FOLDER}{host}-*"):
        pid = int(old.name.rpartition("-")[2])
        if pid == os.getpid() or not psutil.pid_exists(pid):
            shutil.rmtree(old)
    folder = workspace.run / f"{_METRICS_FOLDER}{host}-{os.getpid()}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _process(settings: Settings, clock: Clock) -> ProcessRow:
    now = clock()
    return ProcessRow(
        id=f"service-{uuid.uuid4().hex[:12]}", kind="service", host=socket.gethostname(), pid=os.getpid(),
        url=service_address(settings, settings.service_port), started_at=now, beat_at=now, details={},
    )  # fmt: skip
