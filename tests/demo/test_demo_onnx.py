"""The demo's own pipeline, gradient boosting over coded columns, answers with its ONNX form."""

from __future__ import annotations

from pathlib import Path

from pilothouse.data.demo import flights
from pilothouse.ops.demo.build import MODEL, REFERENCE_WEEKS, weeks_of
from pilothouse.ops.house import House
from pilothouse.ops.runtimes.agree import TOLERANCE, compare
from pilothouse.ops.scoring import load_original, load_scorer


def test_the_demos_pipeline_is_converted_and_answers_like_the_original(september: Path) -> None:
    house = House.open(september)
    version, told = house[MODEL].version(1), house[MODEL].version(1).conversion
    assert version.answers_with == "onnx"
    assert told is not None
    assert told.largest is not None
    assert (told.rows > 10_000, told.other_class, told.largest < TOLERANCE) == (True, 0, True)
    later = weeks_of(flights.load_flights(), REFERENCE_WEEKS[1], REFERENCE_WEEKS[1] + 1)
    found = compare(load_original(house.store, version).score(later), load_scorer(house.store, version).score(later))
    assert found.holds, found
    house.close()
