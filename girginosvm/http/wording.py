"""What msgspec found wrong with one field, as a sentence for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from girginosvm.core.words import TEXTS, said

_BOUND: Final = re.compile(r"Expected `(?:int|float)(?: \| null)?` (>=|<=) (-?[\d.]+)")
_LENGTH: Final = re.compile(r"Expected `(\w+)(?: \| null)?` of length (>=|<=) (\d+)")
_TYPE: Final = re.compile(r"Expected `([\w| ]+)`(?:, got `(\w+)`)?")
_SHOWN: Final = 40


def sentence(raw: str, value: Any, words: Mapping[str, Any]) -> str:
    """``raw`` (msgspec's message) in words. ``words`` are the field's ``extra``: its ``unit``, in ``wants`` what its
    pattern means, and ``choices``. A secret's value is never repeated."""
    if found := _BOUND.fullmatch(raw):
        unit = f" {words['unit']}" if words.get("unit") else ""
        code = "fault.low" if found[1] == ">=" else "fault.high"
        return said(code, bound=f"{found[2]}{unit}", value=f"{value}{unit}").text
    if found := _LENGTH.fullmatch(raw):
        return _long(found[1], found[2], found[3], len(value))
    if raw.startswith("Expected `str` matching regex"):
        wants = words.get("wants") or "another form: " + raw.removeprefix("Expected `str` matching regex ")
        return _wanted(wants) if words.get("secret") else _form(wants, value)
    if raw.startswith("Invalid enum value") and words.get("choices"):
        return _form(" or ".join(words["choices"]), value)
    if found := _TYPE.fullmatch(raw):
        wanted = " or ".join(_kind(kind) for kind in found[1].split(" | "))
        return said("fault.kind", wants=wanted, was=_kind(found[2])).text if found[2] else _wanted(wanted)
    return raw


def _kind(raw: str) -> str:
    return TEXTS.get(f"wants.{raw}", raw)


def _wanted(wants: str) -> str:
    return said("fault.wanted", wants=wants).text


def _form(wants: str, value: Any) -> str:
    return said("fault.form", wants=wants, value=_short(value)).text


def _long(kind: str, side: str, bound: str, length: int) -> str:
    if side == ">=" and bound == "1":
        return said("fault.empty").text
    codes = ("fault.short", "fault.long") if kind == "str" else ("fault.few", "fault.many")
    return said(codes[side != ">="], count=bound, length=length).text


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
