"""From the actions to the plain table that the command line starts from (``make golden``; never at run time).

``catalogue.py`` is what this writes: literals only, so that ``vm list`` needs neither msgspec nor the rooms.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from girginosvm.core.action import Command, Page, Request, Stream, Walk
from girginosvm.core.fields import extra_of
from girginosvm.core.manifest import Registry

_HEAD: Final = '''"""The verbs of the command line, made from the actions by `make golden`. Do not edit."""

from typing import Any, Final

'''
_WORDS: Final = ("unit", "ref", "file", "secret")


def table(registry: Registry) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Each action with a verb as plain data, sorted by verb; and for each noun the path that lists it."""
    verbs = sorted((_verb(kind) for kind in registry.actions if kind.action.cli), key=lambda verb: str(verb["cli"]))
    places: dict[str, str] = {}
    lists = {kind.action.path for kind in registry.actions if issubclass(kind, Page)}
    for kind in registry.actions:
        for name, words in extra_of(kind).items():
            base, _, last = kind.action.path.rpartition("/")
            if words.get("ref") and last == f"{{{name}}}" and base in lists:
                places[words["ref"]] = base
    return verbs, dict(sorted(places.items()))


def source(registry: Registry) -> str:
    """The text of ``catalogue.py``: one verb a line, so that two changes meet without a conflict."""
    verbs, places = table(registry)
    lines = "".join(f"    {verb!r},\n" for verb in verbs)
    return (
        f"{_HEAD}VERBS: Final[tuple[dict[str, Any], ...]] = (\n{lines})\nPLACES: Final[dict[str, str]] = {places!r}\n"
    )


def _verb(kind: type[Request]) -> dict[str, Any]:
    action = kind.action
    words = extra_of(kind)
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    # A stream with an answer type has JSON on both sides: for the command line it is an ordinary request.
    written = issubclass(kind, Stream) and action.answers is None
    way = "stream" if written else "command" if issubclass(kind, Command) or action.method != "GET" else "query"
    verb: dict[str, Any] = {
        "cli": action.cli,
        "method": action.method,
        "path": action.path,
        "way": way,
        "summary": action.summary,
        "doc": " ".join((kind.__doc__ or "").replace("``", "`").split()),
        "positionals": [*action.path_fields, *action.positionals],
        "examples": list(action.examples),
        "fields": [_field(field, words.get(field.name, {})) for field in info.fields],
    }
    if issubclass(kind, Page):
        verb["paged"] = True
    if kind.keyed:
        verb["keyed"] = True
    if issubclass(kind, Walk):
        verb["walks"] = True
    if action.destroys:
        verb["destroys"] = True
        if action.foresees:
            verb["foresees"] = action.foresees
    return verb


def _field(field: inspect.Field, words: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": field.name, "help": words.get("description", "")}
    plain["flag"] = words.get("flag", "") or words.get("file", "") or field.name.replace("_", "-")
    plain.update(_type(field.type))
    plain.update({word: words[word] for word in _WORDS if words.get(word)})
    if field.required:
        plain["required"] = True
    elif isinstance(field.default, (str, int, bool)):
        plain["default"] = field.default
    return plain


def _type(kind: inspect.Type) -> dict[str, Any]:
    """``{"type": str|int|bool|list|json}`` and its choices, seen through metadata and optional unions."""
    match kind:
        case inspect.Metadata():
            return _type(kind.type)
        case inspect.UnionType():
            inner = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return {**_type(inner[0]), "optional": True} if len(inner) == 1 else {"type": "json"}
        case inspect.BoolType():
            return {"type": "bool"}
        case inspect.IntType():
            return {"type": "int"}
        case inspect.StrType():
            return {"type": "str"}
        case inspect.LiteralType():
            return {"type": "str", "choices": list(kind.values)}
        case inspect.EnumType():
            return {"type": "str", "choices": [one.value for one in kind.cls]}
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            item = _type(kind.item_type)
            return {"type": "list", "item": item["type"], **{k: v for k, v in item.items() if k == "choices"}}
        case _:
            return {"type": "json"}


def main() -> None:
    """Write ``catalogue.py`` beside this file anew."""
    from girginosvm.features.registry import REGISTRY  # the rooms are heavy

    target = Path(__file__).with_name("catalogue.py")
    target.write_text(source(REGISTRY), encoding="utf-8")
    print(f"{target.name}: {len(table(REGISTRY)[0])} verbs", file=sys.stderr)


if __name__ == "__main__":
    main()
