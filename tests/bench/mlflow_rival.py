"""`mlflow models serve` in an environment of its own: its requirements do not go with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.rivals import MODEL_VARIABLE
from tests.bench.servers import WORKERS, Command

MLFLOW = "mlflow==3.17.2"
_SAME = ("scikit-learn", "numpy", "skops")
_SAVE = """
import json, os, joblib, mlflow.sklearn
told = json.loads(os.environ["BENCH_MODEL"])
mlflow.sklearn.save_model(
    joblib.load(told["joblib"]), told["saved"], serialization_format="cloudpickle", pyfunc_predict_fn="predict_proba"
)
"""


def command(folder: Path, environment: Mapping[str, str]) -> Command:
    """Make the environment, save the model there as MLflow does, and say how it is served."""
    made, saved = folder / "mlflow-env", folder / "mlflow-model"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)
    same = [f"{name}=={version(name)}" for name in _SAME]
    subprocess.run([made / "bin/python", "-m", "pip", "install", "--quiet", MLFLOW, *same], check=True)
    told = json.loads(environment[MODEL_VARIABLE]) | {"saved": str(saved)}
    own = {"PATH": f"{made / 'bin'}:/usr/bin:/bin", MODEL_VARIABLE: json.dumps(told)}
    subprocess.run([made / "bin/python", "-c", _SAVE], check=True, env=own)
    return Command(
        module="mlflow",
        arguments=[
            "models",
            "serve",
            "-m",
            str(saved),
            "-w",
            str(WORKERS),
            "-h",
            "127.0.0.1",
            "--env-manager",
            "local",
        ],
        path="/invocations",
        ready="/ping",
        log=folder / "mlflow.log",
        environment=own,
        python=made / "bin/python",
        body=lambda rows: {"dataframe_records": rows},
        scores=_scores,
    )


def _scores(answer: Any) -> list[float]:
    return [chances[1] for chances in answer["predictions"]]
