"""Data on stdout: table, json, yaml, csv. What a server sends never reaches a terminal as control characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from girginosvm.core.units import GIB, MIB, shown

FORMATS: Final = ("table", "json", "yaml", "csv")
# C0, DEL, C1, and the characters that reorder or hide text (bidi controls, zero width, separators).
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# What a YAML reader takes for text without quotes: a letter or / first, nothing that means something.
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
_YAML_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_UNITS: Final = (("_mb", MIB), ("_gb", GIB), ("_bytes", 1))
_STATE_COLOUR: Final = {
    "running": "green", "done": "green", "ready": "green", "failed": "red", "crashed": "red", "unknown": "yellow",
}  # fmt: skip

# The columns of a plain list; `--fields` takes others. A list whose noun is absent shows every scalar.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "vm list": ("name", "state", "node", "vcpu", "memory_mb", "disk_gb", "addresses", "image", "id"),
    "image list": ("name", "version", "state", "size_bytes", "virtual_gb", "format", "signed", "id"),
    "net list": ("name", "kind", "bridge", "cidr", "gateway", "leased", "free", "id"),
    "storage pool list": ("name", "path", "capacity_bytes", "free_bytes", "reserved_bytes", "id"),
    "node list": (
        "name",
        "state",
        "domain",
        "cpus",
        "memory_mb",
        "memory_used_mb",
        "vms",
        "acceleration",
        "os",
        "release",
        "seen_at",
    ),
    "operation list": ("id", "kind", "subject_name", "node", "state", "step", "created_at", "problem"),
    "event list": ("at", "kind", "text", "actor", "why"),
    "ipam leases": ("address", "mac", "network", "vm", "since", "vm_id"),
    "storage disk list": ("path", "vm", "node", "pool", "size_gb", "image", "since", "id"),
    "token list": ("name", "role", "state", "created_by", "created_at", "expires_at", "id"),
    "membership token list": ("id", "state", "created_by", "created_at", "expires_at", "used_by"),
    "user list": ("email", "role", "disabled", "must_change_password", "sessions", "created_at", "id"),
}
# Lists inside a sheet whose cells are sentences: what stands in front, the sentence, what stands below it.
_SENTENCES: Final[dict[str, tuple[tuple[str, ...], str, str]]] = {
    "checks": (("state", "name"), "says", "next"), "by_hand": ((), "command", "what"),
}  # fmt: skip
# The columns of a list inside a sheet.
_INSIDE: Final = {"operations": ("kind", "state", "step", "created_at", "finished_at", "problem", "id")}


def visible(text: str) -> str:
    """``text`` with each control character written out (``\\x1b``, ``\\u202e``)."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def write(value: Any, form: str, out: IO[str], *, columns: Sequence[str] = (), terminal: bool = False) -> None:
    """Print an answer. A list answer (``items``) is a table of rows, anything else a sheet of fields."""
    rows = value.get("items") if isinstance(value, dict) and "items" in value else None
    if form == "json":
        out.write(_json(rows if rows is not None else value, terminal) + "\n")
    elif form == "yaml":
        out.write("".join(line + "\n" for line in _yaml(rows if rows is not None else value)))
    elif form == "csv":
        _csv(rows if rows is not None else [value], columns, out, terminal)
    elif rows is not None:
        rows = [_heard(row) for row in rows]
        _table(rows, columns or _scalars(rows), out, terminal)
    else:
        _sheet(_spoken(_heard(value)), out, terminal)


# A sentence, and what it was made of.
_MADE: Final = ({"says", "code", "values"}, {"text", "word", "values"})


