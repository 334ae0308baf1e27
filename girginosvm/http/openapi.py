"""OpenAPI 3.1 and the form schemas, out of the same registry that the routes come from."""

from __future__ import annotations

import typing
from typing import Any, Final

import msgspec

from girginosvm.core.action import Command, Query, Request, Stream
from girginosvm.core.fields import extra_of
from girginosvm.core.manifest import Registry
from girginosvm.core.words import Said

_REF: Final = "#/components/schemas/{name}"
_BINARY: Final[dict[str, Any]] = {"application/octet-stream": {}}
_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
_WRITTEN: Final = {"UploadImage", "SerialOutput", "FollowEvents"}
_SHOWN: Final[dict[str, Any]] = {
    "X-Applied-Index": {
        "description": "The log index that the answer is at least as new as.", "schema": {"type": "integer"},
    },
    "X-Leader-Age-Ms": {
        "description": "How long ago (ms) the node that answers has heard of a leader; about 0 on the leader. It grows "
        "while the node is cut off: the answer may be as old. Absent: it has heard of none since it began.",
        "schema": {"type": "integer"},
    },
}  # fmt: skip
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "family"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "code": {"type": "string"}, "family": {"type": "string"},
        "instance": {"type": "string"}, "hint": {"type": "string"}, "retry_after_s": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"}, "detail": {"type": "string"},
                    "detail_said": {"anyOf": [{"$ref": _REF.format(name="Said")}, {"type": "null"}]},
                },
            },
        },
    },
}  # fmt: skip


def document(registry: Registry, *, version: str) -> dict[str, Any]:
    """The whole API. Platform actions (``*.report``) are not for people and are left out."""
    kinds = [kind for kind in registry.actions if not kind.action.permission.endswith(".report")]
    types = list(kinds) + [_plain(kind.action.answers) for kind in kinds if kind.action.answers is not None]
    types.append(Said)  # of a problem, which no action answers
    # Defaults are tuples and structs there; JSON Schema knows arrays and objects.
    made = msgspec.json.schema_components(types, ref_template=_REF)
    schemas, components = msgspec.json.decode(msgspec.json.encode(made))
    answers = iter(schemas[len(kinds) :])
    shapes = dict(zip([kind.__name__ for kind in kinds], schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        answer = next(answers) if kind.action.answers is not None else None
        own = _resolved(shapes[kind.__name__], components)
        paths.setdefault(kind.action.path, {})[kind.action.method.lower()] = _operation(kind, own, answer)
    for kind in kinds:
        components.pop(kind.__name__, None)
    components["Problem"] = _PROBLEM
    security = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "girginosvm", "version": version},
        "paths": paths,
        "components": {"schemas": components, "headers": _SHOWN, "securitySchemes": security},
        "security": [{"token": []}],
    }


def forms(registry: Registry) -> dict[str, Any]:
    """For each command what a form needs: its JSON schema with our ``x-`` words, path, permission, whether it
    destroys, and the command line it equals."""
    out: dict[str, Any] = {}
    for kind in registry.actions:
        if not issubclass(kind, Command | Stream) or kind.action.permission.endswith(".report"):
            continue
        action = kind.action
        schema = msgspec.json.schema(kind)
        out[kind.__name__] = {
            "method": action.method,
            "path": action.path,
            "cli": action.cli,
            "noun": action.noun,
            "permission": action.permission,
            "summary": action.summary,
            "destroys": action.destroys,
            "path_fields": list(action.path_fields),
            "positionals": [*action.path_fields, *action.positionals],
            "order": list(kind.__struct_fields__),
            "refs": {name: words["ref"] for name, words in extra_of(kind).items() if words.get("ref")},
            "schema": {**schema["$defs"][kind.__name__], "$defs": schema["$defs"]},
        }
    return out


def _operation(kind: type[Request], shape: dict[str, Any], answer: Any) -> dict[str, Any]:
    action = kind.action
    parameters = [_parameter(name, shape, "path") for name in action.path_fields]
    others = [name for name in kind.__struct_fields__ if name not in action.path_fields]
    in_query = issubclass(kind, Query) or action.method == "GET"
    operation: dict[str, Any] = {
        "operationId": kind.__name__,
        "summary": action.summary,
        "description": kind.__doc__ or "",
        "tags": [action.noun],
        "x-permission": action.permission,
        "x-cli": action.cli,
        "responses": {
            str(action.status): _answered(kind, answer),
            "default": {
                "description": "A problem (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
            },
        },
    }
    if in_query:
        parameters += [_parameter(name, shape, "query") for name in others]
    elif kind.__name__ == "UploadImage":
        operation["requestBody"] = {"required": True, "content": _BINARY}
    elif others:
        operation["requestBody"] = _body(shape, others)
    parameters += _headers(kind)
    if parameters:
        operation["parameters"] = parameters
    if action.public:
        operation["security"] = []
    return operation


def _headers(kind: type[Request]) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    if kind.keyed:
        names = {
            "Idempotency-Key": "The same key and body give the same answer.",
            "X-Why": "The reason, for the audit log.",
        }
    if issubclass(kind, Command):
        names["If-Match"] = "Only while the thing still has this ETag."
        if kind.action.status == 202:
            names["Prefer"] = "`wait=N`: answer when the operation has ended, or after N seconds."
    elif issubclass(kind, Query):
        names = {"X-Min-Index": "A log index that the answer must reach.", "If-None-Match": "304 for this ETag."}
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in names.items()
    ]


def _answered(kind: type[Request], answer: Any) -> dict[str, Any]:
    if kind.__name__ in _WRITTEN:
        content: dict[str, Any] = (
            {"text/event-stream": _TEXT["text/plain"]} if kind.__name__ == "FollowEvents" else _TEXT
        )
        return {"description": kind.action.summary, "content": content if kind.__name__ != "UploadImage" else _JSON}
    shown: dict[str, Any] = {"description": kind.action.summary}
    if kind.action.method == "GET":
        shown["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _SHOWN}
    if answer is not None:
        shown["content"] = {"application/json": {"schema": answer}}
    return shown


_JSON: Final[dict[str, Any]] = {"application/json": {"schema": {"type": "object"}}}


def _parameter(name: str, shape: dict[str, Any], where: str) -> dict[str, Any]:
    schema = dict(shape["properties"][name])
    words = schema.pop("description", "")
    required = where == "path" or name in shape.get("required", ())
    return {"name": name, "in": where, "required": required, "description": words, "schema": schema}


def _body(shape: dict[str, Any], names: list[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: shape["properties"][name] for name in names},
        "additionalProperties": False,
    }
    required = [name for name in names if name in shape.get("required", ())]
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = schema["$ref"].rpartition("/")[2] if "$ref" in schema else ""
    found: dict[str, Any] = components[name] if name else schema
    return found


def _plain(answers: Any) -> Any:
    return answers if typing.get_origin(answers) or isinstance(answers, type) else Any
