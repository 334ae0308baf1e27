"""What goes on after a change of members is accepted, watched until it is done, as `membership status` shows it.

Whoever drains a host wants to switch it off, and whoever joins one wants to use it: "accepted" is no answer to that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from girginosvm.cli.client import Client
from girginosvm.cli.trouble import Trouble
from girginosvm.cli.wait import Teller

_PLACE: Final = "/v1/membership"
_LIMIT_S: Final = 60.0
_PAUSE_S: Final = 0.5
# Families that an agent or a raft process which begins anew answers with.
_BEGINS: Final = frozenset({"Busy", "Unknown", "NoQuorum"})


class Step(NamedTuple):
    """How far it is: ``done``, and a sentence for whoever waits."""

    done: bool
    says: str


def step(verb: str, answer: dict[str, Any], seen: dict[str, Any]) -> Step | None:
    """Of an order's answer, and how the node that is asked sees its cluster now; None: nothing goes on. Pure."""
    match verb:
        case "membership drain":
            return _drained(answer, seen)
        case "membership join" | "witness add" if "member" in answer:
            return _joined(answer, seen)
        case "membership leave" if "cluster" in answer:
            return _left(answer, seen)
        case "cluster recover" if answer.get("done"):
            return _recovered(answer, seen)
        case _:
            return None


def _drained(answer: dict[str, Any], seen: dict[str, Any]) -> Step:
    node, machines = answer.get("node"), ", ".join(answer.get("machines") or ())
    row = next((one for one in seen.get("members", ()) if one["name"] == node), None)
    if row is None or not row["drained"] or row["role"] != "observer":
        return Step(False, f"{node} still has a vote: do not switch it off yet")
    stays = f", and these machines stay on it and stop with it: {machines}" if machines else ""
    return Step(True, f"{node} neither leads nor votes any more: its host may be switched off{stays}")


def _joined(answer: dict[str, Any], seen: dict[str, Any]) -> Step:
    # By its new id: whoever joins a cluster that was recovered without it has the same cluster before.
    here = any(one["id"] == answer["member"] and one["here"] for one in seen.get("members", ()))
    if not here or not seen.get("quorum"):
        return Step(False, "girginosvm begins anew on this node as a member; its machines run on")
    return Step(True, f"{seen['node']} is a member of the cluster; {seen['leader']} leads it")


def _left(answer: dict[str, Any], seen: dict[str, Any]) -> Step:
    if seen.get("cluster") in (None, answer["cluster"]) or not seen.get("quorum"):
        return Step(False, "girginosvm begins anew on this node as a cluster of one")
    return Step(
        True, f"{seen['node']} is a cluster of one, with people and tokens of its own; the others go on without it"
    )


def _recovered(answer: dict[str, Any], seen: dict[str, Any]) -> Step:
    if not seen.get("quorum"):
        return Step(False, "the raft process of this node begins anew; its machines run on")
    gone = ", ".join(answer.get("gone") or ())
    return Step(
        True,
        f"{seen['node']} goes on alone, and everything can be changed again. What is still described of {gone} goes "
        "with: girginosvm membership remove NODE --lost. Another host comes in with: girginosvm membership "
        "token create",
    )


def settled(
    client: Client, verb: str, answer: Any, teller: Teller, *, limit_s: float | None = None,
    now: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep,
) -> Step | None:  # fmt: skip
    """How it stands once it is done, or when nobody waits any longer (60 s, or ``limit_s``); None where nothing goes
    on, or where the caller may not look."""
    last = step(verb, answer, {}) if isinstance(answer, dict) else None
    if last is None:
        return None
    ends = now() + (_LIMIT_S if limit_s is None else limit_s)
    try:
        while True:
            try:
                last = step(verb, answer, client.get(_PLACE).value or {}) or last
            except Trouble as trouble:
                if trouble.family not in _BEGINS:
                    return None
            if last.done or now() >= ends:
                return last
            teller.tell({"step": last.says})
            pause(_PAUSE_S)
    finally:
        teller.end()
