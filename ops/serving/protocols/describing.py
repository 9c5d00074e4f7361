"""What the OpenAPI document says of the protocols: the paths of one model, and those that are about none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pilothouse.data.signature import Feature, Kind, Signature, Target, Task, Value
from pilothouse.ops.serving.checks import MAX_ID, MAX_TEXT
from pilothouse.ops.serving.models import Served
from pilothouse.ops.serving.protocols.inferring import MISSING, outputs_of
from pilothouse.ops.serving.protocols.rows import BESIDE
from pilothouse.ops.serving.protocols.tensors import BYTES, DATATYPES, FLOATS, NUMBERS, input_type

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
_ANY_OBJECT: Schema = {"type": ["object", "null"]}
_ERROR = {"$ref": "#/components/schemas/Error"}
_TORCH_ERROR = {"$ref": "#/components/schemas/TorchServeError"}
_WHY = {
    "400": "The body is not what the model takes.",
    "404": "No such model, or this version of it does not answer.",
    "409": "The model has no champion.",
    "415": "The body is not announced as a type that is taken.",
}
_PROBLEMS = {
    "get": ("401", "403", "404", "409", "421", "503"),
    "post": ("400", "401", "403", "404", "408", "409", "413", "415", "421", "429", "503"),
    "open": ("421", "503"),
}
_VERSION: Schema = {
    "name": "version", "in": "path", "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}  # fmt: skip
_LABEL: Schema = {
    "name": "label", "in": "path", "required": True, "schema": {"type": "string", "enum": ["champion", "canary"]}
}  # fmt: skip
_KINDS = {Kind.NUMBER: "number", Kind.INTEGER: "integer", Kind.BOOLEAN: "boolean", Kind.CATEGORY: "string"}


def schemas() -> Schema:
    """The shapes of errors, for the document's components."""
    code = {"code": {"type": "integer"}, "type": {"type": "string"}, "message": {"type": "string"}}
    return {
        "Error": _object({"error": {"type": "string"}}, ["error"]),
        "TorchServeError": _object(code, ["code", "type", "message"]),
    }


def common_paths(why: Mapping[str, str]) -> dict[str, Any]:
    """Paths that are about no model. why : what each status means."""
    flag = {"type": "boolean"}
    health = _object({"live": flag, "ready": flag}, ["live", "ready"])
    texts = {"type": "array", "items": {"type": "string"}}
    server = {"name": {"type": "string"}, "version": {"type": "string"}, "extensions": texts}
    status = _object({"status": {"type": "string"}}, ["status"])
    about = _About("", why)
    return {
        "/v2": about.get("v2", "What the server is (Open Inference Protocol).", _object(server, [*server])),
        "/v2/health/live": about.open("v2-live", "Whether the process answers.", health),
        "/v2/health/ready": about.open("v2-ready", "Whether it can predict.", health),
        "/ping": about.open("ping", "Whether it can predict (TorchServe).", status),
    }


def model_paths(name: str, served: Served, why: Mapping[str, str]) -> dict[str, Any]:
    """Paths of one model."""
    signature, example = served.form.signature, served.form.example
    return {
        **_inference_paths(_About(name, why), name, signature, example),
        **_tensorflow_paths(_About(name, why), name, signature, example),
        **_torchserve_paths(_About(name, why, _TORCH_ERROR), name, signature, example),
    }


