"""What other rooms say to placement, and what it answers. Frozen values."""

from __future__ import annotations

import msgspec

from girginosvm.features.node.words import Said


class Pool(msgspec.Struct, frozen=True):
    """A pool on one node. ``room_bytes``: what can still be booked above ``reserve_bytes``; less than 0 is none."""

    room_bytes: int
    reserve_bytes: int
    problem: str = ""


class Beside(msgspec.Struct, frozen=True):
    """Machines of the asked group on one node: their names, and whether one of them insists on being the only one."""

    names: tuple[str, ...] = ()
    hard: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that looks for a node. ``node`` is the id of the only one it may go to, "" for any; ``hard``: it shares
    its node with no other machine of ``group``."""

    memory_bytes: int
    disk_bytes: int
    pool: str
    firmware: str
    node: str = ""
    group: str = ""
    hard: bool = True


class Verdict(msgspec.Struct, frozen=True):
    """What was found of one node; ``node`` is empty where it counts several. ``code`` is empty when it could take the
    machine. ``word`` and ``values`` are what ``text`` was made of (``words.TEXTS``)."""

    node: str
    name: str
    code: str
    text: str
    word: str = ""
    values: dict[str, str | int] = {}


def verdict(node: str, name: str, code: str, said: Said | None) -> Verdict:
    """One of these words; of a node beyond those that are kept nothing is said."""
    return Verdict(node, name, code, said.text, said.word, said.values) if said else Verdict(node, name, code, "")


class Decision(msgspec.Struct, frozen=True):
    """``node`` is empty when no node can take it. The verdicts begin with the chosen node, then come those that could
    take it, the best first, then the others by id."""

    node: str
    verdicts: tuple[Verdict, ...]
