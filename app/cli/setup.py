"""Commands that begin something: a workspace, a model, the demo."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, time
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from pilothouse.app.cli.look import classes_of
from pilothouse.app.cli.model_options import (
    CodeOption,
    DataOption,
    MlflowOption,
    MlflowStoreOption,
    ModelOption,
    TrustCodeOption,
    own_of,
)
from pilothouse.app.cli.options import DEFAULT_WORKSPACE, PortOption, ServicePortOption, WorkspaceOption, open_house
from pilothouse.app.cli.run import run_until_stopped, service_ports, up_commands
from pilothouse.data.errors import BadData
from pilothouse.data.policies import LabelPolicy
from pilothouse.data.signature import Signature, Task
from pilothouse.data.windows import parse_span
from pilothouse.data.workspace import SETTINGS_FILE, Workspace
from pilothouse.ops.demo.build import DEFAULT_UNTIL, build
from pilothouse.ops.supervisor import Command

_TRAFFIC = "pilothouse.ops.demo.traffic"
_STANDS = datetime.combine(DEFAULT_UNTIL, time.min)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Make a new workspace in DIR."""
    workspace = Workspace.create(folder)
    open_house(workspace.root).models()
    print(f"Made the workspace {workspace.root}. Next: pilothouse register NAME ... --workspace {folder}")


def register(
    name: str,
    reference: Annotated[Path, typer.Option(help="Labelled rows held out from training: Parquet or CSV.")],
    target: Annotated[str, typer.Option(help="The column that the model predicts.")],
    model: ModelOption = None,
    task: Annotated[Task, typer.Option(help="What kind of prediction it is.")] = Task.BINARY,
    trust: Annotated[
        list[str] | None, typer.Option("--trust", help="A type in the model that you know and trust; repeat.")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="A column of the reference that is logged and is no feature; repeat.")
    ] = None,
    told: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="COL=CLASS", help="plain, sensitive, masked, hashed or dropped; repeat."),
    ] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="A column by whose values outcomes are rolled up; repeat.")
    ] = None,
    horizon: Annotated[str, typer.Option(help="How long after a prediction its label may take: 7d, 8w.")] = "7d",
    feature: Annotated[
        list[str] | None, typer.Option(help="A feature, in the model's order, where it knows none; repeat.")
    ] = None,
    class_order: Annotated[
        str | None,
        typer.Option("--class-order", help="The classes in the model's order, where it only numbers them: a,b,c."),
    ] = None,
    code: CodeOption = None,
    trust_code: TrustCodeOption = None,
    data: DataOption = None,
    from_mlflow: MlflowOption = None,
    mlflow_store: MlflowStoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Register a model as NAME, version 1, and make it the champion.

    Without --model or --from-mlflow it is only watched: its predictions come by `pilothouse import`, `/models/NAME/log` or the client,
    and the reference holds its own `score` beside the features and the target.
    """
    house = open_house(workspace)
    terms: dict[str, Any] = {
        "context": tuple(context or ()), "classes": classes_of(told or []), "segments": tuple(segment or ()),
        "label_policy": LabelPolicy(horizon=parse_span(horizon)),
    }  # fmt: skip
    rows = _read_frame(reference)
    given = from_mlflow or model
    if given is None:
        house.monitor(name, reference=rows, target=target, task=task, **terms)
        print(f"{name} version 1 is registered. It is served elsewhere; what it predicts can be logged now.")
        return
    own = own_of(code, trust_code, data, mlflow_store)
    version = house.register(
        name, given, reference=rows, target=target, task=task, trusted=tuple(trust or ()), own=own, features=feature,
        class_order=_classes(class_order, rows, target), **terms,
    )  # fmt: skip
    print(f"{name} version {version.version} is registered and champion (artifact {version.artifact[:12]}).")


def add_version(
    name: str,
    model: ModelOption = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Its number, for one that is served elsewhere.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Labelled rows, where it takes its features otherwise than the champion: Parquet or CSV."),
    ] = None,
    trust: Annotated[
        list[str] | None, typer.Option("--trust", help="A type in the model that you know and trust; repeat.")
    ] = None,
    note: Annotated[str, typer.Option(help="What is new in it.")] = "",
    code: CodeOption = None,
    trust_code: TrustCodeOption = None,
    data: DataOption = None,
    from_mlflow: MlflowOption = None,
    mlflow_store: MlflowStoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Register a further version of NAME; it answers once it is promoted.

    With --reference its features may be of another type than before, more or fewer: rows of both stay in one log.
    """
    given = from_mlflow or model
    if (given is None) == (version is None):
        raise BadData("Give either --model or --from-mlflow, or --version for one that is served elsewhere.")
    house = open_house(workspace)
    rows = None if reference is None else _read_frame(reference)
    if given is None or version is not None:
        added = house.add_watched_version(name, version or 1, reference=rows, note=note)
    else:
        own = own_of(code, trust_code, data, mlflow_store)
        added = house.add_version(name, given, reference=rows, trusted=trust, note=note, own=own)
    print(f"{name} version {added.version} is registered.")
    for line in changed_features(house[name].signature, added.version):
        print(f"  {line}")