class _About:
    """Makes operations of one model, whose errors have one shape."""

    def __init__(self, model: str, why: Mapping[str, str], error: Schema = _ERROR) -> None:
        self._model, self._why, self._error = model, {**why, **_WHY}, error

    def get(self, name: str, summary: str, answer: Schema, *parameters: Schema) -> Schema:
        return {"get": self._operation(name, summary, {"200": _json(answer)}, "get", parameters)}

    def open(self, name: str, summary: str, answer: Schema) -> Schema:
        """Needs no key. It answers 503 in the shape of 200."""
        operation = self._operation(name, summary, {"200": _json(answer)}, "open", ())
        operation["responses"]["503"] = _json(answer)
        return {"get": operation | {"security": []}}

    def post(
        self, name: str, summary: str, body: Schema, example: Any, answer: Schema, *parameters: Schema, binary: bool = False
    ) -> Schema:  # fmt: skip
        content: Schema = {"application/json": {"schema": body, "example": example}}
        done = _json(answer)
        if binary:
            raw = {"schema": {"type": "string", "format": "binary", "description": _BINARY}}
            content["application/octet-stream"] = raw
            done["content"]["application/octet-stream"] = raw
        operation = self._operation(name, summary, {"200": done}, "post", parameters)
        return {"post": operation | {"requestBody": {"required": True, "content": content}}}

    def _operation(
        self, name: str, summary: str, answers: Schema, kind: str, parameters: Iterable[Schema]
    ) -> dict[str, Any]:
        told = {
            status: {"description": self._why[status], "content": {"application/json": {"schema": self._error}}}
            for status in _PROBLEMS[kind]
        }
        operation: Schema = {
            "operationId": f"{self._model}-{name}" if self._model else name, "summary": summary,
            "responses": answers | told,
        }  # fmt: skip
        return operation | ({"parameters": [*parameters]} if parameters else {})


_BINARY = (
    "JSON, and behind it the values of tensors whose parameters give a binary_data_size; the header "
    "Inference-Header-Content-Length says how many bytes of JSON there are, where not all are."
)


def _inference_paths(about: _About, name: str, signature: Signature, example: Mapping[str, Value]) -> dict[str, Any]:
    tensor = _object({"name": _STRING, "datatype": _STRING, "shape": {"type": "array"}}, ["name", "datatype", "shape"])
    tensors = {"type": "array", "items": tensor}
    strings = {"type": "array", "items": _STRING}
    described = {"name": _STRING, "versions": strings, "platform": _STRING, "inputs": tensors, "outputs": tensors}
    ready = {"name": _STRING, "version": _STRING, "ready": {"type": "boolean"}}
    given = {"model_name": _STRING, "model_version": _STRING, "outputs": tensors}
    paths: dict[str, Any] = {}
    for base, tag, parameters in _versions(f"/v2/models/{name}", "v2"):
        paths[base] = about.get(f"{tag}-metadata", "What it takes.", _object(described, [*described]), *parameters)
        paths[f"{base}/ready"] = about.get(f"{tag}-ready", "Whether it answers.", _object(ready, [*ready]), *parameters)
        paths[f"{base}/infer"] = about.post(
            f"{tag}-infer", "Score rows, and log them (Open Inference Protocol).", _infer_schema(signature),
            {"inputs": [_example_tensor(feature, example) for feature in signature.features]},
            _object(given, [*given]), *parameters, binary=True,
        )  # fmt: skip
    return paths


def _versions(base: str, tag: str) -> Iterable[tuple[str, str, tuple[Schema, ...]]]:
    yield base, tag, ()
    yield f"{base}/versions/{{version}}", f"{tag}-version", (_VERSION,)


def _example_tensor(feature: Feature, example: Mapping[str, Value]) -> Schema:
    return {"name": feature.name, "shape": [1], "datatype": input_type(feature), "data": [example[feature.name]]}


def _infer_schema(signature: Signature) -> Schema:
    """Lengths that have to agree, and that each feature has a tensor, are beyond JSON Schema."""
    tensors = [_tensor_schema(f.name, f.kind, _value(f.kind, nullable=f.nullable)) for f in signature.features]
    values = _beside_values(signature) | {"keys": _KEYS_AS_TEXT}
    beside = [_tensor_schema(name, kind, values[name]) for name, kind in _beside(signature).items()]
    outputs = _object(
        {"name": {"enum": [name for name, _, _ in outputs_of(signature)]}, "parameters": _OUTPUT}, ["name"]
    )
    parameters = {
        **_ANY_OBJECT,
        "description": f"`{MISSING}` is the text that stands for a missing value. What is not known is ignored.",
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": MAX_TEXT},
            "parameters": parameters,
            "inputs": {"type": "array", "minItems": 1, "items": {"anyOf": [*tensors, *beside]}},
            "outputs": {"type": ["array", "null"], "items": outputs},
        },
    }


