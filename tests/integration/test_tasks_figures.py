"""A regression and a model of four classes: every family's figures against scikit-learn, SciPy and fairlearn on the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp
from sklearn import metrics as sk
from tests.support.tasks import CLASSES, RENTS, ROWS, TRIAGE, UNLABELLED, answers, labelled, make_tasks, rents, triage

from pilothouse.app.house import House
from pilothouse.data.errors import BadData, CannotRetrain
from pilothouse.data.history.results import Metric, State
from pilothouse.data.windows import Window
from pilothouse.ops.reports.report import EvidentlyReport

MADE: dict[str, Callable[..., pl.DataFrame]] = {RENTS: rents, TRIAGE: triage}
TOLD = {RENTS: "rent", TRIAGE: "urgency"}
WORN = {RENTS: ("district", "harbour"), TRIAGE: ("complaint", "fever")}
SECOND = {RENTS: "furnished", TRIAGE: "ambulance"}
ALL = "6w"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House.open(make_tasks(tmp_path_factory.mktemp("tasks") / "house").workspace.root)
    yield made
    made.close()


def said_and_came(house: House, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The labelled rows, with what the model says of each."""
    rows = answers(MADE[name], ROWS)
    kept = rows.filter(pl.Series(labelled(rows)))
    return kept, house[name].predict(kept.drop(TOLD[name]))


def values(found: dict[str, Metric]) -> dict[str, float | None]:
    return {name: metric.value for name, metric in found.items()}


