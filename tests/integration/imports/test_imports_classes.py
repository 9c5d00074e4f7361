"""The log of a model of several classes, with the probability of each: a column a class, lists, named fields, or text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score, top_k_accuracy_score
from streamlit.testing.v1 import AppTest
from tests.support.dashboard import dashboard_of, open_page, words
from typer.testing import CliRunner

from pilothouse.app import intake
from pilothouse.app.cli.commands import app as cli
from pilothouse.app.house import House
from pilothouse.data.errors import BadData, BadMapping, MissingColumn
from pilothouse.data.windows import Window, parse_time
from pilothouse.data.workspace import Workspace
from pilothouse.ops.imports.entry import order_of
from pilothouse.ops.imports.run import run_import
from pilothouse.ops.imports.uploads import Uploads

ROWS = 600
CLASSES = ("New York", "blue", "red")
ALL = Window(parse_time("2025-12-01T00:00:00Z"), parse_time("2026-12-01T00:00:00Z"))
Change = Callable[[pl.DataFrame], pl.DataFrame]


def chances() -> np.ndarray:
    drawn = np.random.default_rng(5).dirichlet([2, 3, 1], ROWS)
    return drawn / drawn.sum(axis=1, keepdims=True)


def came() -> np.ndarray:
    rng = np.random.default_rng(6)
    return np.array([rng.choice(3, p=row) for row in chances()])


def log() -> pl.DataFrame:
    """A log with one column a class; every tenth row has no label."""
    told = [None if i % 10 == 0 else CLASSES[k] for i, k in enumerate(came())]
    first = datetime(2026, 1, 5, tzinfo=UTC)
    return pl.DataFrame(
        {
            "id": [f"n{i}" for i in range(ROWS)],
            "time": [first + timedelta(hours=i) for i in range(ROWS)],
            "size": np.random.default_rng(7).normal(10, 3, ROWS),
            "p_value": np.random.default_rng(8).random(ROWS),
            "predicted": [CLASSES[k] for k in chances().argmax(axis=1)],
            **{f"proba_{name.replace(' ', '_')}": chances()[:, k] for k, name in enumerate(CLASSES)},
            "label": told,
        }
    )


COLUMNS = ("proba_New_York", "proba_blue", "proba_red")


def as_lists(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.concat_list(COLUMNS).alias("probabilities")).drop(COLUMNS)


def as_fields(frame: pl.DataFrame) -> pl.DataFrame:
    named = pl.struct(red="proba_red", blue="proba_blue", **{"New York": "proba_New_York"})
    return frame.with_columns(named.alias("probabilities")).drop(COLUMNS)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    listed = [str(row) for row in frame.select(COLUMNS).rows()]
    return frame.with_columns(
        pl.Series("scores", listed).str.replace("(", "[", literal=True).str.replace(")", "]", literal=True)
    ).drop(COLUMNS)


def called_otherwise(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({"proba_New_York": "P(New York)", "proba_blue": "P(blue)", "proba_red": "P(red)"})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House.open(Workspace.create(tmp_path / "house").root)
    yield made
    made.close()


@pytest.mark.parametrize("shape", [pl.DataFrame.clone, as_lists, as_fields, as_text, called_otherwise])
def test_metrics_of_probabilities_are_those_of_scikit_learn(house: House, shape: Change) -> None:
    classes = CLASSES if shape in (as_lists, as_text) else ()
    report = house.import_log("shades", shape(log()), classes=classes)
    assert (report.rows.imported, report.rows.set_aside) == (ROWS, 0), report
    shades = house["shades"]
    assert shades.signature.target.classes == CLASSES
    assert shades.signature.names == ("size", "p_value")
    logged = np.array(shades.prediction_log.predictions(ALL).sort("at")["scores"].to_list())
    assert np.abs(logged - chances()).max() < 1e-15
    told = np.arange(ROWS) % 10 != 0
    truth, given = came()[told], chances()[told]
    found = shades.history.performance(ALL, exact=True).metrics
    assert found["log_loss"].value == pytest.approx(log_loss(truth, given), abs=1e-12)
    assert found["top_2"].value == pytest.approx(top_k_accuracy_score(truth, given, k=2), abs=1e-12)
    auc = roc_auc_score(truth, given, multi_class="ovr", average="macro")
    assert found["macro_roc_auc"].value == pytest.approx(auc, abs=1e-12)


def test_what_is_no_probability_is_set_aside_with_its_reason(house: House, tmp_path: Path) -> None:
    frame = log()
    wrong = {
        3: (0.5, 0.6, 0.2),
        5: (1.2, -0.2, 0.0),
        7: (0.5, None, 0.5),
        9: (None, None, None),
        11: (0.3335, 0.3335, 0.3335),
    }
    rows = frame.select(COLUMNS).rows()
    put = [wrong.get(i, row) for i, row in enumerate(rows)]
    frame = frame.with_columns(pl.DataFrame(put, schema=COLUMNS, orient="row"))
    for name, made in (("columns", frame), ("lists", as_lists(frame.with_columns(pl.col(COLUMNS))))):
        file = tmp_path / f"{name}.parquet"
        made.write_parquet(file)
        report = house.import_log(name, file, classes=CLASSES)
        aside = pl.read_csv(report.bad_rows, infer_schema=False)
        assert [int(line) - 1 for line in aside["bad_line"]] == [3, 5, 7]
        for reason, said in zip(
            aside["bad_reasons"],
            ("do not add up to 1", "outside of 0 to 1", "not a probability for each class"),
            strict=True,
        ):
            assert said in reason
        if name == "lists":
            assert aside["probabilities"][0] == "[0.5, 0.6, 0.2]"
        kept = house[name].prediction_log.predictions(ALL).sort("at")
        assert kept.filter(pl.col("prediction_id") == "n9")["scores"][0] is None
        assert kept.filter(pl.col("prediction_id") == "n11")["scores"][0] is not None


def test_without_a_prediction_the_likeliest_class_is_it(house: House) -> None:
    found = house.preview_import("shades", log().drop("predicted"))
    assert "it is the class of the highest probability" in " ".join(found.notes)
    house.import_log("shades", log().drop("predicted"))
    said = house["shades"].prediction_log.predictions(ALL).sort("at")["prediction"]
    assert said.to_list() == [CLASSES[k] for k in chances().argmax(axis=1)]


def test_what_a_mapping_cannot_say_is_refused(house: House) -> None:
    with pytest.raises(BadData, match="nothing says which class comes first"):
        house.import_log("shades", as_lists(log()))
    with pytest.raises(MissingColumn, match=r"probability\.blue"):
        house.import_log("shades", log(), mapping={"probability.blue": ""}, classes=CLASSES)
    with pytest.raises(BadMapping, match="the target has no such class"):
        house.import_log("shades", log(), mapping={"probability.green": "size"}, classes=CLASSES)
    with pytest.raises(BadMapping, match="only one of several classes"):
        house.import_log(
            "two",
            log().drop(COLUMNS).with_columns(label=pl.col("label") == "red", predicted=pl.col("predicted") == "red"),
            mapping={"probability.true": "p_value"},
            classes=("false", "true"),
        )
    assert house.models() == []


def test_a_model_that_is_here_takes_its_own_classes_alone(house: House) -> None:
    house.import_log("shades", log().head(300))
    later = called_otherwise(log()).tail(300).rename({"P(red)": "rouge"})
    with pytest.raises(MissingColumn, match=r"probability\.red"):
        house.import_log("shades", later, mapping={"probability": ["P(blue)", "P(New York)"]})
    house.import_log("shades", later, mapping={"probability": ["P(blue)", "P(New York)"], "probability.red": "rouge"})
    logged = np.array(house["shades"].prediction_log.predictions(ALL).sort("at")["scores"].to_list())
    assert np.abs(logged - chances()).max() < 1e-15


def test_the_command_line_says_and_does_the_same(house: House, tmp_path: Path) -> None:
    file, root = tmp_path / "log.csv", str(house.workspace.root)
    log().rename({"proba_red": "rouge"}).write_csv(file)
    typed = ["import", "shades", str(file), "-w", root, "--map", "probability.red=rouge"]
    typed += ["--map", "probability.blue=proba_blue", "--map", "probability.New York=proba_New_York"]
    shown = CliRunner().invoke(cli, [*typed, "--dry-run", "--json"], catch_exceptions=False)
    mapped = {c["source"]: (c["part"], c["name"]) for c in json.loads(shown.output)["mapping"]["columns"]}
    assert mapped["rouge"] == ("probability", "red")
    done = CliRunner().invoke(cli, typed, catch_exceptions=False)
    assert "600 imported into shades" in " ".join(done.output.split())
    assert house["shades"].history.performance(ALL).metrics["log_loss"].value is not None


def test_an_import_that_was_stopped_goes_on_as_it_was_mapped(house: House, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def crash(point: str) -> None:
        if point == "import:recorded":
            raise Stopped

    file = tmp_path / "log.parquet"
    log().rename({"proba_red": "rouge"}).write_parquet(file)
    said = {"probability": ["proba_blue", "proba_New_York"], "probability.red": "rouge"}
    with pytest.raises(Stopped):
        run_import(house, order_of(house, "shades", file, mapping=said), crash=crash)
    house.import_log("shades", file, resume=True)
    logged = np.array(house["shades"].prediction_log.predictions(ALL).sort("at")["scores"].to_list())
    assert np.abs(logged - chances()).max() < 1e-15


def test_the_page_shows_and_corrects_them(house: House) -> None:
    with dashboard_of(house.workspace.root):
        app = open_page("intake")
        look(app, log().write_csv().encode())
        ours = dict(
            zip(
                app.session_state["intake"]["mapping"]["theirs"],
                app.session_state["intake"]["mapping"]["ours"],
                strict=True,
            )
        )
        assert [ours[name] for name in COLUMNS] == ["probability.New York", "probability.blue", "probability.red"]
        assert "600 can be imported" in words(app)
        found = app.session_state["intake"]
        state = Uploads(house.workspace).look(
            found["number"], "shades", intake.as_said({"mapping": {"proba_red": ["probability.green"]}})
        )
        assert "log.csv has no column 'probability.red'" in " ".join(state.found["problems"])


def look(app: AppTest, content: bytes) -> None:
    app.file_uploader(key="predictions-file").set_value(("log.csv", content, "text/csv"))
    app.text_input(key="import-name").set_value("shades")
    app.run()
    app.button(key="look").click().run()
    assert not app.exception
