"""Sentences that more than one room says, by code: in English, with named values. The panel has each of them in its
languages under the same code, and a test holds its English to this one. Pure.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import msgspec

from girginosvm.core import happenings

# Values that are sentences themselves, and of which kind.
_NESTED: Final = {"wants": "wants", "was": "wants"}
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
    # Whether machines run with acceleration, and why not.
    "acceleration.no-qemu": "No QEMU for x86_64 is installed, so nothing could be tried.",
    "acceleration.no-device": "This host has no {device}: virtualization is off in its firmware, or not passed on.",
    "acceleration.unwritten": "A test guest could not be written to {place}: {why}.",
    "acceleration.slow": "{device} is there, but a small test guest did not end within {seconds} s: it is too "
    "slow to be used.",
    "acceleration.fails": "{device} is there, but a test guest could not run on it: {why}.",
    "acceleration.kvm": "A test guest ran under KVM in {ms} ms.",
    # What is wrong with a field of a request.
    "fault.missing": "missing",
    "fault.empty": "cannot be empty",
    "fault.short": "has to have {count} characters or more; these are {length}",
    "fault.long": "has to have {count} characters at most; these are {length}",
    "fault.few": "has to have {count} entries or more; these are {length}",
    "fault.many": "has to have {count} entries at most; these are {length}",
    "fault.low": "{bound} or more, not {value}",
    "fault.high": "{bound} at most, not {value}",
    "fault.form": "has to be {wants}; {value} is not",
    "fault.kind": "has to be {wants}, not {was}",
    "fault.wanted": "has to be {wants}",
    # What a field takes; as it stands there in ``wants``.
    "wants.int": "a whole number",
    "wants.float": "a number",
    "wants.str": "text",
    "wants.bool": "true or false",
    "wants.array": "a list",
    "wants.object": "an object",
    "wants.null": "nothing",
    "wants.name": "lower-case letters, digits and dashes, no dash first or last, 63 characters at most",
    "wants.hash": "64 hex digits",
    "wants.email": "an e-mail address, as ada@example.org",
    "wants.port-any": "an IP address and a port, as 0.0.0.0:1997",
    "wants.https": "an https address without a path, as https://center.example.net:1997",
    "wants.port": "an IP address and a port, as 192.0.2.1:1995 or [2001:db8::1]:1995",
    "wants.ipv4": "an IPv4 address, as 192.0.2.1",
    "wants.device": "a letter, then letters, digits and _ . -, 15 characters at most",
    "wants.domain": "letters, digits and _ . : / -, a letter or digit first, 63 characters at most",
    "wants.path": "an absolute path of letters, digits and . _ -, without / at its end",
    "wants.on-off": "on or off",
    "wants.tag": "letters, digits and _ . : -, a letter or digit first, 40 characters at most",
    "wants.label": "letters, digits and _ . : -, a letter or digit first, 63 characters at most",
    "wants.key": "the line of a public key, as `ssh-ed25519 AAAA... ada@desk`",
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
            return Said(code, {name: _value(name, value) for name, value in found.groupdict().items()})
    return None


def _value(name: str, text: str) -> str | list[Said]:
    return own(text, _NESTED[name]) if name in _NESTED else text


def own(text: str, kind: str) -> str | list[Said]:
    """A text as a value: as the sentence that it is, or as it is."""
    found = read(text, kind)
    return [found] if found else text


@cache
def _patterns(kind: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Those that leave the least open come first."""
    texts = [(code, text) for code, text in TEXTS.items() if code == kind or code.startswith(f"{kind}.")]
    texts.sort(key=lambda one: len(re.sub(r"\{\w+\}", "", one[1])), reverse=True)
    return tuple(
        (code, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text)), re.DOTALL)) for code, text in texts
    )
