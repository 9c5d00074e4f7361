"""The figures on the demo's pages, against SciPy and scikit-learn on the very rows of the log."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pilothouse.app.house import House
from pilothouse.data.history.results import State
from pilothouse.data.rollups.profile import FeatureProfile, Profile

FIVE = ("temp", "dewp", "wind_speed", "pressure", "distance")


@pytest.fixture(scope="module")
def house(september: Path) -> House:
    return House.open(september)


def test_weekly_auc_is_that_of_scikit_learn(house: House) -> None:
    flights = house["flights"]
    points = flights.history.performance_trend(flights.window("20w"), timedelta(weeks=1))
    assert len(points) >= 20
    differences = []
    for point in points:
        rows = flights.prediction_log.labelled(point.window, columns=("score",)).drop_nulls("label")
        if not rows.height:
            assert point.labelled == 0
            continue
        assert rows.height == point.labelled
        label, score = rows["label"].to_numpy(), rows["score"].to_numpy()
        metrics = {name: metric.value for name, metric in point.metrics.items()}
        differences.append(metrics["roc_auc"] - roc_auc_score(label, score))
        assert metrics["log_loss"] == pytest.approx(log_loss(label, score), abs=1e-9)
        assert metrics["brier"] == pytest.approx(brier_score_loss(label, score), abs=1e-9)
    print(f"largest difference in weekly ROC AUC over {len(differences)} weeks: {max(map(abs, differences)):.2e}")
    assert max(map(abs, differences)) < 1e-3


def psi_of_rows(feature: FeatureProfile, reference: np.ndarray, current: np.ndarray) -> float:
    """PSI worked out row by row in the feature's own bins: tenths of the reference, tied values together."""
    first = np.flatnonzero(np.diff(feature.groups)) + 1
    edges = feature.bins.lefts[first - 1]  # type: ignore[union-attr]
    shares = []
    for rows in (reference, current):
        counts = np.bincount(np.searchsorted(edges, rows, side="right"), minlength=len(edges) + 1)
        shares.append(np.where(counts > 0, counts / counts.sum(), 1e-4))
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def test_psi_and_ks_are_those_of_the_rows(house: House, september: Path) -> None:
    flights = house["flights"]
    window = flights.window("14d")
    drift = {f.name: f for f in flights.history.drift(window).features}
    rows = flights.prediction_log.predictions(window, columns=[f"x_{name}" for name in FIVE])
    folder = next((september / "references" / "flights").iterdir())
    reference = Profile.load_sample(folder)
    for name in FIVE:
        was, now = (frame[f"x_{name}"].drop_nulls().to_numpy() for frame in (reference, rows))
        exact_ks, exact_psi = ks_2samp(was, now).statistic, psi_of_rows(flights.profile.features[name], was, now)
        print(f"{name:12} PSI {drift[name].psi:.4f} ({exact_psi:.4f})  KS {drift[name].ks:.4f} ({exact_ks:.4f})")
        assert drift[name].ks == pytest.approx(exact_ks, abs=1 / 160)
        assert drift[name].psi == pytest.approx(exact_psi, abs=1e-9)


def test_the_fleet_is_told_what_is_wrong(house: House) -> None:
    health = house["flights"].health()
    assert health.state is State.WATCH
    sentences = {reason.rule: reason.sentence for reason in health.reasons}
    assert "below its best" in sentences["auc_decay"]
    assert sentences["auc_decay"].endswith("so it may be chance"), "days of flights differ a lot"
    assert "features have drifted" in sentences["drift"]


def test_every_flight_up_to_the_standpoint_is_there_once(house: House) -> None:
    rows = house["flights"].prediction_log.labelled(columns=("prediction_id",))
    assert rows.height == rows["prediction_id"].n_unique() == 196_859
    assert rows["label"].null_count() > 1_000, "cancelled flights never get a label"
    assert house["flights"].history.watermark().behind is False


def test_who_was_live_can_be_asked(house: House) -> None:
    flights = house["flights"]
    end = flights.data_end()
    assert end is not None
    live = flights.at(end - timedelta(days=30))
    assert live is not None
    assert (live.version, live.act) == (1, "promote")
    assert flights.at(end - timedelta(days=400)) is None
