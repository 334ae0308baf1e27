"""What msgspec found wrong with one field, as a sentence for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_BOUND: Final = re.compile(r"Expected `(?:int|float)(?: \| null)?` (>=|<=) (-?[\d.]+)")
_LENGTH: Final = re.compile(r"Expected `(\w+)(?: \| null)?` of length (>=|<=) (\d+)")
_TYPE: Final = re.compile(r"Expected `([\w| ]+)`(?:, got `(\w+)`)?")
_KINDS: Final = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
    "object": "an object", "null": "nothing",
}  # fmt: skip
_SHOWN: Final = 40


def sentence(raw: str, value: Any, words: Mapping[str, Any]) -> str:
    """``raw`` (msgspec's message) in words. ``words`` are the field's ``extra``: its ``unit``, in ``wants`` what its
    pattern means, and ``choices``. A secret's value is never repeated."""
    if found := _BOUND.fullmatch(raw):
        unit = f" {words['unit']}" if words.get("unit") else ""
        side = "or more" if found[1] == ">=" else "at most"
        return f"{found[2]}{unit} {side}, not {value}{unit}"
    if found := _LENGTH.fullmatch(raw):
        return _long(found[1], found[2], found[3], len(value))
    if raw.startswith("Expected `str` matching regex"):
        wants = words.get("wants") or "another form: " + raw.removeprefix("Expected `str` matching regex ")
        return f"has to be {wants}" + ("" if words.get("secret") else f"; {_short(value)} is not")
    if raw.startswith("Invalid enum value") and words.get("choices"):
        return f"has to be {' or '.join(words['choices'])}; {_short(value)} is not"
    if found := _TYPE.fullmatch(raw):
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in found[1].split(" | "))
        return f"has to be {wanted}" + (f", not {_KINDS.get(found[2], found[2])}" if found[2] else "")
    return raw


def _long(kind: str, side: str, bound: str, length: int) -> str:
    if side == ">=" and bound == "1":
        return "cannot be empty"
    what = "characters" if kind == "str" else "entries"
    return f"has to have {bound} {what} {'or more' if side == '>=' else 'at most'}; these are {length}"


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
