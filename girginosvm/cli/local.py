"""Verbs that need no server."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from girginosvm.cli.trouble import Trouble


def settings(root: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Each setting of the node under ``root``, its value, where the value comes from, and what the cluster's rows say
    where that is something else; secrets are not shown."""
    from girginosvm.core.errors import Problem  # msgspec, for this verb only
    from girginosvm.core.settings import Settings, file_of, load

    try:
        found = load(root, environment)
    except Problem as problem:
        faults = tuple((fault.pointer, fault.detail) for fault in problem.faults)
        raise Trouble("Invalid", problem.code, problem.detail, faults=faults) from problem
    file = file_of(root)
    written = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    items = []
    for name in Settings.__struct_fields__:
        variable = f"GIRGINOSVM_{name.upper()}"
        source = "default"
        if name == "root":
            source = "--root" if root != "/" else "default"
        elif variable in environment:
            source = variable
        elif name in written:
            source = str(file)
        value = getattr(found, name)
        secret = name.endswith("token") and value
        items.append({"name": name, "value": "(set)" if secret else value, "source": source, "cluster": ""})
    if os.path.exists(found.path("db", "state.db")):
        from girginosvm.cli.node import in_force  # the database, where there is one

        rows = in_force(found)
        items = [{**item, "cluster": rows.get(str(item["name"]), "")} for item in items]
    return {"items": items}


def explained(code: str) -> dict[str, Any]:
    """The page of a problem code; without one, every code with its title."""
    from girginosvm.core import pages  # pathlib and re, for this verb only

    if not code:
        found = [page for name in pages.codes() if (page := pages.find(name)) is not None]
        return {"items": [{"code": page.code, "title": page.title} for page in found]}
    page = pages.find(code)
    if page is None:
        import difflib

        close = difflib.get_close_matches(code, pages.codes(), n=1, cutoff=0.5)
        hint = f"did you mean: girginosvm explain {close[0]}" if close else "girginosvm explain lists them"
        raise Trouble("Missing", "", f"there is no problem code {code!r}", hint=hint)
    return {"code": page.code, "title": page.title, "text": list(page.paragraphs), "commands": list(page.commands)}


def root_of(given: str | None, environment: Mapping[str, str]) -> str:
    """``--root``, else GIRGINOSVM_ROOT, else ``/``."""
    return given or environment.get("GIRGINOSVM_ROOT", "") or "/"


def socket_of(given: str | None, root: str, environment: Mapping[str, str]) -> str:
    """``--socket``, else GIRGINOSVM_SOCKET, else the agent's below the root."""
    return given or environment.get("GIRGINOSVM_SOCKET", "") or os.path.join(root, "run/girginosvm/agent.sock")
