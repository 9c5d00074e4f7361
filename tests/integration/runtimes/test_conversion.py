"""What becomes of models that are converted to ONNX: they answer alike, or the original answers and the version says why."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from tests.support.own import Doubling
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import BadArtifact
from pilothouse.data.signature import Signature, Task, infer_signature
from pilothouse.data.state.catalog import Conversion
from pilothouse.data.store import Store
from pilothouse.ops import artifacts
from pilothouse.ops.house import House
from pilothouse.ops.runtimes import tasks
from pilothouse.ops.runtimes.agree import TOLERANCE, compare
from pilothouse.ops.runtimes.onnx import OnnxScorer
from pilothouse.ops.runtimes.originals import Artifact
from pilothouse.ops.scoring import SklearnScorer, load_original, load_scorer, model_frame

CONVERTED = 'onnx = "where_equal"\n'
NUMBERS = ("amount", "months")
TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree", "tests.support.own.Doubling")


def with_gaps(rows: int, seed: int) -> pl.DataFrame:
    """Planted loans of which every twentieth lacks its amount and every thirtieth its purpose; and what they cost."""
    place = pl.int_range(pl.len())
    return planted(rows, seed).with_columns(
        amount=pl.when(place % 20 > 0).then("amount"),
        purpose=pl.when(place % 30 > 0).then("purpose"),
        home=pl.col("purpose") == "home",
        cost=pl.col("months") * 100.0 + 40.0,
    )


def coded(model: Any) -> Any:
    """`model` over coded purposes and the numbers as they are."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    return make_pipeline(make_column_transformer((encoder, ["purpose"]), remainder="passthrough"), model)


class Trial:
    """A model fitted on loans with gaps, and converted as registration does, without a process of its own."""

    def __init__(
        self, folder: Path, model: Any, *columns: str, target: str = "failed", task: Task = Task.BINARY
    ) -> None:
        train = with_gaps(1500, seed=1).drop_nulls(target)
        self.signature: Signature = infer_signature(train.select(*columns, target), target, task)
        self.rows = with_gaps(1000, seed=2)
        model.fit(model_frame(self.signature, train), train[target].to_numpy())
        folder.mkdir(exist_ok=True)
        self.store, file = Store(folder), folder / "rows.parquet"
        self.rows.write_parquet(file)
        content = artifacts.dump(model, TRUSTED)
        self.task = tasks.Original(
            artifact=Artifact(sha256=self.store.put(content), trusted=artifacts.types_to_trust(content, TRUSTED)),
            signature=self.signature, threshold=0.5, rows_file=str(file),
        )  # fmt: skip
        self.original = SklearnScorer(model, self.signature, 0.5)
        self.said: list[str] = []

    def convert(self) -> Conversion:
        return tasks.convert(self.task, self.store, self.said.append)

    def form(self, told: Conversion) -> OnnxScorer:
        assert told.sha256 is not None, told.reason
        return OnnxScorer(self.store.read(told.sha256), self.signature, 0.5)


def boosted(library: str, kind: str) -> Any:
    """An estimator of a library that need not be installed everywhere."""
    module = import_module(library)
    more: dict[str, Any] = {"xgboost": {"n_jobs": 1}, "lightgbm": {"n_jobs": 1, "verbose": -1}}.get(library, {})
    more = more or {"thread_count": 1, "verbose": False, "allow_writing_files": False}
    return getattr(module, kind)(n_estimators=20, **more)


