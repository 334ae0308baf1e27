"""The desk's part for membership: who is in, tokens, letting nodes in; going in and out is ``joining``, ``leaving``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from girginosvm.core import access
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Stream
from girginosvm.core.clock import Chance, Clock
from girginosvm.core.errors import Busy, Conflict, Problem, Unauthenticated
from girginosvm.core.ids import member_uri
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon.identity import Member
from girginosvm.daemon.join_token import SECRET_BYTES, digest, token_of
from girginosvm.daemon.joining import Joining
from girginosvm.daemon.leaving import Leaving
from girginosvm.daemon.partings import Partings
from girginosvm.daemon.picture import Releases, membership_of, votes
from girginosvm.daemon.place import Place, place_of, reachable_at
from girginosvm.daemon.quorum import Seen
from girginosvm.daemon.secrets import shown_once
from girginosvm.daemon.voice import Say
from girginosvm.features.membership import api, commands, model, parting
from girginosvm.features.membership.queries import resolve
from girginosvm.features.membership.tokens import id_of
from girginosvm.features.node import api as nodes
from girginosvm.features.site import Read
from girginosvm.features.times import rfc3339
from girginosvm.http import outward, tls
from girginosvm.http.desk import Answer, Caller
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status
from girginosvm.state.reader import Reader

STREAMS: Final = (
    commands.ShowMembership, commands.CreateJoinToken, commands.JoinCluster, commands.AskAdmission,
    commands.ShowAuthority, commands.LeaveCluster, commands.AskStanding, commands.AddWitness,
    parting.ForeseeRemoval, parting.ForeseeLeaving,
)  # fmt: skip
REMOVED: Final = (
    "the other members say that this node was removed from its cluster: what it shows is from before. "
    "`girginosvm membership leave --confirm` makes it a cluster of one again"
)
GIVEN_UP: Final = (
    "the other members say that the cluster was recovered without this node: what it shows is from before. "
    "`girginosvm membership join` with a token of theirs brings it and its machines back in, "
    "`girginosvm membership leave --confirm` makes it a cluster of one again"
)
PARTED: Final = (
    "{names} was recovered without this node and goes on by itself: there are two clusters with one id, and neither "
    "sees what the other writes. Decide which one stays; each node of the other joins it with a token of it: "
    "`girginosvm membership join`"
)


class Membership:
    """The desk's part for membership. ``leave`` ends this life of the agent, so that the next begins as what lies
    prepared on the disk."""

    def __init__(
        self, *, config: Settings, client: Client, read: Read, say: Say, identity: tls.Identity, clock: Clock,
        chance: Chance, log: Log, unseal: Callable[[str], str], leave: Callable[[], None], me: Member, name: str,
    ) -> None:  # fmt: skip
        self._me = me
        self._name = name
        self._config = config
        self._client = client
        self._read = read
        self._say = say
        self._identity = identity
        self._clock = clock
        self._chance = chance
        self._log = log
        self._joining = Joining(
            config=config, me=me, read=read, identity=identity, clock=clock, chance=chance, log=log, unseal=unseal,
            leave=leave,
        )  # fmt: skip
        self._leaving = Leaving(
            config=config,
            me=me,
            client=client,
            read=read,
            say=say,
            clock=clock,
            log=log,
            removed=lambda: self.removed,
            leave=leave,
        )
        self._partings = Partings(read=read, seen=self.seen)
        self.witness = config.witness
        self.removed = False  # another member has said so
        self.given_up = False  # and that it was by a recovery
        self.recovers_until_ms = 0  # it was told to go on alone (monotonic)
        self.parted = ""  # who says that it was recovered without this node, which has a leader all the same
        self.port = config.port  # the one that was opened, when 0 was asked for

    async def perform(self, stream: Stream, caller: Caller, *, key: str = "", why: str = "") -> Answer:
        """See ``Desk.perform``; for the requests in ``STREAMS``."""
        if isinstance(stream, commands.AskAdmission):
            return await self._admit(stream, caller)
        if isinstance(stream, commands.ShowAuthority):
            return Answer(value={"certificate": self._identity.ca_file.read_text()})
        if isinstance(stream, commands.AskStanding):
            return Answer(value=await self._read(lambda reader: standing_of(reader, stream.member)))
        if caller.actor is None:
            raise Unauthenticated("sign-in-needed", "this needs a bearer token")
        access.check(caller.actor, stream.action.permission)
        match stream:
            case commands.CreateJoinToken():
                return await self._token(stream, caller.actor, key, why)
            case commands.JoinCluster():
                return await self._joins(stream)
            case commands.AddWitness():
                if not self.witness:
                    raise Conflict(
                        "no-witness", "this node has machines of its own: a witness is a host without libvirt",
                        hint="start it with the setting witness = true, or join it as a node: membership join",
                    )  # fmt: skip
                return await self._joins(commands.JoinCluster(center=stream.center, token=stream.token))
            case parting.ForeseeRemoval():
                member = await self._read(lambda reader: resolve(reader, stream.member))
                asked = parting.ForeseeRemoval(member=member or stream.member, lost=stream.lost)
                return Answer(value=await self._partings.of_removal(asked))
            case parting.ForeseeLeaving():
                return Answer(value=await self._partings.of_leaving(self._me.member, removed=self.removed))
            case commands.LeaveCluster():
                if self._joining.under_way:
                    raise Busy("joining", "this node is joining another cluster now", retry_after_s=5)
                return await self._leaving.leave(stream, caller.actor)
            case _:
                return Answer(value=await self.status())

    async def status(self) -> model.Membership:
        """The rows, and how agreement stands, as this node sees both."""
        place, rows, standing = await self.seen()
        status, away = (None, standing.detail) if isinstance(standing, Problem) else (standing, "")
        releases: Releases = await self._read(Releases.of)
        said = membership_of(Seen(rows, place, status, away, notice=self.notice), releases, out=self.removed)
        recovers = self._clock.monotonic_ms() < self.recovers_until_ms
        return msgspec.structs.replace(said, recovers=recovers, parted=self.parted)

    async def seen(self) -> tuple[Place, tuple[api.Row, ...], Status | Problem]:
        """This node, the members' rows (its own, too, before it has one), and how agreement stands; or why the raft
        process does not say it."""
        place = await self.place()
        rows: tuple[api.Row, ...] = await self._read(api.members)
        if not any(row.id == place.member for row in rows):
            rows = (*rows, api.Row(place.member, place.name, place.raft, place.api, "member", witness=False))
        try:
            return place, rows, await self._client.status()
        except Problem as away:
            return place, rows, away

    # As a node of the cluster: tokens, and whoever shows one.

    async def _token(self, asked: commands.CreateJoinToken, actor: Actor, key: str, why: str) -> Answer:
        place = await self._placed()
        authority = self._identity.ca_file.read_bytes()
        token = token_of(self._chance.take(SECRET_BYTES), tls.fingerprint_of(authority))
        record, stored = commands.RecordJoinToken(token_hash=digest(token)), digest(token)
        said = await self._say(record, _speaker(actor), key=key, why=why, of=asked)
        until = rfc3339(said.value["expires_at_ms"])
        # A try of our own that was cut off is answered as a repetition, too: then it is this token that was recorded.
        if said.repeated and not await self._read(lambda reader: api.recorded(reader, stored)):
            raise shown_once(
                f"a token to join with until {until}",
                "girginosvm membership token list shows its id, membership token revoke takes it back; "
                "membership token create makes another under a new key",
            )
        value = model.JoinToken(
            id=id_of(stored), token=token, expires_at=until,
            command=f"girginosvm membership join --center https://{place.api} --token {token}",
        )  # fmt: skip
        return Answer(value=value, index=said.index)

    async def _admit(self, asked: commands.AskAdmission, caller: Caller) -> Answer:
        """A rehearsal (no signing request) says what stands against it; else the node is in, and gets what it needs."""
        place, stored = await self._placed(), digest(asked.token)

        def look(reader: Reader) -> tuple[tuple[api.Row, ...], tuple[str, ...]]:
            api.check_token(reader, stored, asked.member, reader.at_ms)
            api.check_unspent(reader, stored)
            rows = api.members(reader)
            again = any(row.id == asked.member for row in rows)
            against = () if again else api.conflicts(
                reader, asked.name, asked.address, asked.brought, release=asked.release, level=asked.level
            )  # fmt: skip
            return rows, against

        rows, against = await self._read(look)
        if not asked.request or against:
            return Answer(value=model.Admission(cluster=place.cluster, nodes=len(rows), conflicts=against))
        names = [asked.name, *(one.rpartition(":")[0].strip("[]") for one in (asked.address, asked.api))]
        certificate = self._identity.admit(asked.request.encode(), names, member_uri(place.cluster, asked.member))
        said = await self._say(
            commands.AdmitMember(
                token_hash=stored, member=asked.member, name=asked.name, address=asked.address, api=asked.api,
                witness=asked.witness, brought=asked.brought, release=asked.release, level=asked.level,
            ),
            Actor("node", "membership", asked.name, Role.ADMIN, caller.address),
        )  # fmt: skip
        # The entry says what time it is; this node's own clock may be hours off.
        await self._read(lambda reader: api.check_unspent(reader, stored))
        authority, key = self._identity.authority()
        standing = await self._client.status()
        value = model.Admission(
            cluster=place.cluster, nodes=len(rows), certificate=certificate.decode(), authority=authority,
            authority_key=key, cluster_key=self._config.path("pki", "cluster.key").read_text(),
            members=tuple(model.PeerAt(row.id, row.address, votes(row.id, standing, place)) for row in rows),
        )  # fmt: skip
        self._log.info("membership.admitted", member=asked.member, name=asked.name, address=asked.address)
        return Answer(value=value, index=said.index, status=200)

    async def look_whether_removed(self) -> None:
        """Of a node that hears no leader: another member says whether it still belongs to the cluster. After a removal
        the others show a CA that this node does not know, so what they say here is a hint for people, and no more."""
        rows: tuple[api.Row, ...] = await self._read(api.members)
        context = outward.unproved()
        for row in rows:
            if row.id == self._me.member or self.removed:
                continue
            path = f"{commands.AskStanding.action.path}?member={self._me.member}"
            with contextlib.suppress(Problem):  # who does not answer knows nothing: the next one is asked
                said = await outward.ask(
                    f"https://{row.api}", "GET", path, dict[str, str], context=context, deadline_s=5
                )
                self.removed = said.get("standing") == "gone"
                self.given_up = said.get("recovered") == "yes"
                if self.removed:
                    self._log.error("membership.removed", told_by=row.name)

    @property
    def notice(self) -> str:
        """As others say: this node is no member any more, or there are two clusters; empty while nobody does."""
        return "".join(self.told)

    @property
    def told(self) -> tuple[str, str]:
        """The same, by what is to be done: the first when it was removed, the second when it was a recovery."""
        if self.removed:
            return ("", GIVEN_UP) if self.given_up else (REMOVED, "")
        return "", PARTED.format(names=self.parted) if self.parted else ""

    async def place(self) -> Place:
        """This node, as the others see it."""
        addresses = await self._read(lambda reader: nodes.addresses(reader, self._me.member))
        return place_of(self._config, self._me, self._name, addresses, port=self.port)

    async def _placed(self) -> Place:
        return reachable_at(await self.place())

    async def _joins(self, asked: commands.JoinCluster) -> Answer:
        loose = self.removed or bool(self.parted)
        return await self._joining.join(asked, await self._placed(), removed=self.removed, loose=loose)


def standing_of(reader: Reader, member: str) -> dict[str, str]:
    """What a member that hears nobody is told of itself. Not the reason in words: that is the history's."""
    found = {"standing": api.standing(reader, member)}
    return found | ({"recovered": "yes"} if api.why_gone(reader, member) == api.RECOVERED else {})


def _speaker(actor: Actor) -> Actor:
    """The node speaks after it has looked; the audit shows for whom."""
    return Actor("node", actor.id, actor.name, Role.ADMIN, actor.address)
