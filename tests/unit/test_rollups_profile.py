"""Reference profiles: bins, what falls into them, and the way to disk and back."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pilothouse.data.errors import EmptyWindow, MissingColumn
from pilothouse.data.rollups.bins import NO_SCORE, CategoryBins, NumberBins, score_slots
from pilothouse.data.rollups.profile import Profile
from pilothouse.data.signature import Feature, Kind, Signature, Target, Task

SIGNATURE = Signature(
    features=(
        Feature(name="wind", kind=Kind.NUMBER),
        Feature(name="month", kind=Kind.INTEGER),
        Feature(name="carrier", kind=Kind.CATEGORY),
        Feature(name="holiday", kind=Kind.BOOLEAN),
    ),
    target=Target(name="late", kind=Kind.INTEGER, classes=(0, 1)),
    task=Task.BINARY,
)


def reference(rows: int = 3200) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "wind": rng.normal(size=rows),
            "month": rng.integers(1, 13, rows),
            "carrier": rng.choice(["AA", "BB"], rows),
            "holiday": rng.random(rows) < 0.1,
            "late": (rng.random(rows) < 0.3).astype(int),
        }
    )


def test_quantile_bins_hold_equal_shares_and_deciles_are_exact() -> None:
    profile = Profile.make(reference(), SIGNATURE, "p1", None).features["wind"]
    assert isinstance(profile.bins, NumberBins)
    inner = profile.counts[1:-2]
    # Six halvings of 20 rows leave ties of less than a row: those edges fall together.
    assert 160 < len(inner) <= 172
    assert set(inner[(inner < 19)]) <= {1, 2, 3, 4, 5, 6, 9, 10, 11}
    assert sum(19 <= n <= 21 for n in inner) == 158
    assert profile.grouped(profile.counts) == pytest.approx([320] * 10, abs=1)


def test_values_outside_missing_and_infinite_have_slots_of_their_own() -> None:
    bins = NumberBins.of(np.array([1.0, 2.0, 3.0]))
    odd = pl.Series([None, math.nan, math.inf, -math.inf, 0.5, 1.0, 2.5, 3.0, 3.5])
    assert bins.codes(odd).tolist() == [bins.missing, bins.missing, 4, 0, 0, 1, 2, 3, 4]
    assert bins.weights(odd).tolist() == [0, 0, 3.0, 1.0, 0.5, 1.0, 2.5, 3.0, 3.5]


def test_a_value_equal_to_an_edge_goes_right() -> None:
    values = np.arange(1000.0)
    bins = NumberBins.of(values)
    codes = bins.codes(pl.Series(bins.lefts))
    assert codes.tolist() == list(range(1, len(bins.lefts) + 1))


def test_new_categories_are_told_from_rare_ones() -> None:
    seen = pl.Series([f"c{i:03d}" for i in range(250) for _ in range(300 - i)])
    bins = CategoryBins.of(seen)
    assert (len(bins.values), bins.values[0]) == (200, "c000")
    assert bins.codes(pl.Series(["c000", "c249", "never", None])).tolist() == [0, bins.other, bins.new, bins.missing]


def test_a_column_without_a_value_has_a_profile_too() -> None:
    frame = reference(50).with_columns(wind=pl.lit(None, pl.Float64), carrier=pl.lit(None, pl.String))
    features = Profile.make(frame, SIGNATURE, "p1", None).features
    assert (features["wind"].missing, features["carrier"].missing, features["wind"].mean) == (1.0, 1.0, None)


def test_a_profile_comes_back_from_disk_as_it_went(tmp_path: Path) -> None:
    frame = reference()
    made = Profile.make(frame, SIGNATURE, "p1", None, scores=np.linspace(0.01, 0.99, frame.height))
    made.save(tmp_path / "p1")
    loaded = Profile.load(tmp_path / "p1")
    assert loaded.performance == made.performance
    assert loaded.performance["roc_auc"].low is not None
    assert list(loaded.features) == list(SIGNATURE.names)
    for name, feature in made.features.items():
        assert loaded.features[name].to_json() == feature.to_json()
    assert loaded.score is not None
    sample = Profile.load_sample(tmp_path / "p1")
    assert sample.columns == ["x_wind", "x_month", "x_carrier", "x_holiday", "score", "label"]
    assert sample.height == 3200


def test_a_reference_without_rows_or_a_feature_is_refused() -> None:
    with pytest.raises(EmptyWindow, match="held out from training"):
        Profile.make(reference(0), SIGNATURE, "p1", None)
    with pytest.raises(MissingColumn, match="'wind'"):
        Profile.make(reference(5).drop("wind"), SIGNATURE, "p1", None)


def test_scores_fall_into_steps_of_their_odds() -> None:
    slots = score_slots(np.array([0.0, 1e-6, 0.5, 0.5000001, 1.0, math.nan]))
    assert slots[0] == 0
    assert slots[2] == slots[3] == 2048
    assert slots[-2] == 4095
    assert slots[-1] == NO_SCORE
