"""Clients of other servers against a real service: Triton's own, and requests as TensorFlow Serving and TorchServe take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.integration.serving.conftest import ROW, TRUSTED, Bench
from tests.support.processes import running_service

from pilothouse.data.signature import Feature, Kind, Signature, Target, Task
from pilothouse.ops import artifacts

EARLY, LATE = ROW, ROW | {"hour": 22, "temp": None}
NUMBERS = tuple(Feature(name=name, kind=Kind.NUMBER) for name in ("a", "b"))
DELAY = Signature(features=NUMBERS, target=Target(name="delay", kind=Kind.NUMBER), task=Task.REGRESSION)
SIDE = Signature(
    features=NUMBERS, target=Target(name="side", kind=Kind.CATEGORY, classes=("left", "mid", "right")), task=Task.MULTICLASS
)  # fmt: skip
TYPES = {"carrier": "BYTES", "hour": "INT64", "temp": "FP64", "distance": "FP32"}


@dataclass(frozen=True)
class Served:
    """A running service, an HTTP client of it, and what its native route says of an early and of a late hour."""

    url: str
    http: httpx.Client
    bench: Bench
    scores: list[float]

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """`body` as `curl -d` sends it: as a form, whatever it holds."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"} | more.pop("headers", {})
        return self.http.post(path, content=content, headers=headers, **more)

    def error(self, path: str, body: Any, status: int, **more: Any) -> str:
        answer = self.post(path, body, **more)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
        assert answer.headers["x-request-id"]
        told = answer.json()
        return str(told.get("error", told.get("message")))

    def logged(self, prediction_id: str) -> dict[str, Any]:
        found = self.bench.logged().filter(prediction_id=prediction_id)
        assert found.height == 1
        return found.row(0, named=True)


def of_numbers(signature: Signature) -> Any:
    """A model for which b counts double: in minutes of delay, or by the side on which 0 lies of what comes out."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    given = np.random.default_rng(3).normal(size=(300, 2))
    delay = given[:, 0] + 2 * given[:, 1]
    if signature.task is Task.REGRESSION:
        return LinearRegression().fit(given, delay)
    return LogisticRegression(C=100).fit(given, np.array(["left", "mid", "right"])[np.digitize(delay, [-1, 1])])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, artifacts_of_two: tuple[bytes, bytes]) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("protocols")
    bench = Bench(folder / "ws")
    bench.add_model()
    for content in artifacts_of_two:
        bench.add_version(content)
    bench.flip(1)
    for name, signature in (("delay", DELAY), ("side", SIDE)):
        bench.add_model(name, signature)
        bench.flip(bench.add_version(artifacts.dump(of_numbers(signature), TRUSTED), name, signature), name)
    bench.workspace.settings_file.write_text("service_workers = 1\n")
    with running_service(bench) as url, httpx.Client(base_url=url) as http:  # type: ignore[arg-type]
        given = http.post("/models/flights/predict", json={"rows": [EARLY, LATE]}).json()["predictions"]
        yield Served(url, http, bench, [row["score"] for row in given])
    bench.state.close()


@pytest.fixture
def triton(served: Served) -> Iterator[Any]:
    import tritonclient.http

    with tritonclient.http.InferenceServerClient(served.url.removeprefix("http://")) as client:
        yield client


def tensors(rows: list[dict[str, Any]], *, binary: bool, **beside: list[str]) -> list[Any]:
    """A tensor a feature, as Triton's client makes them; NaN where a value is missing."""
    import tritonclient.http as http
    from tritonclient.utils import triton_to_np_dtype

    columns = {name: [row[name] for row in rows] for name in TYPES} | beside
    made = []
    for name, values in columns.items():
        datatype = TYPES.get(name, "BYTES")
        array = np.array([np.nan if v is None else v for v in values], dtype=triton_to_np_dtype(datatype))
        made.append(http.InferInput(name, list(array.shape), datatype))
        made[-1].set_data_from_numpy(array, binary_data=binary)
    return made


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_tritons_client_gets_what_the_native_route_answers(served: Served, triton: Any, binary: bool) -> None:
    import tritonclient.http as http

    ids = [f"triton-{binary}-{n}" for n in (0, 1)]
    wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in ("id", "score", "prediction")]
    given = triton.infer(
        "flights", tensors([EARLY, LATE], binary=binary, id=ids), outputs=wanted, request_id="r-1",
        parameters={"anything": "else"},
    )  # fmt: skip
    response = given.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("flights", "1", "r-1")
    assert [output["name"] for output in response["outputs"]] == ["id", "score", "prediction"]
    assert given.as_numpy("score").tolist() == pytest.approx(served.scores, abs=1e-12)
    assert given.as_numpy("prediction").tolist() == [0, 1]
    assert [str(i, "utf-8") if binary else i for i in given.as_numpy("id").tolist()] == ids
    row = served.logged(ids[1])
    assert (row["x_hour"], row["x_temp"], row["role"], row["version"]) == (22.0, None, "champion", 1)


