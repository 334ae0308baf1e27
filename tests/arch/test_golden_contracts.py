"""What others build on, as golden files: a public change is a visible difference (`make golden` writes them anew)."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from msgspec import inspect
from openapi_spec_validator import OpenAPIV31SpecValidator

from girginosvm.cli import verbs
from girginosvm.cli.catalogue import VERBS
from girginosvm.cli.main import Counter
from girginosvm.core import access
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Action, Request
from girginosvm.core.errors import Forbidden
from girginosvm.core.fields import extra_of
from girginosvm.features.registry import REGISTRY
from girginosvm.http import openapi
from girginosvm.state.migrate import Schema

GOLDEN = Path(__file__).parents[1] / "golden"
WRITE = os.environ.get("GOLDEN") == "write"
PEOPLE = {role.value: Actor("session", role.value, role.value, role) for role in Role}
ACTORS = {**PEOPLE, "platform": Actor("node", "node:1", "node", Role.ADMIN)}


def stale(files: dict[str, str], under: str = "") -> list[str]:
    """Of the golden files those that are not these texts, and below ``under`` those that should not be there: for all
    of them, `make golden`."""
    folder = GOLDEN / under
    if WRITE:
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir() if under else ():
            old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    kept = {one.name for one in folder.iterdir()} if under else set(files)
    other = {name for name, text in files.items() if kept_text(folder / name) != text}
    return sorted(other | (kept ^ set(files)))


def kept_text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def may(actor: Actor, action: Action) -> str:
    try:
        access.check(actor, action.permission)
    except Forbidden:
        return "-"
    return "yes"


def aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def test_the_golden_permission_matrix_says_who_may_do_what() -> None:
    rows = [
        [kind.action.permission, kind.__name__, f"{kind.action.method} {kind.action.path}"]
        + ["yes" if kind.action.public else may(actor, kind.action) for actor in ACTORS.values()]
        for kind in REGISTRY.actions
    ]
    assert stale({"permissions.txt": aligned([["permission", "action", "route", *ACTORS], *sorted(rows)])}) == []


def test_the_golden_openapi_document_is_valid_and_only_holds_what_it_names() -> None:
    document = openapi.document(REGISTRY, version="0")
    OpenAPIV31SpecValidator(document).validate()
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    ids = [one["operationId"] for _, one in operations]
    assert len(ids) == len(set(ids))
    for path, one in operations:
        named = {p["name"] for p in one.get("parameters", ()) if p["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
    for target in refs(document):
        found: Any = document
        for step in target.removeprefix("#/").split("/"):
            found = found[step]
    assert stale({"openapi.json": pretty(document)}) == []


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from refs(one)


def test_the_golden_forms_are_what_the_panel_draws() -> None:
    assert stale({"forms.json": pretty(openapi.forms(REGISTRY))}) == []


def test_the_golden_help_is_what_the_command_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    assert Counter("girginosvm", out, out, {}).serve(["--help"]) == 0
    files = {"overview.txt": out.getvalue()}
    for verb in (*VERBS, *verbs.LOCAL):
        made = verbs.parser(verb, "girginosvm", argparse.RawDescriptionHelpFormatter)
        files[f"{str(verb['cli']).replace(' ', '-')}.txt"] = made.format_help()
    assert stale(files, "cli-help") == []


def test_the_golden_log_shapes_only_ever_grow() -> None:
    """Commands are forever: a line that goes or changes here is a log that no longer replays."""
    lines: list[str] = []
    for name, kind in sorted(REGISTRY.commands.items()):
        later = [f" at level {level}" for level in kind.action.levels[-1:] if level > 1]
        lines.append(f"{name} {kind.action.version}{''.join(later)}")
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        lines += [f"  {one.encode_name}: {shape(one.type)}{default(one)}{since(kind, one)}" for one in info.fields]
    assert stale({"commands.txt": "\n".join(lines) + "\n"}) == []


def since(kind: type[Request], one: inspect.Field) -> str:
    version = extra_of(kind)[one.name].get("since")
    return f" since {version}" if version else ""


def shape(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return shape(kind.type)
        case inspect.UnionType():
            return " | ".join(shape(one) for one in kind.types)
        case inspect.LiteralType():
            return " | ".join(repr(value) for value in kind.values)
        case inspect.VarTupleType() | inspect.ListType():
            return f"[{shape(kind.item_type)}]"
        case inspect.StructType() | inspect.EnumType():
            return kind.cls.__name__
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def default(one: inspect.Field) -> str:
    return "" if one.required or one.default is msgspec.NODEFAULT else f" = {one.default!r}"


def test_the_golden_schema_is_what_the_migrations_make() -> None:
    db = apsw.Connection(":memory:")
    schema = Schema(REGISTRY.rooms)
    schema.open(db, "golden", REGISTRY.level)
    schema.run(db, schema.missing(db, REGISTRY.level))
    rows = db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name")
    assert stale({"schema.sql": "".join(f"{sql};\n" for (sql,) in rows.fetchall())}) == []


@pytest.mark.parametrize("kind", REGISTRY.actions, ids=lambda kind: kind.__name__)
def test_the_golden_rule_that_every_action_says_what_it_is(kind: type[Request]) -> None:
    assert wanting(kind) == []


def wanting(kind: type[Request]) -> list[str]:
    """What an action does not say."""
    action = kind.action
    platform = action.permission.endswith(".report")
    doc = kind.__doc__ or ""
    missing = [] if re.fullmatch(r"[a-z]+\.[a-z]+", action.permission) else ["permission"]
    missing += [] if action.summary else ["summary"]
    missing += [] if doc and not doc.startswith(f"{kind.__name__}(") else ["doc"]
    changes = action.method != "GET" and kind.__name__ in REGISTRY.commands
    missing += ["audit"] if changes and not action.audit else []
    missing += ["verb"] if changes and not platform and not action.cli else []
    bodies = (name for name in ("apply", "fetch") if hasattr(kind, name))
    missing += [name for name in bodies if getattr(getattr(kind, name), "__isabstractmethod__", False)]
    words = extra_of(kind)
    missing += [f"help of {name}" for name in kind.__struct_fields__ if not words[name].get("description")]
    return missing


def test_the_golden_rule_sees_what_it_is_for() -> None:
    from girginosvm.core.action import Command, action

    @action("POST /v1/x", permission="x", summary="")
    class Mute(Command, frozen=True, kw_only=True):
        size: int = 1

    assert wanting(Mute) == ["permission", "summary", "doc", "apply", "help of size"]