def _tensor_schema(name: str, kind: Kind, value: Schema) -> Schema:
    if kind is Kind.BOOLEAN:
        value = {"anyOf": [value, {"enum": [0, 1]}]}
    taken = [BYTES] if kind is Kind.CATEGORY else [d for d in DATATYPES if d in NUMBERS | {"BOOL"}]
    if kind is not Kind.BOOLEAN:
        taken = [d for d in taken if d != "BOOL"]
    if kind is Kind.NUMBER:
        taken = [d for d in taken if d in FLOATS]
    length = {"type": "integer", "minimum": 1, "maximum": 10_000}
    fields: Schema = {
        "name": {"const": name},
        "datatype": {"enum": taken},
        "shape": {"type": "array", "minItems": 1, "maxItems": 2, "items": length},
        "data": {"type": "array", "minItems": 1, "items": _or_list_of_one(value)},
        "parameters": _ANY_OBJECT,
    }
    return {"type": "object", "required": ["name", "datatype", "shape", "data"], "properties": fields}


def _tensorflow_paths(about: _About, name: str, signature: Signature, example: Mapping[str, Value]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    labelled = (f"/v1/models/{name}/labels/{{label}}", "v1-label", (_LABEL,))
    number = {"type": "number"}
    results = {"classify": {"type": "array"}, "regress": number}
    verb = "regress" if signature.task is Task.REGRESSION else "classify"
    status = _object({"model_version_status": {"type": "array"}}, ["model_version_status"])
    metadata = _object({"model_spec": {"type": "object"}, "metadata": {"type": "object"}}, ["model_spec", "metadata"])
    predicted: Schema = {
        "type": "object",
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
        "properties": {"predictions": {"type": "array", "items": _answer(signature)}, "outputs": {"type": "object"}},
    }
    for base, tag, parameters in (*_versions(f"/v1/models/{name}", "v1"), labelled):
        paths[base] = about.get(f"{tag}-status", "Whether it answers (TensorFlow Serving).", status, *parameters)
        paths[f"{base}/metadata"] = about.get(f"{tag}-metadata", "What it takes and gives.", metadata, *parameters)
        paths[f"{base}:predict"] = about.post(
            f"{tag}-predict", "Score rows, and log them (TensorFlow Serving).", _predict_schema(signature),
            {"instances": [dict(example)]}, predicted, *parameters,
        )  # fmt: skip
        answer = _object({"results": {"type": "array", "items": results[verb]}}, ["results"])
        paths[f"{base}:{verb}"] = about.post(
            f"{tag}-{verb}", "Score examples, and log them (TensorFlow Serving).", _examples_schema(signature, verb),
            {"examples": [dict(example)]}, answer, *parameters,
        )  # fmt: skip
    return paths


def _predict_schema(signature: Signature) -> Schema:
    row = _row_schema(signature)
    columns = {
        **{f.name: _column(_value(f.kind, nullable=f.nullable)) for f in signature.features},
        **{name: _column(value) for name, value in _beside_values(signature).items()},
    }
    named = _object(columns, list(signature.names)) | {"additionalProperties": False}
    rows = {"type": "array", "minItems": 1, "items": {"anyOf": [row, _in_order(signature)]}}
    return {
        "type": "object",
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
        "properties": {
            "signature_name": {"enum": ["serving_default", "tensorflow/serving/predict", "", None]},
            "instances": rows,
            "inputs": {"anyOf": [named, rows]},
        },
    }


def _examples_schema(signature: Signature, verb: str) -> Schema:
    fields: Schema = {
        "signature_name": {"enum": ["serving_default", f"tensorflow/serving/{verb}", "", None]},
        "examples": {"type": "array", "minItems": 1, "items": _row_schema(signature)},
    }
    return _object(fields, ["examples"])


def _torchserve_paths(about: _About, name: str, signature: Signature, example: Mapping[str, Value]) -> dict[str, Any]:
    row, answer = _row_schema(signature), _answer(signature)
    rows = {"type": "array", "minItems": 1, "items": row}
    body: Schema = {"anyOf": [row, rows, _object({"instances": rows}, ["instances"]) | {"additionalProperties": False}]}
    answers = {"type": "array", "items": answer}
    given: Schema = {"anyOf": [_object({"predictions": answers}, ["predictions"]), answer, answers]}
    summary = "Score rows, and log them (TorchServe)."
    return {
        f"/predictions/{name}": about.post("torchserve", summary, body, dict(example), given),
        f"/predictions/{name}/{{version}}": about.post(
            "torchserve-version", summary, body, dict(example), given, _VERSION
        ),
    }


def _row_schema(signature: Signature) -> Schema:
    values = {f.name: _value(f.kind, nullable=f.nullable) for f in signature.features} | _beside_values(signature)
    fields = {name: _or_list_of_one(value) for name, value in values.items()}
    return _object(fields, list(signature.names)) | {"additionalProperties": False}


def _in_order(signature: Signature) -> Schema:
    values = [_or_list_of_one(_value(f.kind, nullable=f.nullable)) for f in signature.features]
    return {"type": "array", "prefixItems": values, "minItems": len(values), "maxItems": len(values)}


def _column(value: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": _or_list_of_one(value)}


def _beside(signature: Signature) -> dict[str, Kind]:
    """What may stand beside the features, as far as no feature is called so."""
    known = dict.fromkeys(BESIDE, Kind.CATEGORY) | {column.name: column.kind for column in signature.context}
    return {name: kind for name, kind in known.items() if name not in signature.names}


def _beside_values(signature: Signature) -> dict[str, Schema]:
    context = {column.name for column in signature.context}
    return {
        name: _value(kind, nullable=True) if name in context else _BESIDE_VALUES[name]
        for name, kind in _beside(signature).items()
    }


_BESIDE_VALUES: Mapping[str, Schema] = {
    "id": _TEXT,
    "at": {"type": "string", "format": "date-time"},
    "entity_id": {"anyOf": [_TEXT, {"type": "null"}]},
    "keys": {
        "type": ["object", "null"], "minProperties": 1, "maxProperties": 16, "propertyNames": _TEXT,
        "additionalProperties": {"type": ["string", "number"], "maxLength": MAX_TEXT},
    },
}  # fmt: skip
_KEYS_AS_TEXT: Schema = {"type": ["string", "null"], "description": "A JSON object of business keys.", "minLength": 2}
_STRING: Schema = {"type": "string"}
_OUTPUT: Schema = {**_ANY_OBJECT, "properties": {"classification": False}}


def _or_list_of_one(value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1, "maxItems": 1}]}


def _value(kind: Kind, *, nullable: bool) -> Schema:
    schema: Schema = {"type": [_KINDS[kind], "null"] if nullable else _KINDS[kind]}
    return schema | {"maxLength": MAX_TEXT} if kind is Kind.CATEGORY else schema


def _answer(signature: Signature) -> Schema:
    """One row's outputs by name."""
    names = [name for name, _, _ in outputs_of(signature)]
    fields: Schema = {name: {} for name in names} | {"prediction": _label(signature.target), "id": _STRING}
    return _object(fields, names)


def _label(target: Target) -> Schema:
    return {"enum": list(target.classes)} if target.classes else {"type": _KINDS[target.kind]}


def _object(fields: Schema, required: Iterable[str]) -> Schema:
    return {"type": "object", "required": [*required], "properties": fields}


def _json(schema: Schema) -> Schema:
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}