def test_tritons_client_asks_what_there_is(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("flights")
    assert triton.is_model_ready("flights", "1")
    assert not triton.is_model_ready("flights", "2")
    assert not triton.is_model_ready("nobody")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = triton.get_model_metadata("flights")
    assert told["versions"] == ["1"]
    assert {one["name"]: one["datatype"] for one in told["inputs"]} == {
        "carrier": "BYTES", "hour": "FP64", "temp": "FP64", "distance": "FP64",
    }  # fmt: skip
    assert [(one["name"], one["datatype"]) for one in told["outputs"]] == [
        ("prediction", "INT64"), ("score", "FP64"), ("version", "INT64"), ("id", "BYTES"),
    ]  # fmt: skip


def test_tritons_client_is_told_what_is_wrong(triton: Any, served: Served) -> None:
    from tritonclient.utils import InferenceServerException

    def refused(name: str, inputs: list[Any], **more: Any) -> str:
        with pytest.raises(InferenceServerException) as caught:
            triton.infer(name, inputs, **more)
        return str(caught.value)

    before = served.bench.logged().height
    good = tensors([ROW], binary=True)
    assert "[404] No model is named 'nobody'" in refused("nobody", good)
    assert refused("flights", good, model_version="2").startswith("[404] Version 2 of flights does not answer here; v")
    assert "must have a tensor for each feature; none is called distance" in refused("flights", good[:3])
    assert "/inputs/4/name stands twice" in refused("flights", [*good, good[0]])
    longer = tensors([ROW, ROW], binary=True)
    assert "/inputs/3/shape must be [1] or [1, 1]" in refused("flights", [*good[:3], longer[3]])
    missing = tensors([ROW | {"distance": None}], binary=True)
    assert "/inputs/3/data/0 must be a number; got null" in refused("flights", missing)
    infinite = tensors([ROW | {"temp": np.inf}], binary=True)
    assert "/inputs/2/data/0 is infinite" in refused("flights", infinite)
    twice = tensors([ROW, ROW], binary=True, id=["a", "a"])
    assert "/inputs/4/data/1 repeats /inputs/4/data/0; each row" in refused("flights", twice)
    assert served.bench.logged().height == before, "or a refused request was logged"


def v2(**columns: Any) -> dict[str, Any]:
    """A request of one row in JSON, with `columns` in the place of its own."""
    values = {name: [value] for name, value in ROW.items()} | columns
    kinds = {"carrier": "BYTES", "temp": "FP32", "hour": "UINT8", "distance": "FP64"}
    inputs = [
        {"name": name, "shape": [len(data), 1], "datatype": kinds.get(name, "BYTES"), "data": data}
        for name, data in values.items()
    ]
    return {"inputs": inputs}


def test_the_v2_protocol_in_json(served: Served) -> None:
    body = v2(id=["v2-1"], at=["2026-03-03T10:00:00Z"], entity_id=["c-9"], keys=['{"order": 17}'], carrier=["-"])
    answer = served.http.post("/v2/models/flights/versions/1/infer", json=body | {"parameters": {"missing": "-"}})
    assert (answer.headers["x-pilothouse-version"], answer.headers["x-pilothouse-durability"]) == ("1", "durable")
    outputs = {one["name"]: one for one in answer.json()["outputs"]}
    assert (outputs["id"]["data"], outputs["prediction"]["shape"]) == (["v2-1"], [1])
    row = served.logged("v2-1")
    assert (row["x_carrier"], row["entity_id"], row["keys"]) == (None, "c-9", '{"order":17}')
    assert row["at"].isoformat() == "2026-03-03T10:00:00+00:00"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datatype": "INT7"}, "/inputs/0/datatype must be one of BOOL"),
        ({"datatype": "FP32"}, "/inputs/0/datatype FP32 does not fit a category"),
        ({"shape": [2]}, "/inputs/0/data must have 2 values, as the shape [2] says; got 1"),
        ({"shape": []}, "/inputs/0/shape must have 1 to 2 lengths; got 0"),
        ({"data": [["UA", "AA"]]}, "/inputs/0/data must be flat, or nested as the shape [1, 1] says"),
        ({"data": [7]}, "/inputs/0/data/0 must be a string or null; got a number"),
        ({"data": None}, "/inputs/0/data must be an array, unless parameters hold a binary_data_size"),
        ({"parameters": {"binary_data_size": 9}}, "binary_data_size must be a whole number up to the 0 bytes left"),
        ({"parameters": {"shared_memory_region": "r"}}, "must not refer to shared memory"),
        ({"parameters": {"content_type": "base64"}}, "content_type is not taken"),
    ],
)
def test_a_tensor_that_does_not_hold_is_refused_by_its_place(served: Served, change: Any, said: str) -> None:
    body = v2()
    body["inputs"][0] |= change
    answer = served.http.post("/v2/models/flights/infer", json=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_what_a_v2_request_may_not_say(served: Served) -> None:
    path = "/v2/models/flights/infer"
    headers = {"content-type": "application/octet-stream"}
    for body, said in (
        ([], "/ must be an object; got an array"),
        ({}, "/inputs must be an array; got null"),
        ({"inputs": []}, "/inputs must have 1 to 10000 tensors; got 0"),
        (v2() | {"outputs": [{"name": "loss"}]}, "/outputs/0/name must be one of prediction, score, version, id"),
        (v2() | {"id": 7}, "/id must be a string or null; got a number"),
        (v2(hour=[1.5]), "/inputs/1/data/0 must be whole, as UINT8 says"),
        (v2(secret=["x"]), "/inputs/4/name must be a feature: carrier, hour"),
        (b'{"inputs": [], "inputs": []}', "/inputs is given twice"),
        (b"{", "not JSON"),
        ({"inputs": [7] * 99, "outputs": [7]}, "/inputs/9 must be an object; got a number; and 41 more"),
    ):
        assert said in served.error(path, body, 400, headers=headers)
    for length in ("-1", "9999", "x", "1" * 20):
        more = headers | {"inference-header-content-length": length}
        assert "must begin with as many bytes of JSON" in served.error(path, v2(), 400, headers=more)
    left_over = headers | {"inference-header-content-length": str(len(json.dumps(v2())))}
    assert "7 are left over" in served.error(path, json.dumps(v2()).encode() + b"\0" * 7, 400, headers=left_over)


def test_tensorflows_requests(served: Served) -> None:
    late = LATE | {"temp": float("nan")}
    rows = [{name: [value] for name, value in EARLY.items()}, late | {"id": "tf-1"}]
    refused = served.error("/v1/models/flights:predict", {"instances": rows}, 400)
    assert refused == "The request was not accepted: /instances/0/id must be a string; got null."
    rows[0]["id"] = ["tf-0"]
    answer = served.post("/v1/models/flights:predict", {"signature_name": "serving_default", "instances": rows})
    found = answer.json()["predictions"]
    assert [row["score"] for row in found] == pytest.approx(served.scores)
    assert [(row["id"], row["prediction"]) for row in found] == [("tf-0", 0), ("tf-1", 1)]
    assert served.logged("tf-1")["x_temp"] is None
    in_order = [list(EARLY.values()), list(late.values())]
    answer = served.post("/v1/models/flights/versions/1:predict", {"instances": in_order})
    assert [row["score"] for row in answer.json()["predictions"]] == pytest.approx(served.scores)
    columns = {name: [EARLY[name], late[name]] for name in EARLY}
    answer = served.post("/v1/models/flights/labels/champion:predict", {"inputs": columns})
    assert answer.json()["outputs"]["score"] == pytest.approx(served.scores)
    assert answer.json()["outputs"]["prediction"] == [0, 1]
    common = {"carrier": "UA", "distance": 1400.0}
    examples = [{"hour": [row["hour"]], "temp": row["temp"]} for row in (EARLY, late)]
    answer = served.post("/v1/models/flights:classify", {"context": common, "examples": examples})
    (first, second) = answer.json()["results"]
    assert first == [["0", pytest.approx(1 - served.scores[0])], ["1", pytest.approx(served.scores[0])]]
    assert second[1][1] == pytest.approx(served.scores[1])


def test_tensorflows_faults(served: Served) -> None:
    def told(verb: str, body: Any, status: int = 400) -> str:
        return served.error(f"/v1/models/flights{verb}", body, status)

    assert "/ must have either instances or inputs" in told(":predict", {"instances": [ROW], "inputs": {}})
    infinite = told(":predict", {"instances": [ROW, ROW | {"temp": float("-inf")}]})
    assert "/instances/1/temp -Infinity is not a value here; NaN or null is a missing one" in infinite
    assert "/instances/0/temp is out of the range" in told(
        ":predict", json.dumps({"instances": [ROW]}).replace("61.5", "1e999").encode()
    )
    assert "/instances/0/hour is given twice" in told(
        ":predict", json.dumps({"instances": [ROW]}).replace('"hour"', '"hour": 1, "hour"').encode()
    )
    assert "/instances/0 must have 4 values, one a feature" in told(":predict", {"instances": [[1, 2, 3]]})
    assert "/instances/0 must be an object; got a number" in told(":predict", {"instances": [1.0]})
    assert "/inputs/hour is missing" in told(":predict", {"inputs": {"carrier": ["UA"]}})
    assert "/inputs/hour/1 must be a whole number or null; got a string" in told(
        ":predict", {"inputs": {name: [value, "x" if name == "hour" else value] for name, value in ROW.items()}}
    )
    assert "/signature_name must be serving_default" in told(":predict", {"signature_name": "x", "instances": [ROW]})
    assert "this model is for :classify" in told(":regress", {"examples": [ROW]})
    assert "/examples/0/hour stands in context already" in told(
        ":classify", {"context": {"hour": 1}, "examples": [ROW]}
    )
    assert "Version 2 of flights does not answer here" in told("/versions/2:predict", {"instances": [ROW]}, 404)
    assert "It has: champion" in told("/labels/stable:predict", {"instances": [ROW]}, 404)
    assert "half of a surrogate pair" in told(
        ":predict", json.dumps({"instances": [ROW | {"carrier": "\ud800"}]}).encode()
    )
    assert "is out of the range of a double" in told(":predict", {"instances": [ROW | {"hour": 10**400}]})


def test_tensorflows_status_and_metadata(served: Served) -> None:
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("", "/versions/1", "/labels/champion"):
        assert served.http.get(f"/v1/models/flights{path}").json() == {"model_version_status": [status]}
        told = served.http.get(f"/v1/models/flights{path}/metadata").json()
        assert told["model_spec"] == {"name": "flights", "signature_name": "", "version": "1"}
        inputs = told["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
        assert {name: one["dtype"] for name, one in inputs.items()}["carrier"] == "DT_STRING"
    assert "does not answer here" in served.http.get("/v1/models/flights/versions/2").json()["error"]


def test_models_without_classes_and_with_several(served: Served) -> None:
    rows = [[1.0, 2.0], [-3.0, 1.0]]
    examples = {"examples": [dict(zip("ab", row, strict=True)) for row in rows]}
    assert served.post("/v1/models/delay:regress", examples).json() == {"results": pytest.approx([5, -1])}
    assert "this model is for :regress" in served.error("/v1/models/delay:classify", examples, 400)
    (first, _second) = served.post("/v1/models/side:classify", examples).json()["results"]
    assert [label for label, _ in first] == ["left", "mid", "right"]
    assert first[2][1] > 0.99
    matrix = {"inputs": [{"name": "input-0", "shape": [2, 2], "datatype": "FP32", "data": rows}]}
    outputs = served.http.post("/v2/models/side/infer", json=matrix).json()["outputs"]
    assert [(one["name"], one["shape"]) for one in outputs[:2]] == [("prediction", [2]), ("scores", [2, 3])]
    assert outputs[0]["data"][0] == "right"
    assert outputs[1]["data"][:3] == pytest.approx([share for _, share in first])
    found = served.http.post("/v2/models/delay/infer", json=matrix).json()["outputs"]
    assert [(one["name"], one["datatype"]) for one in found] == [
        ("prediction", "FP64"), ("version", "INT64"), ("id", "BYTES"),
    ]  # fmt: skip
    assert served.post("/predictions/delay", rows).json()[1]["prediction"] == pytest.approx(-1)


def test_torchserves_requests(served: Served) -> None:
    assert served.http.get("/ping").json() == {"status": "Healthy"}
    (early, _late) = served.scores
    one = served.post("/predictions/flights", ROW | {"id": "torch-1", "entity_id": "c-1"}).json()
    assert one == {"prediction": 0, "score": pytest.approx(early), "version": 1, "id": "torch-1"}
    assert served.logged("torch-1")["entity_id"] == "c-1"
    several = served.post("/predictions/flights/1", [EARLY, LATE]).json()
    assert [row["score"] for row in several] == pytest.approx(served.scores)
    for body in ({"instances": [EARLY, LATE]}, {"data": [EARLY, LATE]}):
        rows = served.post("/predictions/flights", body).json()
        rows = rows["predictions"] if "instances" in body else rows
        assert [row["score"] for row in rows] == pytest.approx(served.scores)
    for path, body, told in (
        (
            "flights",
            ROW | {"temp": "secret"},
            (400, "BadRequestException", "/temp must be a number or null; got a str"),
        ),
        ("flights", [ROW, {}], (400, "BadRequestException", "/1/carrier is missing")),
        ("nobody", ROW, (404, "ModelNotFoundException", "No model is named 'nobody'")),
        ("flights/2", ROW, (404, "ModelVersionNotFoundException", "version 1 does")),
    ):
        answer = served.post(f"/predictions/{path}", body)
        found = answer.json()
        assert (answer.status_code, found["code"], found["type"]) == (told[0], told[0], told[1])
        assert told[2] in found["message"]
        assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/v2/models/flights/infer", "/v1/models/flights:predict", "/predictions/flights"])
def test_what_a_page_in_a_browser_could_send_unasked_is_refused(served: Served, path: str) -> None:
    body = json.dumps(v2() if "v2" in path else [ROW] if "predictions" in path else {"instances": [ROW]})
    for media in (None, "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"):
        headers = {"origin": "https://evil.example"} | ({"content-type": media} if media else {})
        assert served.http.post(path, content=body, headers=headers).status_code == 415
    for media in ("application/vnd.bentoml+pickle", "Application/Vnd.BentoML+Pickle; a=b", "multipart/form-data"):
        assert served.http.post(path, content=body, headers={"content-type": media}).status_code == 415
    packed = {"content-encoding": "gzip"}
    assert served.http.post(path, content=body, headers=packed).status_code == 415
    as_json = {"origin": "https://friend.example", "content-type": "application/json"}
    assert served.http.post(path, content=body, headers=as_json).status_code == 200


def test_addresses_are_matched_as_they_are(served: Served) -> None:
    for path in (
        "/v2/models/flights/versions/01/infer", "/v2/models/flights/versions/-1/infer", "/v2/models/flights/infer/",
        "/v2//models/flights/infer", "/v1/models/flights:predict:predict",
        "/v1/models/flights:explain", "/predictions/flights/1/2", "/predictions/flights/%31%30x", "/V2/models/flights",
        "/v2/models/flights/versions/\N{ARABIC-INDIC DIGIT ONE}/infer",
    ):  # fmt: skip
        answer = served.http.post(path, json=v2())
        assert answer.status_code == 404, path
    text = served.http.get("/metrics").text
    assert 'route="/v1/models/{name}:predict"' in text
    assert "explain" not in text
