"""The client's pure parts: bodies, verdicts, readings."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from pilothouse_client.ids import new_id
from pilothouse_client.items import Batch, Kind, batches_of, halves, label_of, row_of, without
from pilothouse_client.readings import picked, predicted, predictions_in, rows_in
from pilothouse_client.verdicts import What, delay_s, verdict_of

NOW = datetime(2026, 3, 3, 12, tzinfo=timezone.utc)  # noqa: UP017


class Scalar:
    """Stands for a NumPy scalar."""

    def item(self) -> float:
        return float("nan")


def test_rows_become_columns_with_nulls_only_where_somebody_gave_a_value() -> None:
    rows = [
        row_of({"age": 41}, 1, id="a", at=NOW, score=0.75, key={"order": 17}, latency_ms=1.2345),
        row_of({"age": Scalar()}, 0, id="b", at=NOW, latency_ms=float("nan")),
    ]
    (batch,) = batches_of(rows, 500)
    assert json.loads(batch.body) == {
        "ids": ["a", "b"],
        "at": ["2026-03-03T12:00:00+00:00"] * 2,
        "rows": [{"age": 41}, {"age": None}],
        "predictions": [1, 0],
        "scores": [0.75, None],
        "latency_us": [1234, None],
        "keys": [{"order": 17}, None],
    }


def test_a_body_has_one_kind_and_one_version_and_at_most_so_many() -> None:
    rows = [row_of({}, 1, id=str(n), at=NOW, version=n // 3) for n in range(5)]
    found = batches_of([*rows, label_of("0", 1, NOW), label_of({"order": 1}, 0, NOW)], 2)
    assert [(batch.kind.value, batch.rows) for batch in found] == [
        ("log", 2), ("log", 1), ("log", 2), ("feedback", 2)
    ]  # fmt: skip
    assert json.loads(found[2].body)["version"] == 1
    assert json.loads(found[3].body)["labels"][1]["key"] == {"order": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at": datetime(2026, 3, 3)}, "a time has no zone"),  # noqa: DTZ001
        ({"score": float("inf")}, "not JSON compliant"),
        ({"latency_ms": -1}, "latency_ms must be 0 or more; got -1"),
        ({"key": {"order": object()}}, "not JSON serializable"),
    ],
)
def test_what_json_cannot_say_is_refused(changes: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises((ValueError, TypeError), match=said):
        row_of({"age": 41}, 1, **{"id": "a", "at": NOW, **changes})


def test_a_batch_is_cut_by_its_rows() -> None:
    rows = [row_of({"n": n}, n, id=str(n), at=NOW, version=2) for n in range(3)]
    (batch,) = batches_of(rows, 10)
    first, second = halves(batch)
    assert [json.loads(part.body)["ids"] for part in (first, second)] == [["0"], ["1", "2"]]
    less = without(batch, frozenset({1}))
    assert less is not None
    assert json.loads(less.body)["predictions"] == [0, 2]
    assert json.loads(less.body)["version"] == 2
    assert without(Batch(Kind.ROWS, batch.body, 3), frozenset({0, 1, 2})) is None


@pytest.mark.parametrize(
    ("status", "rows", "what"),
    [
        (202, 3, What.TAKEN), (200, 3, What.LATER), (503, 3, What.LATER), (404, 3, What.LATER), (401, 3, What.LATER),
        (413, 3, What.SMALLER), (413, 1, What.NEVER), (415, 3, What.NEVER), (400, 3, What.NEVER),
        (422, 3, What.NEVER),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int, rows: int, what: What) -> None:
    assert verdict_of(status, None, b"<html>", rows).what is what


def test_a_refusal_names_the_rows_at_fault() -> None:
    faults = [{"pointer": "/rows/2/age", "detail": "is missing"}, {"pointer": "", "detail": "and 4 more"}]
    verdict = verdict_of(422, None, json.dumps({"faults": faults}).encode(), 3)
    assert (verdict.what, verdict.at_fault) == (What.LESS, frozenset({2}))
    assert verdict.why == "422: /rows/2/age is missing;  and 4 more"


def test_the_wait_is_at_least_what_the_service_asks() -> None:
    verdict = verdict_of(503, "7", b"", 1)
    assert delay_s(1, verdict.wait_s, 0.0) == 7.0
    assert delay_s(3, 0.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("asked", "answered", "pairs"),
    [
        ({"age": 41}, {"prediction": 1, "probability": 0.8}, [({"age": 41}, (1, 0.8))]),
        ({"instances": [{"a": 1}, {"a": 2}]}, {"predictions": [3, 4]}, [({"a": 1}, (3, None)), ({"a": 2}, (4, None))]),
        ([{"a": 1}], [{"label": "x"}], [({"a": 1}, ("x", None))]),
    ],
)
def test_usual_bodies_are_read_without_being_told_how(asked: object, answered: object, pairs: object) -> None:
    assert list(zip(rows_in(asked), predictions_in(answered))) == pairs  # noqa: B905


def test_unusual_bodies_are_said_to_be_so() -> None:
    with pytest.raises(TypeError, match="say with features="):
        rows_in([1, 2])
    with pytest.raises(TypeError, match="say with prediction="):
        predicted({"answer": 3})


def test_names_pick_a_part_of_a_row() -> None:
    row = {"age": 41, "order": 17}
    assert picked(row, ["age", "plan"]) == {"age": 41, "plan": None}
    assert picked(row, lambda r: {"years": r["age"]}) == {"years": 41}


def test_ids_sort_by_time() -> None:
    first = new_id()
    later = [new_id() for _ in range(1000)]
    assert len({first, *later}) == 1001
    assert first[:13] <= later[-1][:13]
