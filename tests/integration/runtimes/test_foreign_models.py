"""Models that come in other people's formats: pickles, MLflow's folders, libraries' own files, and a team's own code."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tests.support.small import planted
from typer.testing import CliRunner, Result

from pilothouse.app.cli.commands import app
from pilothouse.data.errors import (
    BadArtifact,
    BadCode,
    BadData,
    UnfitModel,
    UnportableModel,
    UnreviewedCode,
    UntrustedArtifact,
)
from pilothouse.data.signature import Task, infer_signature
from pilothouse.data.store import Store
from pilothouse.data.workspace import Workspace
from pilothouse.ops import artifacts
from pilothouse.ops.house import House
from pilothouse.ops.runtimes.code import OwnCode, packed, read_code
from pilothouse.ops.runtimes.mlflow import resolve
from pilothouse.ops.runtimes.own import NONE, Own
from pilothouse.ops.runtimes.quarantine import Unfit, allowed
from pilothouse.ops.runtimes.taking import take
from pilothouse.ops.scoring import SklearnScorer, model_frame

TRAIN, ROWS = planted(400, seed=1), planted(100, seed=2)
SIGNATURE = infer_signature(TRAIN, "failed", Task.BINARY)
NUMBERS = infer_signature(TRAIN.drop("purpose"), "failed", Task.BINARY)
TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")


def forest() -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["purpose"]), remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0))
    return model.fit(model_frame(SIGNATURE, TRAIN), TRAIN["failed"].to_numpy())


def scores(model: Any, signature: Any = SIGNATURE) -> list[float]:
    return SklearnScorer(model, signature, 0.5).score(ROWS).score or []


class Evil:
    """Runs a program as soon as a pickle of it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_becomes_a_skops_file_that_answers_alike(tmp_path: Path) -> None:
    model, file = forest(), tmp_path / "m.joblib"
    joblib.dump(model, file, compress=3)
    with pytest.raises(UntrustedArtifact, match=r"sklearn\.tree\._tree\.Tree"):
        take(file, Task.BINARY)
    taken = take(file, Task.BINARY, TRUSTED)
    assert (taken.runtime, taken.content[:2], scores(taken.model)) == ("sklearn", b"PK", scores(model))


def test_a_pickle_that_calls_a_function_calls_nothing(tmp_path: Path) -> None:
    marker, file = tmp_path / "ran", tmp_path / "m.joblib"
    # An array of objects is a pickle within the pickle.
    joblib.dump(np.array([Evil(marker), None], dtype=object), file)
    with pytest.raises(UnfitModel, match=r"it needs posix\.system, which is not built out of a pickle"):
        take(file, Task.BINARY)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("os", "system"),
        ("sklearn", "base.os.system"),
        ("lightgbm.basic", "Path"),
        ("sklearn.datasets", "fetch_openml"),
        ("sklearn_evil", "Thing"),
        ("numpyevil", "Thing"),
        ("numpy", "load"),
        ("joblib.numpy_pickle", "NDArrayWrapper"),
        ("functools", "partial"),
        ("importlib", "import_module"),
        ("pandas.core.common", "random_state"),
    ],
)
def test_only_classes_of_known_libraries_are_built_out_of_pickles(module: str, name: str) -> None:
    with pytest.raises(Unfit, match="is not built out of a pickle"):
        allowed(module, name, lambda: getattr(importlib.import_module(module), name, None))


def test_own_code_in_a_pickle_reaches_no_network_starts_nothing_and_writes_nowhere_else(tmp_path: Path) -> None:
    marker = tmp_path / "written"
    own, module = team_code(tmp_path, CURIOUS.replace("MARKER", str(marker)))
    model = module.Model()
    model.weight = 1
    joblib.dump(model, tmp_path / "m.pkl")
    del sys.modules["team"]
    with pytest.raises(UnfitModel, match=r"refused: connect, run, write, remove\b"):
        take(tmp_path / "m.pkl", Task.BINARY, own=own)
    assert not marker.exists()


CURIOUS = """
import os, socket, subprocess
from pathlib import Path

ACTS = {
    "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
    "run": lambda: subprocess.run(["true"]),
    "write": lambda: open("MARKER", "w"),
    "remove": lambda: os.remove("model.pickle"),
    "read": lambda: open("model.pickle", "rb").close(),
}


class Model:
    def __setstate__(self, state):
        refused = []
        for name, act in ACTS.items():
            try:
                act()
            except PermissionError:
                refused.append(name)
        raise ValueError("refused: " + ", ".join(refused))
"""


def team_code(folder: Path, text: str) -> tuple[Own, ModuleType]:
    """Code that has been looked at, and its module as the team has it loaded."""
    file = folder / "team.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("team", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["team"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Own(code=file, trust=hashlib.sha256(read_code(file)).hexdigest()[:12]), module