@pytest.mark.parametrize(
    ("model", "columns", "target", "task"),
    [
        (lambda: coded(boosted("lightgbm", "LGBMClassifier")), (*NUMBERS, "purpose", "home"), "failed", Task.BINARY),
        (lambda: boosted("lightgbm", "LGBMClassifier"), NUMBERS, "purpose", Task.MULTICLASS),
        (lambda: coded(boosted("xgboost", "XGBClassifier")), (*NUMBERS, "purpose", "home"), "failed", Task.BINARY),
        (lambda: boosted("xgboost", "XGBRegressor"), NUMBERS, "cost", Task.REGRESSION),
        (lambda: boosted("catboost", "CatBoostClassifier"), NUMBERS, "purpose", Task.MULTICLASS),
        (lambda: boosted("catboost", "CatBoostRegressor"), NUMBERS, "cost", Task.REGRESSION),
        (lambda: coded(RandomForestClassifier(20, random_state=0)), (*NUMBERS, "purpose"), "failed", Task.BINARY),
        (lambda: coded(HistGradientBoostingRegressor(max_iter=20)), (*NUMBERS, "purpose"), "cost", Task.REGRESSION),
    ],
    ids=[
        "lightgbm",
        "lightgbm alone, three classes",
        "xgboost",
        "xgboost alone, a number",
        "catboost, three classes",
        "catboost, a number",
        "forest",
        "histogram",
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_converted_model_answers_like_the_original(
    tmp_path: Path, model: Any, columns: tuple[str, ...], target: str, task: Task
) -> None:
    trial = Trial(tmp_path, model(), *columns, target=target, task=task)
    told = trial.convert()
    assert (told.rows, told.other_class) == (1000, 0), told.reason
    assert told.largest is not None
    assert told.largest < TOLERANCE
    rows = trial.rows.select(trial.signature.names)
    wanted, form = trial.original.score(rows), trial.form(told)
    assert compare(wanted, form.score(rows), told.unit).holds
    # As it comes in a request: columns of Python values, missing ones None.
    given = dict(zip(trial.signature.names, zip(*rows.rows(), strict=True), strict=True))
    assert compare(wanted, form.score(given), told.unit).holds
    assert "converted to ONNX: on 1,000 rows" in trial.said[0]


def test_what_has_no_converter_is_not_converted_and_says_so(tmp_path: Path) -> None:
    model = make_pipeline(make_column_transformer((Doubling(), ["months"])), LogisticRegression())
    told = Trial(tmp_path, model, "months").convert()
    assert told.sha256 is None
    assert "no ONNX form could be made" in told.reason
    assert "Doubling" in told.reason


def test_a_form_that_takes_what_the_original_refuses_is_not_served(tmp_path: Path) -> None:
    trial = Trial(
        tmp_path,
        coded(HistGradientBoostingRegressor(max_iter=5)),
        *NUMBERS,
        "purpose",
        target="cost",
        task=Task.REGRESSION,
    )
    trial.original.model.steps[0][1].named_transformers_["ordinalencoder"].handle_unknown = "error"
    content = trial.store.read(str(trial.convert().sha256))
    rows = trial.rows.with_columns(pl.col("purpose").fill_null("car"))
    judged = tasks.judge(trial.task, content, trial.original, rows, trial.original.score(rows))
    assert judged.reason == "it answers a never seen value of purpose otherwise than the original"


def test_a_form_made_of_another_model_is_refused(tmp_path: Path) -> None:
    right, wrong = (Trial(tmp_path / name, LogisticRegression(C=c), "months") for name, c in (("a", 1.0), ("b", 1e-6)))
    content = wrong.store.read(str(wrong.convert().sha256))
    judged = tasks.judge(right.task, content, right.original, right.rows, right.original.score(right.rows))
    assert judged.sha256 is None
    assert "its ONNX form differs by up to" in judged.reason
    assert f"of 1,000 rows (allowed: {TOLERANCE:g})" in judged.reason


def test_an_even_vote_gets_the_class_that_the_original_gives(tmp_path: Path) -> None:
    trial = Trial(tmp_path, RandomForestClassifier(10, random_state=0), "months")
    found = trial.original.score(trial.rows)
    assert compare(found, trial.form(trial.convert()).score(trial.rows)).other_class == 0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return make_small(tmp_path / "w", CONVERTED)


def test_a_version_is_converted_when_it_is_registered(house: House) -> None:
    version = house[MODEL].version(1)
    assert (version.answers_with, version.runtime) == ("onnx", "sklearn")
    assert version.conversion is not None
    assert (version.conversion.rows, version.conversion.reason) == (1000, "")
    assert isinstance(load_scorer(house.store, version), OnnxScorer)
    rows = planted(500, seed=9)
    given, wanted = house[MODEL].predict(rows)["score"], load_original(house.store, version).score(rows).score
    assert given.to_list() == pytest.approx(wanted, abs=TOLERANCE)
    registered = next(row for row in house.audit() if row.act == "register")
    assert registered.details["onnx_sha256"] == version.onnx_sha256
    # A later version by hand is compared on the reference rows that were kept.
    later = house.add_version(MODEL, load_original(house.store, version).model)
    assert later.conversion is not None
    assert (later.answers_with, later.conversion.rows) == ("onnx", 1000)
    house.close()


def test_an_onnx_file_that_was_tampered_with_is_not_loaded(house: House) -> None:
    version = house[MODEL].version(1)
    file = house.store.path(str(version.onnx_sha256))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadArtifact, match="the file's content has the SHA-256"):
        load_scorer(house.store, version)
    house.close()


def test_what_stands_in_the_store_and_is_no_onnx_file_is_refused(house: House) -> None:
    with pytest.raises(BadArtifact, match="it is no ONNX file that can be run here"):
        OnnxScorer(b"no such thing", house[MODEL].signature, 0.5)
    house.close()


def test_an_own_transformer_is_served_by_the_original(tmp_path: Path) -> None:
    house = make_small(tmp_path / "w", CONVERTED)
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(), ["purpose"]), (make_pipeline(Doubling(), StandardScaler()), [*NUMBERS])
        ),
        LogisticRegression(),
    )
    train = planted(500, seed=1)
    model.fit(model_frame(house[MODEL].signature, train), train["failed"].to_numpy())
    version = house.register(
        "own", model, reference=planted(300, seed=2), target="failed",
        trusted=TRUSTED,
    )  # fmt: skip
    assert (version.answers_with, version.onnx_sha256) == ("sklearn", None)
    assert version.conversion is not None
    assert "Doubling" in version.conversion.reason
    assert isinstance(load_scorer(house.store, version), SklearnScorer)
    house.close()


def test_lightgbm_registers_without_a_word_about_its_types(tmp_path: Path) -> None:
    house, train = make_small(tmp_path / "w", CONVERTED), planted(800, seed=1)
    model = boosted("lightgbm", "LGBMClassifier")
    model.fit(train.select(NUMBERS).to_pandas(), train["failed"].to_numpy())
    version = house.register("boosted", model, reference=planted(300, seed=2), target="failed")
    assert (version.runtime, version.answers_with) == ("lightgbm", "onnx")
    assert "lightgbm.basic.Booster" in version.trusted_types
    assert "lightgbm" in version.libraries
    rows = planted(200, seed=3)
    wanted = model.predict_proba(rows.select(NUMBERS).to_pandas())[:, 1].tolist()
    assert house["boosted"].predict(rows)["score"].to_list() == pytest.approx(wanted, abs=TOLERANCE)
    house.close()
