"""Public forms of what the product says of its own health."""

from __future__ import annotations

from typing import Literal

import msgspec

from girginosvm.core.words import Said

State = Literal["ok", "warn", "fail"]


class ByHand(msgspec.Struct, frozen=True):
    """Something that a person can still do while nothing can be changed."""

    command: str
    what: str


class QuorumMember(msgspec.Struct, frozen=True, kw_only=True):
    """One member as the node that is asked sees it. ``reached``: its Raft line (port 1995) is up, and something came
    over it; null: it is not looked at from here, since an observer has no line to other observers. ``panel``: its API
    (port 1996) took a connection. ``lag`` (entries that it lacks) and ``heard_ms`` (since
    something came from it) are null where they are not known: they are the leader's to know."""

    name: str
    role: str  # leader, voter, nominated, observer; or joining
    reached: bool | None
    address: str
    panel: bool | None
    api: str
    lag: int | None
    heard_ms: int | None
    witness: bool
    drained: bool
    here: bool
    id: str


class Quorum(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything can be changed through this node now, who votes, and who is reached. ``may_fail``: so many
    further voters may fail at once, and changes are still possible. ``code`` and ``values`` are what ``says`` was made
    of, for whoever says it in another language."""

    quorum: bool
    says: str
    code: str
    values: dict[str, str | int]
    node: str
    leader: str
    leader_age_ms: int | None
    term: int
    last_index: int
    applied_index: int
    voters: int
    voters_reached: int
    may_fail: int
    members: list[QuorumMember]
    by_hand: list[ByHand]


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``next`` is what to do when it is not as it should be. ``code``, ``advice`` and
    ``values`` are what ``says`` and ``next`` were made of, for whoever says it in another language."""

    name: str
    state: State
    says: str
    next: str = ""
    code: str = ""
    advice: str = ""
    values: dict[str, str | int | list[Said]] = {}


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of the node that was asked, the worst first; ``verdict`` is the worst of them."""

    verdict: State
    node: str
    version: str
    at: str
    checks: list[Check]
