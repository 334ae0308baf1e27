"""Fields of actions: bounds and words once, for decoding, REST, CLI, OpenAPI and forms alike.

``Annotated[str, field("Name of the machine.", max_length=63)]`` is an ordinary msgspec constraint; what
msgspec does not know lies in ``extra``:

* ``flag``: the CLI's name for it when it differs (``memory_mb`` is ``--memory``).
* ``unit``: ``MiB`` or ``GiB``: the CLI accepts suffixes, forms show it.
* ``ref``: the noun it names; the executor replaces a name by its id before the log sees it.
* ``secret``: ``hash`` (argon2id) or ``seal`` (encrypted with the cluster key) before the log sees it.
* ``file``: the CLI reads it from a file too (``--user-data FILE``).
* ``wants``: what its ``pattern`` means, for whoever missed it: "has to be ...".
* ``since``: the version of its command that it came with, when not the first (``core.levels``).
* ``form``: ``{"group": ..., "consequence": ...}`` for the panel.
"""

from __future__ import annotations

import typing
from typing import Annotated, Any, Final

import msgspec

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def field(
    description: str,
    *,
    flag: str = "",
    unit: str = "",
    ref: str = "",
    secret: str = "",
    file: str = "",
    wants: str = "",
    since: int = 0,
    form: dict[str, str] | None = None,
    examples: list[Any] | None = None,
    **bounds: Any,
) -> msgspec.Meta:
    """A msgspec.Meta with our own words in ``extra``; ``bounds`` are msgspec's (ge, le, pattern, max_length...)."""
    words = {
        "flag": flag, "unit": unit, "ref": ref, "secret": secret, "file": file, "form": form, "wants": wants,
        "since": since,
    }  # fmt: skip
    extra = {name: value for name, value in words.items() if value}
    schema: dict[str, Any] = {
        f"x-{name}": value for name, value in extra.items() if name in ("unit", "ref", "form", "flag", "file")
    }
    if secret:
        schema["writeOnly"] = True
    return msgspec.Meta(
        description=description or None,
        extra=extra or None,
        extra_json_schema=schema or None,
        examples=examples,
        **bounds,
    )


Name = Annotated[
    str,
    field(
        "Lower-case letters, digits and dashes; up to 63 characters (RFC 1123 2.1).",
        pattern=NAME_PATTERN,
        wants="lower-case letters, digits and dashes, no dash first or last, 63 characters at most",
        max_length=63,
    ),
]
Ref = Annotated[str, field("Name or id.", min_length=1, max_length=63)]
Sequence = Annotated[int, field("Number of the report; a higher one is newer. 0: not numbered.", ge=0, le=2**63 - 1)]


def extra_of(kind: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """For each field of ``kind`` the words in ``extra``, merged through Annotated and optional unions."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: _words(hints[name]) for name in kind.__struct_fields__}


def _words(hint: Any) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for part in typing.get_args(hint):
        if isinstance(part, msgspec.Meta):
            words.update(part.extra or {})
            if part.description:
                words["description"] = part.description
        elif typing.get_args(part):
            words = {**_words(part), **words}
    return words
