"""Strict decoding of path, query string and body into an action's struct; every fault by JSON pointer."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from multidict import MultiMapping

from girginosvm.core.action import Request
from girginosvm.core.errors import Fault, Invalid
from girginosvm.core.fields import extra_of
from girginosvm.http.wording import sentence

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
_AT: Final = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")

R = TypeVar("R", bound=Request)


def parsed(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object in ``body``; no body is an empty object. Invalid with a code for each way to be wrong."""
    if not body:
        return {}
    if content_type != "application/json":
        raise Invalid("content-type-wrong", f"the body has to be application/json, not {content_type or 'nothing'}")
    try:
        value = msgspec.json.decode(body)
    except RecursionError as fault:
        raise _too_deep() from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Invalid("body-not-json", f"the body is no JSON: {fault}", faults=(Fault("", str(fault)),)) from fault
    if not isinstance(value, dict):
        raise Invalid("body-invalid", "the body has to be a JSON object", faults=(Fault("", "expected an object"),))
    _bound_depth(value)
    return value


def _too_deep() -> Invalid:
    detail = f"the body is nested deeper than {MAX_DEPTH} levels"
    return Invalid("body-too-deep", detail, faults=(Fault("", detail),))


def _bound_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def flat(parameters: MultiMapping[str], *, taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """A query string as fields; a parameter that is given twice is a fault."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in taken:
            continue
        if name in found:
            raise Invalid("query-invalid", f"{name} is given twice", faults=(_fault(name, "given twice"),))
        found[name] = value
    return found


def no_query(parameters: MultiMapping[str]) -> None:
    """A command takes its fields from the body: a query string is a mistake, not a field."""
    if parameters:
        faults = tuple(_fault(name, "a command has no query string") for name in list(parameters)[:50])
        raise Invalid("query-invalid", "a command takes its fields from the body", faults=faults)


def struct(kind: type[R], path: Mapping[str, str], fields: dict[str, Any], *, lax: bool) -> R:
    """``kind`` from the path's fields and the others. ``lax``: the values are text (a query string).

    Invalid ``body-invalid`` lists every fault, not the first one.
    """
    twice = [_fault(name, "belongs to the path") for name in fields if name in path]
    if not twice:
        try:
            return msgspec.convert({**fields, **path}, kind, strict=not lax)
        except msgspec.ValidationError as fault:
            twice = _faults(kind, {**fields, **path}, lax=lax) or [_from(fault, fields, {})]
    detail = "; ".join(f"{fault.pointer[1:] or 'body'}: {fault.detail}" for fault in twice[:5])
    raise Invalid("query-invalid" if lax else "body-invalid", detail, faults=tuple(twice[:50]))


def _faults(kind: type[Request], values: dict[str, Any], *, lax: bool) -> list[Fault]:
    hints = typing.get_type_hints(kind, include_extras=True)
    words = extra_of(kind)
    found = [_fault(name, "unknown field") for name in values if name not in kind.__struct_fields__]
    for shape in msgspec.structs.fields(kind):
        if shape.name not in values:
            if shape.required:
                found.append(_fault(shape.name, "missing"))
            continue
        try:
            msgspec.convert(values[shape.name], hints[shape.name], strict=not lax)
        except msgspec.ValidationError as fault:
            known = {**words[shape.name], "choices": _choices(hints[shape.name])}
            found.append(_from(fault, values[shape.name], known, f"/{_escaped(shape.name)}"))
    return found


def _choices(hint: Any) -> tuple[str, ...]:
    """The words that a Literal takes, seen through Annotated, unions and lists."""
    if typing.get_origin(hint) is typing.Literal:
        return tuple(map(str, typing.get_args(hint)))
    return next((found for part in typing.get_args(hint) if (found := _choices(part))), ())


def _from(fault: msgspec.ValidationError, value: Any, words: Mapping[str, Any], under: str = "") -> Fault:
    text = str(fault)
    at = _AT.search(text)
    steps = _STEP.findall(at[1]) if at else []
    pointer = under + "".join("/" + _escaped(name or place) for name, place in steps)
    raw = text[: at.start()] if at else text
    return Fault(pointer, sentence(raw, _inside(value, steps), words))


def _inside(value: Any, steps: list[tuple[str, str]]) -> Any:
    """The value that the steps lead to; the nearest one around it where msgspec does not say which (``...``)."""
    for name, place in steps:
        if name and isinstance(value, Mapping) and name in value:
            value = value[name]
        elif place.isdigit() and isinstance(value, list) and int(place) < len(value):
            value = value[int(place)]
        else:
            break
    return value


def _fault(name: str, detail: str) -> Fault:
    return Fault(f"/{_escaped(name[:100])}", detail)


def _escaped(name: str) -> str:
    """RFC 6901 section 3."""
    return name.replace("~", "~0").replace("/", "~1")
