"""From the error tree to statuses and exit codes."""

from __future__ import annotations

import pytest

from pilothouse.data import errors
from pilothouse.ops.answers import exit_code, problem_of

CASES = [
    (errors.UnknownModel("x", ["flights"]), 404, 4),
    (errors.NoChampion("flights"), 409, 5),
    (errors.NotAllowed("eve", "promote flights", "operator"), 403, 5),
    (errors.BadRows([errors.Fault("/rows", "is missing")]), 422, 6),
    (errors.NotJson("no value"), 400, 6),
    (errors.InvalidSetting("host", "0.0.0.0", "127.0.0.1", "argument"), 422, 2),
    (errors.LogUnavailable("disk full"), 503, 75),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES)
def test_each_branch_has_its_status_and_exit_code(error: errors.PilothouseError, status: int, code: int) -> None:
    assert (problem_of(error).status, exit_code(error)) == (status, code)


def test_a_problem_names_its_faults_and_its_kind() -> None:
    document = problem_of(errors.BadRows([errors.Fault("/rows/0/temp", "is missing")])).to_json("r1")
    assert document["type"] == "urn:pilothouse:bad-rows"
    assert document["faults"] == [{"pointer": "/rows/0/temp", "detail": "is missing"}]
    assert document["request_id"] == "r1"


def test_no_path_reaches_a_client() -> None:
    for error in (
        errors.LogUnavailable("[Errno 28] No space left on device: '/srv/ws/spool/service-0.sqlite'"),
        errors.UnknownWorkspace("/srv/ws"),
        errors.BadArtifact("a" * 64, "No such file: /srv/ws/store"),
    ):
        assert "/srv" not in problem_of(error).detail