WORDS = """
class Model:
    classes_ = [0, 1]

    @classmethod
    def load(cls, folder):
        made = cls()
        made.chance = float((folder / "sub" / "chance.txt").read_text())
        return made

    def predict_proba(self, frame):
        return [[1 - self.chance, self.chance]] * len(frame)
"""


def test_an_object_loads_from_its_data_and_is_the_same_from_the_store(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "chance.txt").write_text("0.75")
    own, _ = team_code(tmp_path, WORDS)
    del sys.modules["team"]
    given = Own(code=own.code, trust=own.trust, data=tmp_path / "data")
    taken, store = take("team:Model", Task.BINARY, own=given), Store(tmp_path / "store")
    assert set(scores(taken.model)) == {0.75}
    kept = taken.put(store)
    assert set(scores(kept.load(store))) == {0.75}
    assert "team" not in sys.modules
    code = kept.code
    assert code is not None
    store.path(str(code.data)).write_bytes(packed({"sub/chance.txt": b"0.99"}))
    with pytest.raises(BadArtifact, match="the file's content has the SHA-256"):
        kept.load(store)


def test_two_archives_with_modules_of_one_name_do_not_mix() -> None:
    def archive(word: str) -> OwnCode:
        files = {"team/__init__.py": b"", "team/words.py": f"WORD = {word!r}".encode()}
        files["team/model.py"] = b"def say():\n    from team.words import WORD\n    return WORD\n"
        return OwnCode(packed(files), "team.zip")

    one, other = archive("one"), archive("other")
    says = [code.find("team.model:say") for code in (one, other)]
    assert [say() for say in says * 2] == ["one", "other"] * 2