def _spoken(value: Any) -> Any:
    """For people: a sentence stands for what it was made of."""
    if isinstance(value, list):
        return [_spoken(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name for whole in _MADE if whole <= value.keys() for name in whole - {"says", "text"}}
    return {name: _spoken(one) for name, one in value.items() if name not in made and not name.endswith("_said")}


def _heard(value: Any) -> Any:
    """For people: what nobody hears of at the moment is said to be how it was, and what is heard was seen now."""
    if not isinstance(value, dict) or "heard" not in value:
        return value
    if value["heard"]:
        return {**value, "seen_at": "now"} if "seen_at" in value else value
    # A silent node says so by its state.
    return value if "seen_at" in value or "state" not in value else {**value, "state": f"was {value['state']}"}


def _json(value: Any, terminal: bool) -> str:
    import json  # not for tables

    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Inside JSON only strings can hold these, and \uXXXX means the same there; newlines of the layout stay.
    return _CONTROL.sub(lambda c: c[0] if c[0] == "\n" else f"\\u{ord(c[0]):04x}", text) if terminal else text


def _scalars(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0]) if rows else []
    return [name for name in names if not any(isinstance(row.get(name), (dict, list)) for row in rows)]


def cell(name: str, value: Any) -> str:
    """One value for a person: sizes with units, lists joined, nothing for null."""
    if value is None:
        return "not looked at" if name == "reached" else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        for ending, unit in _UNITS:
            if name.endswith(ending):
                return shown(value * unit)
        return str(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(cell("", one) for one in value)
    if isinstance(value, dict):
        if {"code", "detail"} == value.keys():  # a problem
            return visible(str(value["detail"]))
        return visible(", ".join(f"{key}={cell(key, one)}" for key, one in value.items() if one not in (None, "")))
    return visible(str(value))


def title(name: str) -> str:
    """A column's head: without the unit that its cells carry."""
    for ending, _ in _UNITS:
        name = name.removesuffix(ending)
    return name.replace("_", " ").upper()


def _table(rows: list[dict[str, Any]], columns: Sequence[str], out: IO[str], terminal: bool) -> None:
    cells = [[cell(name, row.get(name)) for name in columns] for row in rows]
    heads = [title(name) for name in columns]
    if terminal:
        if columns and columns[-1] == "id" and len(columns) > 1 and _width(heads, cells) > _terminal_width():
            # Names do; a folded id is of no use to anybody.
            heads, columns, cells = heads[:-1], columns[:-1], [line[:-1] for line in cells]
        _rich_table(heads, columns, cells, out)
        return
    widths = [max([len(head), *(len(line[n]) for line in cells)]) for n, head in enumerate(heads)]
    for line in [heads, *cells] if columns else []:
        out.write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _width(heads: list[str], cells: list[list[str]]) -> int:
    return sum(max(len(text) for text in column) + 2 for column in zip(heads, *cells, strict=True)) - 2


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _rich_table(heads: list[str], names: Sequence[str], cells: list[list[str]], out: IO[str]) -> None:
    from rich.console import Console  # 50 ms, for terminals only
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for line in cells:
        styles = [
            _STATE_COLOUR.get(text, "") if name == "state" else "" for name, text in zip(names, line, strict=True)
        ]
        table.add_row(*(Text(text, style=style) for text, style in zip(line, styles, strict=True)))
    Console(file=out, highlight=False).print(table)


def _sheet(value: Any, out: IO[str], terminal: bool) -> None:
    if not isinstance(value, dict):
        if value is not None:
            out.write(cell("", value) + "\n")
        return
    value = dict(_unfolded(value))
    nested = {name: one for name, one in value.items() if isinstance(one, list) and one and isinstance(one[0], dict)}
    # What is empty says nothing to a person; a program takes another form than this one.
    flat = {name: one for name, one in value.items() if name not in nested and one not in (None, "", [], {})}
    width = max((len(title(name)) for name in flat), default=0)
    for name, one in flat.items():
        for n, line in enumerate(_lines(name, one)):
            out.write(f"{('' if n else title(name)).ljust(width)}  {line}".rstrip() + "\n")
    for name, rows in nested.items():
        out.write(f"\n{title(name)}\n")
        if name in _SENTENCES:
            _sentences(rows, *_SENTENCES[name], out)
            continue
        rows = [_heard(row) for row in rows]
        columns = [one for one in _INSIDE.get(name) or tuple(rows[0]) if one in rows[0] and one != "heard"]
        _table(rows, columns, out, terminal)


def _unfolded(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A part that has rows of its own becomes these: they are sentences, and no cell."""
    for name, one in value.items():
        rows = [part for part in one.values() if isinstance(part, list)] if isinstance(one, dict) else []
        yield name, rows[0] if rows and rows[0] and isinstance(rows[0][0], dict) else one


def _lines(name: str, value: Any) -> list[str]:
    """One cell; of several sentences each is a line."""
    if isinstance(value, list) and any(isinstance(one, str) and ", " in one for one in value):
        return [cell(name, one) for one in value]
    return [cell(name, value)]


def _sentences(rows: list[dict[str, Any]], leads: Sequence[str], text: str, then: str, out: IO[str]) -> None:
    """A list inside a sheet whose cells are sentences: they do not fit a table's columns."""
    words = [[cell(name, row.get(name)) for name in leads] for row in rows]
    widths = [max(len(line[n]) for line in words) for n in range(len(leads))]
    for row, line in zip(rows, words, strict=True):
        first = "  ".join(one.ljust(width) for one, width in zip(line, widths, strict=True))
        out.write(f"{first}  {cell(text, row.get(text))}".strip() + "\n")
        if row.get(then):
            out.write(f"{' ' * len(first)}  {then}: {cell(then, row[then])}\n")


def leaflet(page: dict[str, Any], out: IO[str], *, terminal: bool) -> None:
    """The page of a problem code, in lines that can be read."""
    import textwrap  # for this verb only

    width = min(_terminal_width(), 88) - 2
    bold, plain = ("\x1b[1m", "\x1b[0m") if terminal else ("", "")
    out.write(f"{bold}{page['title']}{plain} ({page['code']})\n")
    for paragraph in page["text"]:
        out.write(
            "\n"
            + textwrap.fill(paragraph, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
            + "\n"
        )
    if page["commands"]:
        out.write("\n" + "".join(f"    {bold}{line}{plain}\n" for line in page["commands"]))


def _csv(rows: list[dict[str, Any]], columns: Sequence[str], out: IO[str], terminal: bool) -> None:
    import csv  # not for tables

    names = list(columns) or (list(rows[0]) if rows and isinstance(rows[0], dict) else [])
    writer = csv.writer(out, lineterminator="\n")
    if names:
        writer.writerow(names)
    for row in rows:
        if isinstance(row, dict):
            writer.writerow([_csv_cell(row.get(name), terminal) for name in names])


def _csv_cell(value: Any, terminal: bool) -> str:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV injection)."""
    if isinstance(value, (dict, list)):
        value = _flat_json(value)
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    text = str(value)
    if isinstance(value, str) and text.lstrip(" ").startswith(_FORMULA):
        text = "'" + text
    return visible(text) if terminal else text


def _flat_json(value: Any) -> str:
    import json  # not for tables

    return json.dumps(value, ensure_ascii=False)


def _yaml(value: Any, indent: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        out: list[str] = []
        for name, one in value.items():
            if isinstance(one, (dict, list)) and one:
                out += [f"{indent}{_yaml_scalar(str(name))}:", *_yaml(one, indent + "  ")]
            else:
                out.append(f"{indent}{_yaml_scalar(str(name))}: {_yaml_scalar(one)}")
        return out
    if isinstance(value, list) and value:
        out = []
        for one in value:
            inner = _yaml(one, indent + "  ")
            out += [f"{indent}- {inner[0].lstrip(' ')}", *inner[1:]]
        return out
    return [indent + _yaml_scalar(value)]


def _yaml_scalar(value: Any) -> str:
    """A scalar of YAML 1.2 that readers of 1.1 take alike: text is quoted unless it is surely text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", safe) + '"'
