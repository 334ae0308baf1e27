"""Feature levels: what every node of a cluster understands, and what a newer release therefore may say.

Releases differ while a cluster is upgraded node by node. Whatever would have another outcome on an older one (a version
of a command, a field, a table) needs a feature level. A cluster has one *active* level, a row that only an entry of the
log raises; a release knows a highest one. What needs more than the active level is not said, and refused when it is
said all the same; what needs more than a release knows ends that node's applying until it is upgraded.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from functools import cache
from typing import Any, Final

import msgspec

from girginosvm.core import words
from girginosvm.core.action import Command
from girginosvm.core.codec import encode
from girginosvm.core.errors import Conflict
from girginosvm.core.fields import extra_of

# What each level brought. Append-only: a level that a release has shipped keeps its number and its meaning.
LEVELS: Final = {1: "what release 0.1.0 began with"}
SUPPORTED: Final = max(LEVELS)
# A node that is not heard of for so long, and does not vote, no longer holds the others back.
ABSENT_MS: Final = 24 * 3600 * 1000
_SHOWN: Final = 3


class Node(msgspec.Struct, frozen=True):
    """A member, as the log knows it. ``level`` is the highest that its release supports; 0: it has not said so.
    ``seen_ms``: its last word, in log time."""

    id: str
    name: str
    release: str
    level: int
    seen_ms: int


class Verdict(msgspec.Struct, frozen=True):
    """The level that a cluster may go to, which is the active one when it may not go further, and why, in a sentence
    that names who holds it back."""

    level: int
    said: words.Said

    @property
    def reason(self) -> str:
        """In English."""
        return self.said.text


class Said(msgspec.Struct, frozen=True):
    """A command in the words of one level: its version, its body, and the level that these need."""

    version: int
    needs: int
    body: bytes


def may_raise(
    current: int, nodes: Iterable[Node], voters: Set[str], now_ms: int, *, reached: Set[str] = frozenset()
) -> Verdict:
    """How far a cluster may go: as far as every voter supports it, every node that is ``reached`` now, and every one
    that was heard of in the last 24 h; but for nodes that are behind already. ``now_ms`` is log time. Never less than
    ``current``."""
    known = sorted(nodes, key=lambda node: (node.name, node.id))
    behind = [one for one in known if 0 < one.level < current]  # they apply nothing: it is all the same to them
    there = [one for one in known if one.id in voters | reached or now_ms - one.seen_ms < ABSENT_MS]
    counted = [one for one in there if one not in behind]
    strangers = sorted(voters - {one.id for one in known})
    common = 0 if strangers else min((one.level for one in counted), default=current)
    level = max(common, current)
    parts = []
    if level > current:
        parts.append(words.said("level.all", level=level))
        passed = [_silent("level.silent", one, now_ms) for one in known if one not in there]
        parts += [words.said("level.passed-over", names=_few(passed))] if passed else []
    holding = [_held(one, now_ms, reached) for one in counted if one.level <= level]
    holding += [words.said("level.stranger", name=one) for one in strangers]
    if any(one.level > level for one in counted):
        parts.append(words.said("level.waits", level=level + 1, names=_few(holding)))
    elif level == current:
        parts.append(words.said("level.newest", level=level))
    names = [words.said("level.name", name=one.name) for one in behind]
    parts += [words.said("level.behind", names=_few(names))] if behind else []
    return Verdict(level, _joined(parts))


def _held(node: Node, now_ms: int, reached: Set[str]) -> words.Said:
    what = "level.supports" if node.level else "level.unsaid"
    if now_ms - node.seen_ms < ABSENT_MS or node.id in reached:
        return words.said(what, name=node.name, **_runs(node))
    return _silent(f"{what}-silent", node, now_ms)


def _silent(what: str, node: Node, now_ms: int) -> words.Said:
    hours = (now_ms - node.seen_ms) // 3_600_000
    unit, count = ("h", hours) if hours < 72 else ("days", hours // 24)
    return words.said(f"{what}-{unit}", name=node.name, count=count, **(_runs(node) if "supports" in what else {}))


def _runs(node: Node) -> dict[str, str | int]:
    return {"release": node.release, "level": node.level} if node.level else {}


def _few(names: list[words.Said]) -> list[words.Said]:
    rest = len(names) - _SHOWN
    return [words.said("level.more", names=names[:_SHOWN], count=rest)] if rest > 0 else names


def _joined(parts: list[words.Said]) -> words.Said:
    first, *rest = parts
    return words.said("level.and", first=[first], rest=[_joined(rest)]) if rest else first


def version_at(needs: tuple[int, ...], level: int) -> int:
    """The newest version that may be said at ``level``; 0: none. ``needs``: the level of each version, from 1 on."""
    return sum(1 for one in needs if one <= level)


def said_at(command: Command, level: int) -> Said:
    """The command as every node of ``level`` understands it. A field of a later version is left out; Conflict
    ``level-low`` when a person has set it, or when there is no version for this level. What a node reports by itself
    is said as far as the cluster understands it."""
    kind = type(command)
    version = version_at(kind.action.levels, level)
    if not version:
        raise _low(f"{kind.action.summary!r}", kind.action.levels[0], level)
    leave = later(kind, version)
    body = encode(command)
    if leave:
        defaults = {one.name: one for one in msgspec.structs.fields(kind)}
        reports = kind.action.permission.endswith(".report")
        for name in leave:
            if not reports and getattr(command, name) != _default(defaults[name]):
                raise _low(name, kind.action.levels[_since(kind)[name] - 1], level)
        words = msgspec.msgpack.decode(body, type=dict[str, msgspec.Raw])
        body = encode({name: word for name, word in words.items() if name not in leave})
    return Said(version, kind.action.levels[version - 1], body)


def later(kind: type[Command], version: int) -> tuple[str, ...]:
    """The fields of a command that ``version`` does not have yet."""
    return tuple(name for name, since in _since(kind).items() if since > version)


def _low(what: str, needs: int, level: int) -> Conflict:
    return Conflict(
        "level-low", f"{what} needs feature level {needs}, and this cluster is at {level}; nothing was changed",
        hint="girginosvm membership status says which nodes have to be upgraded first",
    )  # fmt: skip


def _default(one: msgspec.structs.FieldInfo) -> Any:
    return one.default_factory() if one.default is msgspec.NODEFAULT else one.default


@cache
def _since(kind: type[Command]) -> dict[str, int]:
    """Fields that came with a later version than the first, and with which."""
    return {name: words["since"] for name, words in extra_of(kind).items() if "since" in words}


def faults(kind: type[Command], supported: int) -> list[str]:
    """What is wrong with a command's levels and later fields; a release with such a command does not start."""
    levels, name = kind.action.levels, kind.__name__
    found = [] if levels and list(levels) == sorted(levels) else [f"{name}: levels only ever grow"]
    found += [f"{name} needs level {one}, this release has {supported}" for one in levels if not 1 <= one <= supported]
    required = {one.name for one in msgspec.structs.fields(kind) if one.required}
    for one, since in _since(kind).items():
        found += [f"{name}.{one} came with version {since}: it needs a default"] if one in required else []
        found += [] if 2 <= since <= len(levels) else [f"{name}.{one}: there is no version {since} to come with"]
    return found