def test_code_that_nobody_has_looked_at_does_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "ran", tmp_path / "team.py"
    file.write_text(f"open({str(marker)!r}, 'w')")
    sha256 = hashlib.sha256(read_code(file)).hexdigest()
    for trust in (None, "", sha256[:4], "0" * 64):
        with pytest.raises(UnreviewedCode, match=rf"team\.py \(\d+ bytes\)\. Read it; .*--trust-code {sha256[:12]}"):
            take("team:Model", Task.BINARY, own=Own(code=file, trust=trust))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"../team.py": b""}, "leads out of it"),
        ({"team.py": b"", "team/fast.so": b""}, "it holds compiled code"),
        ({"json.py": b""}, "its module json would stand in the place"),
        ({"readme.txt": b""}, "it holds no Python module"),
    ],
)
def test_an_archive_that_is_none_of_modules_is_refused(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    file = tmp_path / "team.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(BadCode, match=says):
        take("team:Model", Task.BINARY, own=Own(code=file))


def test_a_class_of_the_running_script_is_refused_in_plain_words() -> None:
    kind = type("Mine", (RandomForestClassifier,), {"__module__": "__main__"})
    with pytest.raises(UnportableModel, match=r"exists only in this session\. Move it into a module"):
        take(kind(2).fit([[0], [1]], [0, 1]), Task.BINARY)


def boosted(library: str, kind: str, **more: Any) -> Any:
    module = import_module(library)
    model = getattr(module, kind)(n_estimators=5, **more)
    return model.fit(model_frame(NUMBERS, TRAIN), TRAIN["failed"].to_numpy())


def described(folder: Path, flavors: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(f"artifact_path: model\nflavors:\n{flavors}model_uuid: 0\n")
    return folder


def test_mlflow_folders_are_read_by_the_file_of_their_flavor(tmp_path: Path) -> None:
    pyfunc = "  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}\n"
    sk = described(
        tmp_path / "mlruns" / "0" / "abc" / "artifacts" / "model", pyfunc + "  sklearn: {pickled_model: model.pkl}\n"
    )
    model = forest()
    joblib.dump(model, sk / "model.pkl")
    taken = take("runs:/abc/model", Task.BINARY, TRUSTED, Own(mlflow_store=tmp_path / "mlruns"))
    assert scores(taken.model) == scores(model)

    xgb = described(tmp_path / "xgb", "  xgboost: {data: model.ubj, model_class: xgboost.sklearn.XGBClassifier}\n")
    made = boosted("xgboost", "XGBClassifier")
    made.save_model(xgb / "model.ubj")
    assert scores(take(xgb, Task.BINARY, TRUSTED).model, NUMBERS) == scores(made, NUMBERS)

    new = described(tmp_path / "new", "  lightgbm: {data: model.skops, serialization_format: skops}\n")
    made = boosted("lightgbm", "LGBMClassifier", verbose=-1)
    (new / "model.skops").write_bytes(artifacts.dump(made, TRUSTED))
    assert scores(take(new, Task.BINARY, TRUSTED).model, NUMBERS) == pytest.approx(scores(made, NUMBERS))

    lgb = described(tmp_path / "lgb", "  lightgbm: {data: model.lgb, model_class: lightgbm.basic.Booster}\n")
    made.booster_.save_model(lgb / "model.lgb")
    assert scores(take(lgb, Task.BINARY, TRUSTED).model, NUMBERS) == pytest.approx(scores(made, NUMBERS))

    cat = described(tmp_path / "cat", "  catboost: {data: model.cb, model_type: CatBoostClassifier}\n")
    made = boosted("catboost", "CatBoostClassifier", verbose=False, allow_writing_files=False)
    made.save_model(str(cat / "model.cb"))
    assert scores(take(cat, Task.BINARY).model, NUMBERS) == pytest.approx(scores(made, NUMBERS))


def test_a_registered_model_of_mlflow_is_found_by_its_version(tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    found = described(store / "0" / "models" / "m-1" / "artifacts", "  onnx: {data: model.onnx}\n")
    place = store / "models" / "loans" / "version-3"
    place.mkdir(parents=True)
    for said in (f"storage_location: file://{found}", "source: models:/m-1"):
        (place / "meta.yaml").write_text(said)
        assert resolve("models:/loans/3", store) == found
    # Since MLflow 3 a run only names what it has logged.
    (found.parent / "meta.yaml").write_text("name: model")
    (store / "0" / "abc" / "outputs" / "m-1").mkdir(parents=True)
    assert resolve("runs:/abc/model", store) == resolve("models:/m-1", store) == found


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("runs:/../model", "no id or name"),
        ("runs:/nothing/model", "has no such model"),
        ("models:/loans/9", "has no such model"),
        ("runs:/abc/../../../../outside", "stands outside of"),
    ],
)
def test_an_address_leads_nowhere_else(tmp_path: Path, address: str, says: str) -> None:
    (tmp_path / "mlruns" / "0" / "abc" / "artifacts").mkdir(parents=True)
    described(tmp_path / "outside", "  onnx: {data: model.onnx}\n")
    with pytest.raises(UnfitModel, match=says):
        take(address, Task.BINARY, own=Own(mlflow_store=tmp_path / "mlruns"))


@pytest.mark.parametrize(
    ("flavors", "says"),
    [
        ("  onnx: {data: ../../secret}\n", "names secret, which stands outside of"),
        (
            "  python_function: {loader_module: mlflow.pyfunc.model}\n",
            "Give the code of a python_function as module:object",
        ),
    ],
)
def test_a_folder_that_is_read_otherwise_is_refused(tmp_path: Path, flavors: str, says: str) -> None:
    with pytest.raises(UnfitModel, match=says):
        take(described(tmp_path / "m", flavors), Task.BINARY)


def test_what_is_no_model_says_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(b"cos\nsystem\n")
    for path in (tmp_path / "m.skops", tmp_path / "gone.skops", tmp_path / "gone.onnx"):
        with pytest.raises(UnfitModel, match=r"Give a skops file \(\.skops\), an ONNX file"):
            take(str(path), Task.BINARY, own=NONE)


def test_the_command_line_takes_them_too(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w")
    workspace.settings_file.write_text('onnx = "never"')
    ROWS.write_parquet(tmp_path / "ref.parquet")
    file = tmp_path / "team.py"
    file.write_text("class Rule:\n    def predict_proba(self, frame):\n        return frame['amount'] / 1e5\n")

    def run(*arguments: str) -> Result:
        told = ["--reference", str(tmp_path / "ref.parquet"), "--target", "failed", "--workspace", str(workspace.root)]
        return CliRunner().invoke(app, ["register", *arguments, *told])

    refused = run("rule", "--model", "team:Rule", "--code", str(file))
    assert isinstance(refused.exception, UnreviewedCode)
    taken = run("rule", "--model", "team:Rule", "--code", str(file), "--trust-code", refused.exception.sha256[:12])
    assert taken.stdout.startswith("rule version 1 is registered and champion"), taken.output
    folder = described(tmp_path / "m", "  sklearn: {pickled_model: model.skops, serialization_format: skops}\n")
    (folder / "model.skops").write_bytes(artifacts.dump(forest(), TRUSTED))
    logged = run("forest", "--from-mlflow", str(folder), *(word for kind in TRUSTED for word in ("--trust", kind)))
    assert logged.stdout.startswith("forest version 1 is registered and champion"), logged.output

    house = House.open(workspace.root)
    assert house["rule"].predict(ROWS)["score"].to_list() == pytest.approx((ROWS["amount"] / 1e5).to_list())
    assert house["forest"].predict(ROWS)["score"].to_list() == scores(forest())
    registered = next(row for row in house.audit("rule") if row.act == "register")
    assert registered.details["code_sha256"] == refused.exception.sha256
    said = CliRunner().invoke(app, ["versions", "rule", "--workspace", str(workspace.root)]).stdout
    assert f"  own code team.py, SHA-256 {refused.exception.sha256[:12]}\n" in said
    assert "  answers with its own code\n" in said
    gap = ROWS.with_columns(amount=pl.when(pl.int_range(100) > 0).then("amount"))
    own = Own(code=file, trust=refused.exception.sha256)
    with pytest.raises(BadData, match="The model has no number for 1 of 100 reference rows"):
        house.register("gaps", "team:Rule", reference=gap, target="failed", own=own)
    house.close()
