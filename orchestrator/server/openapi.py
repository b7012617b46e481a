"""The OpenAPI 3.1 document of the REST interface, made from its routes and from the models they use."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from orchestrator import backends
from orchestrator.backends import RATIOS, Backend, Need
from orchestrator.server.api_models import GenerateBody, Refused
from orchestrator.server.operations import Operation, Route, operations, path_of

REF = "#/components/schemas/{model}"
DROPPED = {"title", "default"}
# behind a validator of ours pydantic leaves its own words for these
WORDS = {"ge": "minimum", "le": "maximum", "multiple_of": "multipleOf"}
SOMETHING = r"\S"  # text that is not only spaces
GENERAL = {
    "403": "Not allowed: no valid token, or a page of another site",
    "404": "There is no such thing",
    "400": "The request cannot be carried out as it stands; `fields` says what is wrong with which field",
    "409": "The job's status does not allow that",
    "413": "The request is too large",
    "422": "It is understood, and refused",
    "429": "Too many requests; Retry-After says when to come back",
    "503": "The lab, or a service it needs, is away for now",
}
ALWAYS = (403, 429, 503)
ABOUT = (
    "Jobs, pictures and health of one lab. Every route needs the token that `orchestrator up` prints. "
    "Live changes come over /api/stream as Server-Sent Events: job:created, job:changed, job:removed "
    "(each with jobId and job), image:published, image:changed, images:changed, queue:changed, health:changed, "
    "and reset when a client has to fetch everything anew. "
    "/api/live/search tells of one search for electronic components in the same way: search:start, provider:start, "
    "provider:partial, part:upsert, provider:error, provider:done, result, done."
)
SAVED_TOO = "The name of a saved workflow is a backend as well: GET /api/backends lists it with what it takes."


def document(routes: Iterable[Route], *, base_url: str = "/") -> dict[str, Any]:
    """The document of some routes, below a server's `base_url`."""
    described = [
        (*path_of(pattern if pattern.startswith("/") else f"/{pattern}"), operations(handler))
        for pattern, handler in routes
    ]
    schemas = _schemas([said for _, _, methods in described for said in methods.values()])
    paths: dict[str, Any] = {}
    for path, names, methods in described:
        item = {name: _operation(name, path, said, names) for name, said in methods.items()}
        if item:
            paths[path] = item
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orchestrator",
            "version": version("orchestrator-lab"),
            "description": ABOUT,
        },
        "servers": [{"url": base_url.rstrip("/") or "/"}],
        "security": [{"header": []}, {"address": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token …`",
                },
                "address": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }


def params_schema(backend: Backend) -> dict[str, Any]:
    """What a backend takes beside the prompt, as JSON Schema: everything may be left out, or null."""
    model = backend.params
    schema = model.model_json_schema(schema_generator=_Plain)
    properties: dict[str, Any] = {}
    for name, said in _resolved(schema["properties"], schema.get("$defs", {})).items():
        says = _allowed(name, said)
        description, default = says.pop("description", None), _default(backend, model, name)
        options = says.pop("anyOf", [says])
        null = [] if {"type": "null"} in options else [{"type": "null"}]
        properties[name] = {"anyOf": [*options, *null]}
        if description:
            properties[name]["description"] = description
        if default is not None:
            properties[name]["default"] = default
    needs = [_needed(need) for need in model.needs]
    return {
        "type": "object",
        "title": f"{backend.title}: parameters",
        "properties": properties,
        "additionalProperties": False,
        **({"allOf": needs} if needs else {}),
    }


def _needed(need: Need) -> dict[str, Any]:
    """Either the one says nothing, or the other one is there as well."""
    idle = list(dict.fromkeys([None, *need.idle]))
    other, other_idle = to_camel(need.other), list(dict.fromkeys([None, *need.other_idle]))
    return {
        "anyOf": [
            {"properties": {to_camel(need.field): {"enum": idle}}},
            {"required": [other], "properties": {other: {"not": {"enum": other_idle}}}},
        ]
    }


def _allowed(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Say in JSON Schema what the model checks in Python."""
    said = {word: value for word, value in _named(_plain(said)).items() if word not in DROPPED}
    if name == "seed":  # -1 has one chosen
        said["anyOf"] = [
            option | ({"minimum": -1} if option.get("type") == "integer" else {})
            for option in said["anyOf"]
        ]
    elif name == "aspectRatio":
        said = _strings(said, {"enum": list(RATIOS)})
    return said


def _named(schema: Any) -> Any:
    """With the pattern that says what the models do: a name is more than spaces."""
    if isinstance(schema, list):
        return [_named(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    is_name = schema.get("type") == "string" and schema.get("minLength") == 1
    own = {"pattern": SOMETHING} if is_name else {}
    return {word: _named(value) for word, value in schema.items()} | own


def _strings(said: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """A schema whose text, alone or among other things, is also what `words` say."""
    if "anyOf" in said:
        return said | {"anyOf": [_strings(option, words) for option in said["anyOf"]]}
    return said | (words if said.get("type") == "string" else {})


def _plain(schema: Any) -> Any:
    """A schema in JSON Schema's words."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    words = WORDS if "type" in schema else {}
    return {words.get(word, word): _plain(value) for word, value in schema.items()}


def _default(backend: Backend, model: type[BaseModel], name: str) -> Any:
    field = next(key for key, info in model.model_fields.items() if info.alias == name)
    info = model.model_fields[field]
    return backend.defaults.get(field, None if info.is_required() else info.default)


class _Plain(GenerateJsonSchema):
    """Without the titles that only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def _schemas(found: list[Operation]) -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Refused, "serialization"): None}
    for said in found:
        if said.body is not None:
            wanted[said.body, "validation"] = None
        if said.reply is not None:
            wanted[said.reply, "serialization"] = None
    _, made = models_json_schema(list(wanted), ref_template=REF, schema_generator=_Plain)
    schemas: dict[str, Any] = _plain(made["$defs"])
    if "GenerateBody" in schemas:
        schemas["GenerateBody"] = _generate(schemas["GenerateBody"])
        for backend in backends.BACKENDS.values():
            schemas[_params_name(backend)] = params_schema(backend)
    return schemas


def _params_name(backend: Backend) -> str:
    return f"{backend.name.title()}Params"


def _generate(body: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /api/generate: one shape for each backend, for each takes parameters of its own."""
    shapes = []
    for backend in backends.BACKENDS.values():
        properties = dict(body["properties"])
        properties["prompt"] = properties["prompt"] | {"pattern": SOMETHING}
        properties["backend"] = properties["backend"] | {"const": backend.name}
        params = REF.format(model=_params_name(backend))
        properties["params"] = {"anyOf": [{"$ref": params}, {"type": "null"}]}
        shapes.append({**body, "title": backend.title, "properties": properties})
        shapes[-1].pop("description", None)
    return {"description": f"{GenerateBody.__doc__} {SAVED_TOO}", "oneOf": shapes}


def _operation(method: str, path: str, said: Operation, names: list[str]) -> dict[str, Any]:
    words = [part.strip("{}").title() for part in path.removeprefix("/api/").split("/")]
    made: dict[str, Any] = {
        "operationId": method + "".join(words).replace(".", "").replace("-", ""),
        "summary": said.summary,
        "tags": [said.tag],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
        + _query(said.query),
        "responses": _responses(said),
    }
    if said.body is not None:
        schema = {"$ref": REF.format(model=said.body.__name__)}
        made["requestBody"] = {
            "required": not said.body_optional,
            "content": {"application/json": {"schema": schema}},
        }
    elif said.accepts:
        content = {media: {"schema": _sent(media)} for media in said.accepts}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _sent(media: str) -> dict[str, Any]:
    """A body that is a file, or has it in a form."""
    file = {"type": "string", "format": "binary"}
    if media != "multipart/form-data":
        return file
    return {"type": "object", "properties": {"file": file}, "required": ["file"]}


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(schema_generator=_Plain)
    definitions = schema.get("$defs", {})
    parameters = []
    for name, said in schema["properties"].items():
        described = {**said}
        required = name in schema.get("required", [])
        parameter = {"name": name, "in": "query", "required": required}
        if description := described.pop("description", None):
            parameter["description"] = description
        parameters.append(parameter | {"schema": _resolved(described, definitions)})
    return parameters


def _resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_resolved(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _resolved(value, definitions) for key, value in schema.items()}


def _responses(said: Operation) -> dict[str, Any]:
    media: dict[str, Any] = {said.media: {}}
    if said.reply is not None:
        media = {said.media: {"schema": {"$ref": REF.format(model=said.reply.__name__)}}}
    elif said.media == "application/json":
        media = {said.media: {"schema": {"type": "object"}}}
    answers: dict[str, Any] = {str(said.status): {"description": "Done", "content": media}}
    refusals = {*said.refusals, *ALWAYS}
    if said.body is not None or said.accepts:
        refusals |= {400, 413}
    for status in sorted(refusals):
        answers[str(status)] = {
            "description": GENERAL[str(status)],
            "content": {"application/json": {"schema": {"$ref": REF.format(model="Refused")}}},
        }
    return answers
