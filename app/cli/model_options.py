"""Options by which a model is handed over, and the question whether its own code may run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pilothouse.data.errors import UnreviewedCode
from pilothouse.ops.runtimes.own import Own

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="The fitted model: a skops, ONNX, CatBoost, XGBoost, LightGBM or pickle file, or module:object with --code. "
        "Left out: it is served elsewhere."
    ),
]
CodeOption = Annotated[
    Path | None, typer.Option(help="Own code that the model needs: a wheel, a zip file, or one .py module.")
]
TrustCodeOption = Annotated[
    str | None, typer.Option(help="The beginning of that code's SHA-256, once you have looked at it.")
]
DataOption = Annotated[Path | None, typer.Option(help="A folder that the load(folder) of module:object reads.")]
MlflowOption = Annotated[
    str | None, typer.Option(help="An MLflow model's folder, or its runs:/ or models:/ address with --mlflow-store.")
]
MlflowStoreOption = Annotated[Path | None, typer.Option(help="The folder of MLflow's file store (mlruns).")]


def own_of(code: Path | None, trust: str | None, data: Path | None, mlflow_store: Path | None) -> Own:
    """What comes with a model. Whoever sits at a terminal is asked about code that nobody has said to trust yet."""
    if code is not None and trust is None and sys.stdin.isatty():
        trust = _asked(code)
    return Own(code=code, trust=trust, data=data, mlflow_store=mlflow_store)


def _asked(code: Path) -> str | None:
    """The code's SHA-256 where the answer is yes."""
    from pilothouse.ops.runtimes.code import read_code, reviewed

    try:
        return reviewed(read_code(code), code.name, None)
    except UnreviewedCode as error:
        for file, size in sorted(error.files.items()):
            print(f"  {file} ({size:,} bytes)")
        words = f"{code.name} (SHA-256 {error.sha256[: error.DIGITS]}) will run with the service's rights. Trust it?"
        return error.sha256 if typer.confirm(words) else None
