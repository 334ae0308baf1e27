"""The agent's side of ``cluster recover``: what this survivor sees of the others, what may be lost, and whether a
person has said enough."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable
from typing import Final

import msgspec

from girginosvm.core import access
from girginosvm.core.access import Actor
from girginosvm.core.clock import Clock
from girginosvm.core.errors import Conflict, Forbidden, Missing, Problem, Unauthenticated, Unsafe
from girginosvm.core.log import Log
from girginosvm.core.peers import Call
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.recovery import sight_of
from girginosvm.features.center.api import Seat, seats
from girginosvm.features.cluster.commands import RecoverCluster
from girginosvm.features.cluster.model import Recovery
from girginosvm.features.membership import api
from girginosvm.features.membership.commands import ShowMembership
from girginosvm.features.membership.model import Membership as Seen
from girginosvm.features.node.api import machines_on
from girginosvm.features.site import Read
from girginosvm.http.desk import Answer, Caller
from girginosvm.http.peers import Members
from girginosvm.raft import recovery
from girginosvm.raft.client import Client
from girginosvm.raft.journal import Base
from girginosvm.raft.standing import Status

PROOF_LEAST: Final = 10
_GOING_MS: Final = 30_000  # in which whoever goes on alone has become the only member
_ANSWER_S: Final = 5.0


class Found(msgspec.Struct, frozen=True):
    """Everything that a decision hangs on. ``logs``: of members that are heard; ``there``: of those, who is so by the
    certificate that it shows, or takes connections and says nothing."""

    sight: recovery.Sight
    status: Status
    names: dict[str, str]
    machines: dict[str, tuple[str, ...]]
    logs: dict[str, Base | None]
    going: frozenset[str]  # of those who are heard: told to go on alone, too
    seats: tuple[Seat, ...] = ()


class _Other(msgspec.Struct, frozen=True):
    """What another member says of itself."""

    there: bool
    last: Base | None = None
    going: bool = False


class Survivor:
    """The desk's part for the last resort."""

    def __init__(
        self, *, client: Client, read: Read, membership: Membership, peers: Members, clock: Clock, log: Log
    ) -> None:
        self._client = client
        self._read = read
        self._membership = membership
        self._peers = peers
        self._clock = clock
        self._log = log

    async def perform(self, asked: RecoverCluster, caller: Caller) -> Answer:
        """See ``Desk.perform``. By root at the Unix socket only: whoever says that a host is gone has to be somebody
        who is responsible for this one."""
        if caller.actor is None:
            raise Unauthenticated("sign-in-needed", "this needs root on the node itself")
        access.check(caller.actor, asked.action.permission)
        if caller.actor.kind != "local":
            raise Forbidden(
                "local-only", "a cluster is recovered by root on the surviving node itself, over its socket",
                hint="sign in to that host and run girginosvm cluster recover there",
            )  # fmt: skip
        if asked.dry_run or not (asked.without or asked.proof or asked.i_am_sure):
            return Answer(value=await self._sheet(*await self._judged(asked, caller.actor)), status=200)
        # Before anybody is asked: of two survivors that are told at once at least one hears it of the other.
        self._membership.recovers_until_ms = self._clock.monotonic_ms() + _GOING_MS
        try:
            return await self._go_on(asked, caller.actor)
        except Problem:
            self._membership.recovers_until_ms = 0
            raise

    async def _judged(
        self, asked: RecoverCluster, actor: Actor
    ) -> tuple[Found, frozenset[str], recovery.Recovery | recovery.Refusal]:
        found = await self._look(actor)
        gone = _resolved(asked.without, found) if asked.without else _supposed(found)
        return found, gone, recovery.decide(found.sight, gone, found.logs, found.names, found.going)

    async def _go_on(self, asked: RecoverCluster, actor: Actor) -> Answer:
        found, gone, verdict = await self._judged(asked, actor)
        sheet = await self._sheet(found, gone, verdict)
        if not asked.without:
            raise Unsafe("without-missing", "say which nodes are gone for good: --without NODE", hint=sheet.command)
        if isinstance(verdict, recovery.Refusal):
            raise Unsafe(verdict.code, verdict.reason, hint=verdict.hint)
        words = _proof(asked, sheet)
        await self._client.recover(
            recovery.Wish(tuple(sorted(gone)), tuple(found.names.items()), words, msgspec.msgpack.encode(actor))
        )
        self._log.warning("cluster.recovers", without=sheet.gone, proof=words)
        return Answer(value=msgspec.structs.replace(sheet, done=True, sentence="", command=_back(sheet)), status=202)

    # What is seen.

    async def _look(self, actor: Actor) -> Found:
        if self._membership.removed:
            raise Conflict("member-gone", "the others say that this node is no member any more: it cannot lead them")
        status = await self._client.status()
        sight = sight_of(status)
        rows, machines, held = await self._read(
            lambda reader: (
                api.members(reader), {row.id: machines_on(reader, row.id) for row in api.members(reader)}, seats(reader)
            )
        )  # fmt: skip
        names = {row.id: row.name for row in rows}
        others = (sight.members | sight.voters | names.keys()) - {sight.member}
        places = {row.id: row.address for row in rows}
        async with asyncio.TaskGroup() as group:
            tasks = {
                one: group.create_task(self._heard(one, actor, sight, places.get(one, ""))) for one in sorted(others)
            }
        heard = {one: task.result() for one, task in tasks.items() if task.result().there}
        logs, going = {one: said.last for one, said in heard.items()}, {one for one in heard if heard[one].going}
        return Found(sight, status, names, machines, logs, frozenset(going), held)

    async def _heard(self, member: str, actor: Actor, sight: recovery.Sight, raft: str) -> _Other:
        """Is it there, and how far does its log reach, as it says itself? ``raft``: its Raft port, where it is asked
        who it is, since this node may have no line to it: two observers have none."""
        met = await self._peers.meet(member)
        if met != "itself":
            there = met == "silent" or member in sight.reached
            return _Other(there or (raft != "" and await self._peers.meet(member, raft) == "itself"))
        try:
            async with (
                asyncio.timeout(_ANSWER_S),
                self._peers.forward(member, Call(actor=actor, path=ShowMembership.action.path)) as pieces,
            ):
                said = msgspec.json.decode(b"".join([piece async for piece in pieces]), type=Seen)
        except (Problem, TimeoutError, msgspec.MsgspecError):
            return _Other(there=True)
        last = Base(said.last_index, said.last_term) if said.last_index else None
        return _Other(there=True, last=last, going=said.recovers)

    # What is said.

    async def _sheet(
        self, found: Found, gone: frozenset[str], verdict: recovery.Recovery | recovery.Refusal
    ) -> Recovery:
        place = await self._membership.place()
        sight, refused = found.sight, verdict if isinstance(verdict, recovery.Refusal) else None
        named = _called(gone, found.names)
        rejoin = [] if isinstance(verdict, recovery.Refusal) else _called(verdict.rejoin, found.names)
        words = [f"--without {shlex.quote(name)}" for name in named]
        return Recovery(
            node=place.name, cluster=place.cluster, done=False, possible=refused is None,
            reason=refused.reason if refused else "", hint=refused.hint if refused else "",
            voters=[_voter(one, found) for one in sorted(sight.voters, key=lambda one: found.names.get(one, one))],
            last_entry=self._last(found), gone=named, rejoin=rejoin,
            may_be_lost=may_be_lost(sight, verdict, behind=found.status.last_index - found.status.applied_index),
            machines_there=[
                f"{vm} ({found.names[one]})" for one in sorted(gone) for vm in found.machines.get(one, ())
            ],
            centers=[] if refused else reopened(found.seats, found.names, sight.member),
            sentence="" if refused else sentence(named),
            command="" if refused else f'girginosvm cluster recover {" ".join(words)} --proof "HOW YOU KNOW IT"',
        )  # fmt: skip

    def _last(self, found: Found) -> str:
        age_s = max(0, self._clock.wall_ms() - found.status.last_at_ms) // 1000
        return f"{found.sight.last.index} of term {found.sight.last.term}, {age_s} s old"


