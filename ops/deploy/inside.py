"""What runs inside a Bento: the gate as its middleware, over a workspace that is made on the first start.

Our routes are answered by the gate before BentoML's own come to them, as in `pilothouse serve`; BentoML's outer layers
(its timeout, its worker processes) stand around it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from pilothouse.data.errors import PilothouseError
from pilothouse.data.settings import load_settings
from pilothouse.data.workspace import Workspace
from pilothouse.ops.answers import exit_code
from pilothouse.ops.deploy.companion import Companion
from pilothouse.ops.deploy.contents import Packed
from pilothouse.ops.deploy.unpack import unpack
from pilothouse.ops.serving.core import Serving
from pilothouse.ops.serving.hosts import LOOPBACK, refuse_open
from pilothouse.ops.serving.main import WORKSPACE_VARIABLE, assemble
from pilothouse.ops.serving.service import bentoml_service

_WORKERS = 2
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Each worker scores in one thread; more would fight for the same processors."""


def packed_service(folder: Path) -> Any:
    """The BentoML service over what was packed into `folder`. Nothing is opened before it is served."""
    import bentoml

    inside = _Inside(folder)
    service = bentoml_service(
        lambda: inside.serving,
        workers=_WORKERS,
        http={"host": LOOPBACK},
        envs=[{"name": name, "value": "1"} for name in _ONE_THREAD],
    )
    service.inner.before_serving = bentoml.on_deployment(lambda: inside.check())
    service.add_asgi_middleware(inside.gate)
    return service


class _Inside:
    """The parts of one service process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.serving: Serving

    def check(self) -> None:
        """Refuse, before a socket is opened, what `pilothouse serve` would refuse: then BentoML ends with our words."""
        try:
            workspace = self._workspace()
            refuse_open(load_settings(workspace.settings_file, service_host=_asked_host()))
        except PilothouseError as error:
            sys.stderr.write(f"pilothouse: {error}\n")
            raise SystemExit(exit_code(error)) from None

    def gate(self, app: ASGIApp) -> ASGIApp:
        """The gate before BentoML's application `app`, with a worker beside it."""
        workspace, (host, port) = self._workspace(), _listening()
        settings = load_settings(workspace.settings_file, service_host=host, service_port=port)
        refuse_open(settings)

        def inner(serving: Serving) -> ASGIApp:
            self.serving = serving
            return app

        return _with_companion(assemble(workspace, settings, inner=inner), Companion(workspace))

    def _workspace(self) -> Workspace:
        return unpack(self._folder, _root(self._folder))


def _root(folder: Path) -> Path:
    """The folder of the site's own workspace: the environment names it, or it is in the home of who serves."""
    if told := os.environ.get(WORKSPACE_VARIABLE):
        return Path(told)
    names = [packed.model.name for packed in Packed.read(folder).models]
    return Path.home() / ".pilothouse" / "-".join(names)


def _asked_host() -> str | None:
    """The address that `bentoml serve` was asked to listen on; None where it was asked for none."""
    import click

    context = click.get_current_context(silent=True)
    return None if context is None else context.params.get("host")


def _listening() -> tuple[str | None, int | None]:
    """Where this process listens; an address that others can reach before one that they cannot."""
    import psutil

    sockets = [c.laddr for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
    open_ones = sorted((address for address in sockets), key=lambda address: address.ip.startswith("127."))
    return (open_ones[0].ip, open_ones[0].port) if open_ones else (None, None)


def _with_companion(gate: ASGIApp, companion: Companion) -> ASGIApp:
    """`gate`, with the worker started before its lifespan and ended after it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await gate(scope, receive, send)
            return
        companion.start()
        try:
            await gate(scope, receive, send)
        finally:
            await asyncio.to_thread(companion.stop)

    return app