def changed_features(signature: Signature, version: int) -> list[str]:
    """How `version` takes its features otherwise than the others do, a line a feature."""
    own = {f.name: f for f in signature.of_version(version).features}
    others = [f for variant in signature.variants if version not in variant.versions for f in variant.features]
    known = {f.name for f in others}
    lines = {f"{f.name}: {own[f.name].kind}, {f.kind} in others" for f in others if f.name in own and own[f.name] != f}
    lines |= {f"{name}: new" for name in own if others and name not in known}
    return sorted(lines | {f"{name}: not taken any more" for name in known - own.keys()})


def _classes(text: str | None, rows: Any, target: str) -> list[Any] | None:
    """The classes called in `text`, as values of the target's column. Raises BadData for one that is not there."""
    if text is None:
        return None
    known = {str(value): value for value in rows[target].drop_nulls().unique().to_list()}
    called = text.split(",")
    if strange := [name for name in called if name not in known]:
        raise BadData(f"{target} has no class {strange[0]!r}. It has: {', '.join(sorted(known))}.")
    return [known[name] for name in called]


def _read_frame(path: Path) -> Any:
    import polars as pl

    if not path.is_file():
        raise BadData(f"There is no file {path}. Give a Parquet or CSV file of labelled rows.")
    return pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else pl.read_parquet(path)


def demo(
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", envvar="PILOTHOUSE_WORKSPACE", help="Where the demo lives.")
    ] = Path("demo-workspace"),
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="Where in 2013 the demo stands; try 2013-11-19.")
    ] = _STANDS,
    rate: Annotated[float, typer.Option(help="Flights a second that follow, as of now; 0 sends none.")] = 5.0,
    port: PortOption = None,
    service_port: ServicePortOption = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """A model gone stale on real flights: watch it, retrain it, promote it, roll it back."""
    started = perf_counter()
    _ensure_built(workspace, until)
    house = open_house(workspace)
    dashboard_port, api_port = service_ports(house.settings, port, service_port)
    commands = up_commands(house, dashboard_port, api_port)
    if rate > 0:
        url = f"http://127.0.0.1:{api_port}"
        argv = (_TRAFFIC, "--workspace", str(house.workspace.root), "--service", url, "--rate", str(rate))
        commands.append(Command(name="traffic", argv=argv))
    run_until_stopped(house, commands, dashboard_port, api_port, open_browser=not no_browser, started=started)


def _ensure_built(folder: Path, until: datetime) -> None:
    """Build the workspace unless it is there; first beside its place, so that half of it is never taken for all."""
    if (folder / SETTINGS_FILE).exists():
        made = open_house(folder).demo
        if made is None:
            raise BadData(f"{folder} is a workspace, but not the demo's. Name another with --workspace.")
        print(f"The demo stands in {folder} (until {made.until:%Y-%m-%d}); delete the folder to start over.")
        return
    beginnings = folder.with_name(f".{folder.name}.building-{os.getpid()}")
    try:
        workspace = Workspace.create(beginnings)
        house = open_house(workspace.root)
        build(house, until.date(), say=lambda line: print(line, flush=True))
        house.close()
        os.replace(beginnings, folder)
    finally:
        shutil.rmtree(beginnings, ignore_errors=True)