def may_be_lost(sight: recovery.Sight, verdict: recovery.Recovery | recovery.Refusal, *, behind: int) -> list[str]:
    """In sentences; none for what is not going to be. ``behind``: entries that are here and not applied. Pure."""
    if isinstance(verdict, recovery.Refusal):
        return []
    if verdict.whole:
        said = [
            f"nothing that was acknowledged, if these {len(sight.voters)} voted to the end: each write was on "
            f"{sight.majority} of them"
        ]
    else:
        said = [
            f"what was acknowledged without this node: {sight.majority} of {len(sight.voters)} voters are enough for "
            "a write, and so many are not here"
        ]
    if behind > 0:
        said.append(
            f"nothing of this node's log: its last {behind} entries, which nobody may have acknowledged, become valid"
        )
    return said


def reopened(held: tuple[Seat, ...], names: dict[str, str], here: str) -> list[str]:
    """Of each center but this node's own: how it is opened again. Pure."""
    own = any(seat.node == here for seat in held)
    said = []
    for seat in held:
        if seat.node == here:
            continue
        name = names.get(seat.node, seat.node)
        now = "" if own else (
            f"; this node can be one now: girginosvm center promote --bind {seat.bind} --public-url {seat.public_url}"
        )  # fmt: skip
        said.append(f"{name} is a center, at {seat.public_url}, once it has come back{now}")
    return said


