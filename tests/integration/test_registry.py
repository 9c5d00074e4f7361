"""Registering: a challenger that stands in the store already, and what is refused before anything is written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.small import MODEL, make_small, planted

from pilothouse.data.errors import AlreadyExists, BadArtifact, BadData
from pilothouse.data.policies import LabelPolicy
from pilothouse.ops import artifacts
from pilothouse.ops.house import House
from pilothouse.ops.references import Terms
from pilothouse.ops.runtimes.originals import Artifact


@pytest.fixture
def house(tmp_path: Path, kept_in: str) -> House:
    return make_small(tmp_path / "w", kept_in)


def champion_model(house: House) -> Any:
    row = house[MODEL].versions[0]
    return artifacts.load(house.store.read(row.artifact_sha256), row.trusted_types)


def test_an_artifact_in_the_store_is_registered_as_it_is_and_its_scorecard_gets_its_number(house: House) -> None:
    first = house[MODEL].versions[0]
    version = house.registry.register_version(
        house.actor, MODEL, Artifact.of(first), run_id="run-1", scorecard={"challenger": {"brier": 0.1}}
    )
    assert (version.version, version.artifact_sha256) == (2, first.artifact_sha256)
    assert (version.trusted_types, version.threshold) == (first.trusted_types, first.threshold)
    assert version.scorecard == {"challenger": {"brier": 0.1, "version": 2}}
    assert house.registry.register_version(house.actor, MODEL, Artifact.of(first), run_id="run-1") == version
    assert [v.version for v in house[MODEL].versions] == [2, 1]
    house.close()


def test_an_estimator_is_stored_and_registered(house: House) -> None:
    version = house.registry.register_version(house.actor, MODEL, champion_model(house), note="by hand")
    assert (version.version, version.scorecard, version.note) == (2, None, "by hand")
    assert house.store.read(version.artifact_sha256)
    house.close()


@pytest.mark.parametrize(("sha256", "says"), [("0" * 64, "missing from the store"), ("../state", "not a SHA-256")])
def test_what_the_store_does_not_hold_is_refused(house: House, sha256: str, says: str) -> None:
    with pytest.raises(BadArtifact, match=says):
        house.registry.register_version(house.actor, MODEL, Artifact(sha256=sha256))
    assert len(house[MODEL].versions) == 1
    house.close()


def test_a_taken_name_and_strange_classes_leave_nothing_behind(house: House) -> None:
    model, reference = champion_model(house), planted(100, seed=3)
    before = sorted((house.workspace.root / "references").rglob("*"))
    with pytest.raises(AlreadyExists, match="The model loans exists already"):
        house.register(MODEL, model, reference=reference, target="failed", trusted=("numpy.dtype",))
    worded = reference.with_columns(failed=reference["failed"].replace_strict({0: "no", 1: "yes"}))
    with pytest.raises(BadData, match="The model knows the classes 0, 1; 'failed' has 'no', 'yes' in the reference"):
        house.register("others", model, reference=worded, target="failed", trusted=("numpy.dtype",))
    assert sorted((house.workspace.root / "references").rglob("*")) == before
    house.close()


def test_what_is_agreed_on_may_be_given_by_name_or_as_terms(tmp_path: Path) -> None:
    house = make_small(tmp_path / "ws")
    week = LabelPolicy(horizon=timedelta(days=2))
    rows = planted(200, seed=5)
    house.monitor("named", reference=rows, target="failed", label_policy=week, segments=("purpose",))
    house.monitor("told", reference=rows, target="failed", terms=Terms(label_policy=week), segments=("purpose",))
    for name in ("named", "told"):
        assert (house[name].label_policy, house[name].row.segments) == (week, ("purpose",))
    house.close()
