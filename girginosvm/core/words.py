"""Sentences that more than one room says, by code: in English, with named values. The panel has each of them in its
languages under the same code, and a test holds its English to this one. Pure.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import msgspec

from girginosvm.core import happenings

TEXTS: Final = {
    # What an operation is doing or waiting for.
    "step.accepted": "accepted",
    "step.done": "done",
    "step.failed": "failed",
    "step.domain-foreign": "a foreign domain holds the id {id}",
    "step.domain-newer": "the host holds generation {held}, newer than {wanted} here",
    "step.domain-gone": "the adopted domain is gone from its host",
    "step.bridge": "bridge {bridge} is not ready",
    "step.guard": "the guard of {tap} is not in force",
    "step.stop-asked": "the guest was asked to shut down",
    "step.stops": "the guest is shutting down",
    "step.image-mirror": "image {image} is being copied from its mirror",
    "step.image": "image {image} is being copied from {node}",
    "step.image-fails": "image {image} cannot be copied yet: {why}",
    "step.again": "{why}; it is tried again",
    # Why the feature level is what it is.
    "level.all": "every node that counts supports feature level {level}",
    "level.passed-over": "not heard of for long, and passed over: {names}",
    "level.waits": "feature level {level} waits for {names}",
    "level.newest": "no node supports more than feature level {level}",
    "level.behind": "applying nothing until upgraded: {names}",
    "level.and": "{first}; {rest}",
    "level.name": "{name}",
    "level.more": "{names} and {count} more",
    "level.supports": "{name} (release {release} supports {level})",
    "level.unsaid": "{name} (has not said which release it is)",
    "level.stranger": "{name} (votes, and has not said which release it is)",
    "level.silent-h": "{name} ({count} h)",
    "level.silent-days": "{name} ({count} days)",
    "level.supports-silent-h": "{name} (release {release} supports {level}; not heard of for {count} h, but it votes: "
    "upgrade it, or drain it)",
    "level.supports-silent-days": "{name} (release {release} supports {level}; not heard of for {count} days, but it "
    "votes: upgrade it, or drain it)",
    "level.unsaid-silent-h": "{name} (has not said which release it is; not heard of for {count} h, but it votes: "
    "upgrade it, or drain it)",
    "level.unsaid-silent-days": "{name} (has not said which release it is; not heard of for {count} days, but it "
    "votes: upgrade it, or drain it)",
} | {f"event.{kind}": text for kind, text in happenings.TEXTS.items()}  # fmt: skip


class Said(msgspec.Struct, frozen=True):
    """A sentence by its code, with named values: shown as they are, a list of sentences one behind the other."""

    code: str
    values: dict[str, str | int | list[Said]] = {}

    @property
    def text(self) -> str:
        """In English."""
        return TEXTS[self.code].format(**{name: shown(value) for name, value in self.values.items()})


def shown(value: str | int | list[Said]) -> str | int:
    """A value as it stands in an English sentence."""
    return ", ".join(one.text for one in value) if isinstance(value, list) else value


def said(code: str, /, **values: str | int | list[Said]) -> Said:
    """The sentence."""
    return Said(code, values)


def read(text: str, kind: str) -> Said | None:
    """Which sentence of ``kind`` (the beginning of its code) a text is: what is kept is the English alone. None: none
    of them, as one from a node of another release may be."""
    for code, pattern in _patterns(kind):
        if found := pattern.fullmatch(text):
            return Said(code, dict(found.groupdict()))
    return None


@cache
def _patterns(kind: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Those that leave the least open come first."""
    texts = [(code, text) for code, text in TEXTS.items() if code == kind or code.startswith(f"{kind}.")]
    texts.sort(key=lambda one: len(re.sub(r"\{\w+\}", "", one[1])), reverse=True)
    return tuple(
        (code, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text)), re.DOTALL)) for code, text in texts
    )