def sentence(gone: Iterable[str]) -> str:
    """What a person types who has no proof to quote."""
    names = ", ".join(gone)
    return f"I know that {names} will never run again with this identity"


def _proof(asked: RecoverCluster, sheet: Recovery) -> str:
    """What the history keeps; Unsafe ``proof-missing``."""
    said = asked.i_am_sure.strip()
    if said and said != sheet.sentence:
        raise Unsafe("proof-missing", f"the sentence has to be exactly: {sheet.sentence}", hint=sheet.command)
    proof = asked.proof.strip()
    if not said and len(proof) < PROOF_LEAST:
        raise Unsafe(
            "proof-missing",
            f"how is it known that {', '.join(sheet.gone)} will never come back? The history keeps the answer "
            f"({PROOF_LEAST} characters or more)",
            hint=sheet.command,
        )  # fmt: skip
    return "; ".join(filter(None, (proof, said)))


def _back(sheet: Recovery) -> str:
    """The next step, once this node is alone."""
    return "girginosvm membership token create" if sheet.rejoin else "girginosvm membership status"


def _voter(member: str, found: Found) -> str:
    name, sight = found.names.get(member, member), found.sight
    if member == sight.member:
        return f"{name} (this node)"
    if member in sight.reached:
        return f"{name} (reached)"
    return f"{name} (there, and not connected)" if member in found.logs else f"{name} (not reached)"


def _supposed(found: Found) -> frozenset[str]:
    """Whom a person might have in mind: whoever is not heard in any way."""
    sight = found.sight
    return frozenset((sight.members | sight.electable) - sight.reached - found.logs.keys() - {sight.member})


def _resolved(named: tuple[str, ...], found: Found) -> frozenset[str]:
    """Ids by names or ids; Missing ``member-missing`` for whoever is neither in the rows nor in agreement."""
    known = {**{name: one for one, name in found.names.items()}, **{one: one for one in found.names}}
    known |= {one: one for one in found.sight.members | found.sight.electable}
    strange = [name for name in named if name not in known]
    if strange:
        raise Missing("member-missing", f"there is no member {', '.join(strange)}")
    return frozenset(known[name] for name in named)


def _called(members: Iterable[str], names: dict[str, str]) -> list[str]:
    return sorted(names.get(one, one) for one in members)
