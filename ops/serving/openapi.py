"""The OpenAPI 3.1 document of this service, made from the signatures of the models it serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from pilothouse.data.log.schema import MAX_LATENCY_US
from pilothouse.data.signature import NUMERIC, Feature, Kind, Signature, Target, Task
from pilothouse.ops.serving.checks import MAX_ID, MAX_KEYS, MAX_TEXT, MAX_VERSION
from pilothouse.ops.serving.explaining import MAX_ROWS
from pilothouse.ops.serving.models import Served
from pilothouse.ops.serving.protocols import describing

Schema = dict[str, Any]

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
_TIME: Schema = {"type": "string", "format": "date-time", "description": "ISO 8601 with a zone."}
_KEY: Schema = {
    "type": "object",
    "description": "Business keys.",
    "minProperties": 1,
    "maxProperties": MAX_KEYS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_ID},
    "additionalProperties": {"type": ["string", "number"], "maxLength": MAX_TEXT},
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457. `faults` point into the body (RFC 6901).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "faults": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_ACCEPTED: Schema = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": {"type": "integer", "minimum": 1}},
}
_MODEL: Schema = {
    "type": "object",
    "required": ["name", "version", "task"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": ["integer", "null"]},
        "task": {"type": "string"},
    },
}
_ARROW: Schema = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "An Arrow IPC stream without compression: a column for each feature and context column, and those "
        "of `id`, `at`, `entity_id` and `keys` that there are. Of predictions made elsewhere `prediction` as well, and those "
        "of `score`, `latency_us` and `version` that there are.",
    }
}
_INBOX_FILE = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,100}\.(parquet|csv|arrow)$"
_WHY = {
    "400": "Not JSON.",
    "401": "No API key, or one that is not known, has expired or was revoked.",
    "403": "The API key lacks a scope.",
    "404": "No such model or version.",
    "408": "The body did not arrive in time.",
    "409": "The model has no champion.",
    "413": "The body is too large.",
    "415": "The body is not announced as a type that is taken.",
    "421": "The request names another host.",
    "422": "The body is not what the model takes.",
    "429": "This caller holds her share of the places, and all are taken. Try again.",
    "503": "Too many requests in hand, or the log cannot be written. Try again.",
}
_BODY_PROBLEMS = tuple(_WHY)
_READ_PROBLEMS = ("401", "403", "404", "421")
_KEYS: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Or in a header of its own."},
}


def document(models: Mapping[str, Served], *, keys: bool = False) -> dict[str, Any]:
    """The document. Each model has paths of its own, so that each has the schema of its rows and an example.

    keys : whether requests need an API key.
    """
    paths: dict[str, Any] = dict(_common()) | describing.common_paths(_WHY) | _job_paths()
    for name, served in models.items():
        paths[f"/models/{name}/batch"] = _batch_path(name)
        paths[f"/models/{name}/explain"] = _explain_path(served)
        paths |= _model_paths(f"/models/{name}", served) | describing.model_paths(name, served, _WHY)
    if len(models) == 1:
        paths |= _model_paths("", next(iter(models.values())))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pilothouse service",
            "version": version("pilothouse"),
            "description": "Predictions, labels and predictions made elsewhere.",
        },
        "paths": paths,
        "security": [{name: []} for name in _KEYS] if keys else [],
        "components": {
            "schemas": {"Problem": _PROBLEM, "Model": _MODEL, **describing.schemas()},
            "securitySchemes": _KEYS,
        },
    }


def _common() -> Iterable[tuple[str, Any]]:
    state: Schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    listing: Schema = {
        "type": "object",
        "required": ["models"],
        "properties": {"models": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}},
    }
    yield "/livez", _without_key(_get("livez", "Whether the process answers.", state, ["421"]))
    yield "/readyz", _without_key(_get("readyz", "Whether it can predict.", state, ["421", "503"]))
    yield "/models", _get("models", "The models served.", listing, _READ_PROBLEMS)
    yield "/openapi.json", _get("openapi", "This document.", {"type": "object"}, _READ_PROBLEMS)
    figures = {"200": _answer("text/plain", {"type": "string"})} | _problems(_READ_PROBLEMS)
    yield "/metrics", {"get": _operation("metrics", "Figures for Prometheus.", figures)}


def _without_key(path: Schema) -> Schema:
    return {"get": path["get"] | {"security": []}}


def _model_paths(base: str, served: Served) -> dict[str, Any]:
    signature, tag = served.form.signature, served.name if base else "short"
    operations = {
        "predict": ("Score rows, and log them.", _predict_schema(signature), "200", _predictions(signature)),
        "feedback": ("Tell labels.", _labels_schema(signature), "202", _ACCEPTED),
        "log": ("Log predictions made elsewhere.", _log_schema(signature), "202", _ACCEPTED),
    }
    paths: dict[str, Any] = {
        f"{base}/{verb}": _post(f"{tag}-{verb}", summary, schema, _examples(verb, served), {status: _json(answer)})
        for verb, (summary, schema, status, answer) in operations.items()
    }
    for verb in ("predict", "log"):
        paths[f"{base}/{verb}"]["post"]["requestBody"]["content"]["application/vnd.apache.arrow.stream"] = _ARROW
    described = {"$ref": "#/components/schemas/Model"}
    paths[base or "/model"] = _get(f"{tag}-model", "What the model takes and gives.", described, _READ_PROBLEMS)
    return paths


def _batch_path(name: str) -> Schema:
    text, made = {"type": "string"}, {"id": {"type": "string"}, "state": {"type": "string"}}
    options = {each: {"type": ["string", "null"]} for each in ("id", "at", "entity", "time_format")}
    body = _object(
        {
            "input": text | {"description": "A file of the inbox.", "pattern": _INBOX_FILE},
            "format": {"enum": ["parquet", "csv"]},
            "version": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_VERSION},
            "key": {"type": "array", "items": text},
            "log": {"type": "boolean"},
            "prefix": text,
        }
        | options,
        ["input"],
    )
    answers = {"202": _json(_object(made, [*made]))}
    path = _post(f"{name}-batch", "Score a file in the background.", body, {"input": "march.parquet"}, answers)
    for media in ("application/vnd.apache.parquet", "text/csv"):
        path["post"]["requestBody"]["content"][media] = {"schema": {"type": "string", "format": "binary"}}
    return path


def _explain_path(served: Served) -> Schema:
    signature = served.form.signature
    number: Schema = {"type": "number"}
    row: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": _row_schema(signature)}
    part: dict[str, Schema] = {"feature": {"type": "string"}, "contribution": number, "error": number | {"minimum": 0}}
    one: dict[str, Schema] = {
        "said": _label_schema(signature.target),
        "outcome": {"type": "string", "description": "What the score is."},
        "score": number,
        "base": number | {"description": "Mean score of the background: base and contributions add up to the score."},
        "exact": {"type": "boolean", "description": "Whether every coalition was asked; else orders were sampled."},
        "contributions": {"type": "array", "items": _answered(part)},
    }
    answer: dict[str, Schema] = {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "background": {"type": "integer", "minimum": 1},
        "explanations": {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": _answered(one)},
    }
    asked: dict[str, Schema] = {"rows": row, "model": {"type": ["string", "null"], "maxLength": MAX_TEXT}}
    if signature.task is Task.MULTICLASS:
        asked["class"] = {"anyOf": [_label_schema(signature.target), {"type": "null"}]}
    body = _object(asked, ["rows"])
    summary = "What each feature contributed to what the live version says. Nothing is logged."
    example, answers = {"rows": [served.form.example]}, {"200": _json(_answered(answer))}
    return _post(f"{served.name}-explain", summary, body, example, answers)


def _answered(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": [*properties], "properties": dict(properties)}


def _job_paths() -> dict[str, Schema]:
    job = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    properties = {each: {"type": "string"} for each in ("id", "model", "state")} | {"version": {"type": "integer"}}
    told: Schema = {"type": "object", "required": [*properties], "properties": properties}
    paths = {"/jobs/{id}": _get("job", "How far a batch is.", told, _READ_PROBLEMS)}
    file = {"200": _answer("application/vnd.apache.parquet", {"type": "string", "format": "binary"})}
    file["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    result = _operation("job-result", "The scored rows of a batch.", file | _problems([*_READ_PROBLEMS, "409"]))
    paths["/jobs/{id}/result"] = {"get": result}
    for path in paths.values():
        path["get"] = path["get"] | {"parameters": [job]}
    return paths


def _examples(verb: str, served: Served) -> Schema:
    label = next(iter(served.model.signature.target.classes), 0.0)
    examples: dict[str, Schema] = {
        "predict": {"rows": [served.form.example]},
        "feedback": {"labels": [{"id": "the id of a prediction", "label": label}]},
        "log": {"rows": [served.form.example], "predictions": [label]},
    }
    return examples[verb]


def _get(name: str, summary: str, schema: Schema, problems: Iterable[str] = ()) -> Schema:
    return {"get": _operation(name, summary, {"200": _json(schema)} | _problems(problems))}


def _post(name: str, summary: str, body: Schema, example: Schema, answers: Schema) -> Schema:
    operation = _operation(name, summary, answers | _problems(_BODY_PROBLEMS))
    content = {"application/json": {"schema": body, "example": example}}
    return {"post": operation | {"requestBody": {"required": True, "content": content}}}


def _operation(name: str, summary: str, responses: Schema) -> Schema:
    return {"operationId": name, "summary": summary, "responses": responses}


def _json(schema: Schema) -> Schema:
    return _answer("application/json", schema)


def _answer(media: str, schema: Schema) -> Schema:
    return {"description": "Done.", "content": {media: {"schema": schema}}}


def _problems(statuses: Iterable[str]) -> Schema:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WHY[status], "content": problem} for status in statuses}


def _row_schema(signature: Signature) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(signature.names),
        "properties": {f.name: _feature_schema(f) for f in signature.features},
    }


def _feature_schema(feature: Feature) -> Schema:
    kinds = {Kind.NUMBER: "number", Kind.INTEGER: "integer", Kind.BOOLEAN: "boolean", Kind.CATEGORY: "string"}
    kind = kinds[feature.kind]
    schema: Schema = {"type": [kind, "null"] if feature.nullable else kind}
    return schema | {"maxLength": MAX_TEXT} if feature.kind is Kind.CATEGORY else schema


def _label_schema(target: Target) -> Schema:
    if target.classes:
        return {"enum": list(target.classes)}
    return {"type": "number" if target.kind in NUMERIC else "string"}


def _columns(signature: Signature) -> dict[str, Schema]:
    """What a body of rows may hold; every array has one item a row."""
    return {
        "rows": {"type": "array", "minItems": 1, "items": _row_schema(signature)},
        "ids": _beside_rows(_ID) | {"uniqueItems": True},
        "at": _beside_rows(_TIME),
        "entities": _beside_rows({"anyOf": [_ID, {"type": "null"}]}),
        "keys": _beside_rows({"anyOf": [_KEY, {"type": "null"}]}),
        "context": _beside_rows({"anyOf": [_context_schema(signature), {"type": "null"}]}),
    }


def _beside_rows(item: Schema) -> Schema:
    """An array with one item a row; null is the same as leaving it out."""
    return {"type": ["array", "null"], "minItems": 1, "items": item}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _context_schema(signature: Signature) -> Schema:
    columns = (Feature(name=c.name, kind=c.kind) for c in signature.context)
    return _object({c.name: _feature_schema(c) for c in columns}, [])


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _predict_schema(signature: Signature) -> Schema:
    return _object(_columns(signature), ["rows"])


def _log_schema(signature: Signature) -> Schema:
    extra: Schema = {
        "predictions": {"type": "array", "minItems": 1, "items": _label_schema(signature.target)},
        "scores": _beside_rows(_score_schema(signature)),
        "latency_us": _beside_rows({"type": ["number", "null"], "minimum": 0, "maximum": MAX_LATENCY_US})
        | {"description": "How long each answer took, in microseconds."},
        "version": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_VERSION,
            "description": "The champion where left out.",
        },
    }
    return _object(_columns(signature) | extra, ["rows", "predictions"])


def _score_schema(signature: Signature) -> Schema:
    share: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    if signature.task is not Task.MULTICLASS:
        return share | {"type": ["number", "null"]}
    classes = len(signature.target.classes)
    each = {"type": "array", "minItems": classes, "maxItems": classes, "items": share}
    return {"anyOf": [each, share, {"type": "null"}]}


def _labels_schema(signature: Signature) -> Schema:
    label = _object({"label": _label_schema(signature.target), "observed_at": _or_null(_TIME)}, ["label"])
    label["properties"] |= {"id": _or_null(_ID), "key": _or_null(_KEY)}
    label["oneOf"] = [{"required": [own], "properties": {own: {"not": {"type": "null"}}}} for own in ("id", "key")]
    return _object({"labels": {"type": "array", "minItems": 1, "items": label}}, ["labels"])


def _predictions(signature: Signature) -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    row = {"id": _ID, "prediction": _label_schema(signature.target), "score": share}
    row["scores"] = {"type": "array", "items": share, "description": "Of each class, in the order of the target's."}
    row["version"] = {"type": "integer", "description": "Where two versions share the request: which answered the row."}
    return {
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "predictions": {
                "type": "array",
                "items": {"type": "object", "required": ["id", "prediction"], "properties": row},
            },
        },
    }