def test_a_regression_is_measured_as_scikit_learn_does(house: House) -> None:
    rows, answered = said_and_came(house, RENTS)
    came, said = rows["rent"].to_numpy(), answered["prediction"].to_numpy()
    expected: dict[str, Any] = {
        "mae": sk.mean_absolute_error(came, said),
        "rmse": sk.mean_squared_error(came, said) ** 0.5,
        "r2": sk.r2_score(came, said),
        "bias": float((said - came).mean()),
        "median_ae": sk.median_absolute_error(came, said),
        "mape": sk.mean_absolute_percentage_error(came, said),
        "error_p05": np.quantile(said - came, 0.05),
        "error_p95": np.quantile(said - came, 0.95),
    }
    exact = house[RENTS].metrics(ALL, exact=True)
    assert (exact.rows, exact.labelled) == (ROWS, rows.height)
    assert {name: values(exact.metrics)[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    counted = values(house[RENTS].metrics(ALL).metrics)
    of_sums = ("mae", "rmse", "r2", "bias")
    assert {n: counted[n] for n in of_sums} == pytest.approx({n: expected[n] for n in of_sums}, rel=1e-9)
    assert counted["median_ae"] == pytest.approx(expected["median_ae"], rel=0.047)
    assert "exact" in house[RENTS].metrics(ALL).metrics["mape"].reason


def test_four_classes_are_measured_as_scikit_learn_does(house: House) -> None:
    rows, answered = said_and_came(house, TRIAGE)
    came, said = rows["urgency"].to_numpy(), answered["prediction"].to_numpy()
    chances = np.array(answered["scores"].to_list())
    f1, precision = (partial(measure, came, said, zero_division=0) for measure in (sk.f1_score, sk.precision_score))
    expected: dict[str, Any] = {
        "accuracy": sk.accuracy_score(came, said),
        "balanced_accuracy": sk.balanced_accuracy_score(came, said),
        "macro_f1": f1(average="macro"),
        "weighted_f1": f1(average="weighted"),
        "macro_precision": precision(average="macro"),
        "kappa": sk.cohen_kappa_score(came, said),
        "mcc": sk.matthews_corrcoef(came, said),
        "log_loss": sk.log_loss(came, chances, labels=CLASSES),
        "top_2": sk.top_k_accuracy_score(came, chances, k=2, labels=CLASSES),
        "macro_roc_auc": sk.roc_auc_score(came, chances, multi_class="ovr", average="macro", labels=CLASSES),
        "weighted_roc_auc": sk.roc_auc_score(came, chances, multi_class="ovr", average="weighted", labels=CLASSES),
    }
    found = house[TRIAGE].metrics(ALL, exact=True)
    assert {name: values(found.metrics)[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert found.crossing is not None
    assert np.array(found.crossing.counts).tolist() == sk.confusion_matrix(came, said, labels=CLASSES).tolist()
    counted = values(house[TRIAGE].metrics(ALL).metrics)
    assert {name: counted[name] for name in expected} == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_what_was_known_then_is_of_the_labels_that_had_come(house: House, name: str) -> None:
    then = house[name].metrics(ALL, as_known=house[name].window(ALL).start.replace(day=23, hour=0))
    whole = house[name].metrics(ALL)
    assert 0 < then.labelled < whole.labelled
    assert set(then.metrics) == set(whole.metrics)
    points = house[name].metric_trend(ALL, "1w")
    assert sum(p.labelled for p in points) == whole.labelled
    assert [line.labelled for line in house[name].labels(ALL).cohorts][-1] < 300


def test_drift_of_the_prediction(house: House) -> None:
    current = house[RENTS].predict(answers(rents, ROWS).drop("rent"))["prediction"].to_numpy()
    before = house[RENTS].predict(rents(1500, seed=2).drop("rent"))["prediction"].to_numpy()
    moved = house[RENTS].prediction_drift(house[RENTS].window(ALL))
    assert moved is not None
    # Counts by 160 bins of the reference see the largest gap but for what lies within one of them.
    assert moved.ks == pytest.approx(ks_2samp(before, current).statistic, abs=1 / 160)
    said = house[TRIAGE].prediction_drift(house[TRIAGE].window(ALL))
    assert said is not None
    assert (said.kind, said.new_share) == ("category", 0.0)
    assert {f.name for f in house[RENTS].drift(ALL).result.features} == {"size", "district", "furnished"}


@pytest.mark.parametrize(("name", "metric"), [(RENTS, "mae"), (TRIAGE, "accuracy")])
def test_impact_plan_and_importance_speak_of_the_same_metric(house: House, name: str, metric: str) -> None:
    rows, answered = said_and_came(house, name)
    reference = MADE[name](1500, seed=2)
    known = house[name].predict(reference.drop(TOLD[name]))["prediction"]
    measure = sk.mean_absolute_error if metric == "mae" else sk.accuracy_score
    before, now = (float(measure(r[TOLD[name]], s)) for r, s in ((reference, known), (rows, answered["prediction"])))
    impact, plan, lean = house[name].impact(ALL), house[name].plan(), house[name].importance(ALL)
    assert (impact.metric, plan.metric, lean.metric) == (metric, metric, metric)
    assert (impact.reference.value, impact.realized.value) == pytest.approx((before, now), rel=1e-9)
    assert plan.expected is not None
    assert plan.expected.value == pytest.approx(before, rel=1e-9)
    assert lean.value == pytest.approx(now, rel=1e-9)
    kept = house[name].profile.performance[metric].value
    assert kept == pytest.approx(before, rel=1e-9)
    with pytest.raises(BadData, match=f"a {house[name].task} model"):
        house[name].impact(ALL, "roc_auc")


@pytest.mark.parametrize(
    ("name", "rule", "state"),
    [(RENTS, "mae_reference", State.CRITICAL), (TRIAGE, "accuracy_reference", State.WATCH)],
)
def test_a_model_that_got_worse_is_not_called_healthy(house: House, name: str, rule: str, state: State) -> None:
    (reason,) = [r for r in house[name].health().reasons if r.rule == rule]
    assert reason.state is state
    assert reason.sentence.endswith("so it may be chance") is (state is State.WATCH)
    assert "its reference" in reason.sentence
    assert reason.act == "Look at its segments"
    with pytest.raises(CannotRetrain, match="Binary models"):
        house[name].retrain()


def test_a_plan_that_was_agreed_on_judges_it_too(house: House) -> None:
    model = house[RENTS]
    model.agree(model.plan(), days=28)
    try:
        (reason,) = [r for r in house[RENTS].health().reasons if r.rule == "plan"]
        assert reason.sentence.startswith("Mean absolute error ")
    finally:
        model.agree(None)


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_segments_are_told_apart_by_their_own_metric(house: House, name: str) -> None:
    column, worn = WORN[name]
    rows, answered = said_and_came(house, name)
    here = (rows[column] == worn).to_numpy()
    came, said = rows[TOLD[name]].to_numpy()[here], answered["prediction"].to_numpy()[here]
    expected = np.abs(said - came).mean() if name == RENTS else (said == came).mean()
    compared = house[name].compared_segments(column, window=ALL)
    assert compared.segments[0].name == worn
    assert compared.segments[0].metric.value == pytest.approx(expected, rel=1e-9)
    counted = house[name].segments(column, ALL).segments[0]
    assert (counted.value, counted.labelled) == (worn, int(here.sum()))
    assert house[name].compared_segments(column, SECOND[name], window=ALL).segments


def test_weak_segments_are_searched_by_the_loss_of_the_task(house: House) -> None:
    assert house[RENTS].weak_segments(ALL).found[0].name == "district = harbour"
    found = house[TRIAGE].weak_segments(ALL)
    assert (found.loss, found.labelled, found.reason) == ("error", ROWS - UNLABELLED, "")
    with pytest.raises(BadData, match="'log_loss' is no loss of a multiclass model"):
        house[TRIAGE].weak_segments(ALL, "log_loss")


def test_groups_are_compared_by_what_their_task_has(house: House) -> None:
    from fairlearn.metrics import MetricFrame

    rows, answered = said_and_came(house, RENTS)
    frame = MetricFrame(
        metrics=sk.mean_absolute_error, y_true=rows["rent"].to_numpy(), y_pred=answered["prediction"].to_numpy(),
        sensitive_features=rows["agency"].to_numpy(),
    )  # fmt: skip
    found = house[RENTS].fairness("agency", ALL)
    assert {g.name: g.metrics["mae"].value for g in found.groups} == pytest.approx(dict(frame.by_group), rel=1e-9)
    assert found.disparities["mae_difference"].value.value == pytest.approx(frame.difference(), rel=1e-9)
    assert found.four_fifths is None
    several = house[TRIAGE].fairness("ward", ALL)
    assert set(several.disparities) == {"accuracy_difference"}


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_one_prediction_is_explained_in_its_own_terms(house: House, name: str) -> None:
    found = house[name].explain(id="r5")
    rows = house[name].predict(answers(MADE[name], ROWS).drop(TOLD[name]).slice(5, 1))
    assert found.said.prediction == rows["prediction"][0]
    expected = rows["prediction"][0] if name == RENTS else max(rows["scores"][0])
    assert found.said.score == pytest.approx(expected, rel=1e-9)
    assert found.outcome == ("predicted rent" if name == RENTS else f"chance that urgency is {rows['prediction'][0]}")


def test_a_regression_is_estimated_and_its_estimates_are_judged(house: House) -> None:
    start = house[RENTS].window(ALL).start
    calm = Window(start, start + timedelta(weeks=2))
    found, realized = house[RENTS].estimate(calm).metrics["mae"], house[RENTS].metrics(calm).metrics["mae"]
    assert found.low is not None
    assert found.high is not None
    assert realized.value is not None
    assert found.low <= realized.value <= found.high
    worn = house[RENTS].estimate("14d").metrics["mae"]
    assert worn.high is not None
    assert worn.high < (house[RENTS].metrics("14d").metrics["mae"].value or 0)


@pytest.fixture(scope="module", params=[RENTS, TRIAGE])
def report(request: pytest.FixtureRequest, house: House) -> tuple[str, EvidentlyReport]:
    return request.param, house[request.param].report(ALL).result


def test_evidently_reports_the_preset_of_the_task(house: House, report: tuple[str, EvidentlyReport]) -> None:
    name, made = report
    assert [str(p) for p in made.presets] == ["drift", "summary", "regression" if name == RENTS else "classification"]
    rows, answered = said_and_came(house, name)
    came, said = rows[TOLD[name]].to_numpy(), answered["prediction"].to_numpy()
    theirs = numbers_in(json.loads(made.json))
    ours = sk.mean_absolute_error(came, said) if name == RENTS else sk.accuracy_score(came, said)
    assert any(number == pytest.approx(ours, rel=1e-6) for number in theirs)
    assert {verdict.feature for verdict in made.features} == set(house[name].signature.names)


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("name", [RENTS, TRIAGE])
def test_what_only_binary_models_have_is_refused_in_a_sentence(house: House, name: str) -> None:
    for ask in (house[name].thresholds, house[name].lending):
        with pytest.raises(
            BadData, match=f"{name} is a {house[name].task} model. Thresholds, their costs and score bands"
        ):
            ask(ALL)
