"""Commands that run processes: all of them, or one."""

from __future__ import annotations

import os
import signal
import sys
import time
import webbrowser
from typing import Annotated

import typer

from pilothouse.app.cli.options import DEFAULT_WORKSPACE, PortOption, ServicePortOption, WorkspaceOption, open_house
from pilothouse.data.settings import Settings
from pilothouse.ops.house import House
from pilothouse.ops.serving.hosts import refuse_open, service_address
from pilothouse.ops.supervisor import Command, Supervisor, free_port

_READY_WITHIN_S = 90.0


def up(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    port: PortOption = None,
    service_port: ServicePortOption = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Start the service, the worker and the dashboard, and keep them running until Ctrl-C."""
    started = time.perf_counter()
    house = open_house(workspace)
    dashboard_port, api_port = service_ports(house.settings, port, service_port)
    commands = up_commands(house, dashboard_port, api_port)
    run_until_stopped(house, commands, dashboard_port, api_port, open_browser=not no_browser, started=started)


def serve(workspace: WorkspaceOption = DEFAULT_WORKSPACE, service_port: ServicePortOption = None) -> None:
    """Serve the workspace's models, and nothing else."""
    house = open_house(workspace)
    _, api_port = service_ports(house.settings, None, service_port)
    refuse_open(house.settings)
    print(f"service={service_address(house.settings, api_port)}", flush=True)
    _become(_service(house, api_port))


def worker(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Seal the log, fold the roll-ups, run the jobs; serve nothing."""
    _become(_worker(open_house(workspace)))


def dashboard(workspace: WorkspaceOption = DEFAULT_WORKSPACE, port: PortOption = None) -> None:
    """Open the dashboard alone."""
    house = open_house(workspace)
    dashboard_port, _ = service_ports(house.settings, port, None)
    print(f"dashboard=http://127.0.0.1:{dashboard_port}", flush=True)
    _become(_dashboard(house, dashboard_port))


def service_ports(settings: Settings, dashboard: int | None, service: int | None) -> tuple[int, int]:
    """The ports to use: a port that was asked for, else the setting's or the next free one."""
    first = free_port(settings.dashboard_port if dashboard is None else dashboard)
    second = free_port(settings.service_port if service is None else service)
    return first, second


def up_commands(house: House, dashboard_port: int, service_port: int) -> list[Command]:
    """The processes of a house. Raises OpenWithoutKeys before any of them starts."""
    refuse_open(house.settings)
    return [_service(house, service_port), _worker(house), _dashboard(house, dashboard_port)]


def _service(house: House, port: int) -> Command:
    argv = ("pilothouse.ops.serving", "--workspace", str(house.workspace.root), "--port", str(port))
    return Command(name="service", argv=argv, ready_url=f"{service_address(house.settings, port)}/readyz")


def _worker(house: House) -> Command:
    return Command(name="worker", argv=("pilothouse.ops.worker", "--workspace", str(house.workspace.root)))


def _dashboard(house: House, port: int) -> Command:
    from pilothouse.app.launch import dashboard_argv

    return Command(
        name="dashboard",
        argv=dashboard_argv(port),
        ready_url=f"http://127.0.0.1:{port}/_stcore/health",
        # A page's arrays are short: shared out among threads, they wait for each other on a busy machine.
        environment={"PILOTHOUSE_WORKSPACE": str(house.workspace.root), "OPENBLAS_NUM_THREADS": "1"},
    )


def _become(command: Command) -> None:
    """Run the command in the place of this process."""
    os.environ.update(command.environment)
    os.execv(sys.executable, [sys.executable, "-m", *command.argv])


def run_until_stopped(
    house: House, commands: list[Command], dashboard_port: int, service_port: int, *, open_browser: bool, started: float
) -> None:
    """Start the commands, say `ready` when they answer, watch over them, and end them all at Ctrl-C or SIGTERM."""
    supervisor = Supervisor(commands, house.workspace.run / "logs", say=lambda line: print(line, flush=True))

    def stop(_signal: int, _frame: object) -> None:
        supervisor.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    dashboard_url = f"http://127.0.0.1:{dashboard_port}"
    service_url = service_address(house.settings, service_port)
    try:
        supervisor.start()
        supervisor.wait_ready(_READY_WITHIN_S)
        if not supervisor.stopping:
            print(f"{time.perf_counter() - started:5.1f} s  all processes answer", flush=True)
            print(f"ready dashboard={dashboard_url} service={service_url}", flush=True)
            if open_browser and _has_screen():
                webbrowser.open(dashboard_url)
        supervisor.run()
    finally:
        supervisor.stop()
        print("ended", flush=True)


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
