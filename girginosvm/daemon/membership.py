"""Into a cluster and out of it: tokens, letting nodes in, joining, and what a leader owes the rows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from girginosvm import __version__
from girginosvm.core import access, levels
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Stream
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.errors import Busy, Conflict, HostFault, InUse, Invalid, Problem, Unauthenticated, Unsafe
from girginosvm.core.ids import member_uri
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import turn
from girginosvm.daemon.bring import bring_list, brought_by
from girginosvm.daemon.identity import Member
from girginosvm.features.membership import api, commands, model
from girginosvm.features.node import api as nodes
from girginosvm.features.registry import REGISTRY
from girginosvm.features.times import rfc3339
from girginosvm.http import outward, tls
from girginosvm.http.desk import Answer, Caller
from girginosvm.raft.membership import Member as Peer
from girginosvm.raft.membership import Roster
from girginosvm.raft.propose import Client
from girginosvm.raft.standing import Status, heard
from girginosvm.state.reader import Reader

Read = Callable[[Callable[[Reader], Any]], Awaitable[Any]]
Say = Callable[..., Awaitable[Any]]
STREAMS: Final = (
    commands.ShowMembership, commands.CreateJoinToken, commands.JoinCluster, commands.AskAdmission,
    commands.ShowAuthority, commands.LeaveCluster, commands.AskStanding, commands.AddWitness,
)  # fmt: skip
_SECRET_BYTES: Final = 16
_PREFIX: Final = "ops-"
_HAND_OVERS: Final = 25
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
LAST_RESORT: Final = (
    "it goes on by itself when enough of them are back; if they are gone for good, `girginosvm cluster recover` on "
    "this node shows what can be saved"
)


class Place(msgspec.Struct, frozen=True):
    """How this node is called, and where the others reach it (IP:port); empty while it has no such address."""

    member: str
    cluster: str
    name: str
    raft: str = ""
    api: str = ""


def place_of(config: Settings, me: Member, name: str, addresses: tuple[str, ...], *, port: int) -> Place:
    """Of the addresses that the host has, the one that is set, or the first that others can reach."""
    wanted = config.address or next((one for one in addresses if _reachable(one)), "")
    if not wanted:
        return Place(me.member, me.cluster, name)
    try:
        host = ipaddress.ip_address(wanted)
    except ValueError as fault:
        raise Invalid("settings-invalid", f"address: {wanted!r} is no IP address") from fault
    text = f"[{host}]" if host.version == 6 else str(host)
    return Place(me.member, me.cluster, name, f"{text}:{config.raft_port}", f"{text}:{port}")


def _reachable(text: str) -> bool:
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (one.is_loopback or one.is_link_local or one.is_unspecified or one.is_multicast)


def token_of(secret: bytes, fingerprint: str) -> str:
    """A token to join with: 16 bytes of chance, and the SHA-256 of the cluster's CA."""
    return _PREFIX + base64.urlsafe_b64encode(secret + bytes.fromhex(fingerprint)).decode()


def fingerprint_in(token: str) -> str:
    """The fingerprint that a token carries; Invalid ``join-token-unreadable``."""
    try:
        raw = base64.urlsafe_b64decode(token.removeprefix(_PREFIX))
    except ValueError:
        raw = b""
    if not token.startswith(_PREFIX) or len(raw) != _SECRET_BYTES + 32:
        raise Invalid("join-token-unreadable", "this is no token of `membership token create`: it is not whole")
    return raw[_SECRET_BYTES:].hex()


def digest(token: str) -> str:
    """What is stored of a token: it has 128 bits of chance, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


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
        self._unseal = unseal
        self._leave = leave
        self._joining = False
        self.witness = config.witness
        self.removed = False  # another member has said so
        self.given_up = False  # and that it was by a recovery
        self.parted = ""  # who says that it was recovered without this node, which has a leader all the same
        self.port = config.port  # the one that was opened, when 0 was asked for

    async def perform(self, stream: Stream, caller: Caller) -> Answer:
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
                return await self._token(caller.actor)
            case commands.JoinCluster():
                return await self._join(stream)
            case commands.AddWitness():
                if not self.witness:
                    raise Conflict(
                        "no-witness", "this node has machines of its own: a witness is a host without libvirt",
                        hint="start it with the setting witness = true, or join it as a node: membership join",
                    )  # fmt: skip
                return await self._join(commands.JoinCluster(center=stream.center, token=stream.token))
            case commands.LeaveCluster():
                return await self._leaves(stream, caller.actor)
            case _:
                return Answer(value=await self.status())

    async def status(self) -> model.Membership:
        """The rows, and how agreement stands, as this node sees both."""
        place, rows, standing = await self.seen()
        problems = [self.notice] if self.notice else []
        if isinstance(standing, Problem):
            problems.append(standing.detail)
            standing = Status(place.member, 0, 0, 0, 0, 0, "", 0, role="unknown")
        if standing.halted:
            problems.append(f"this node applies nothing any more, and shows what it knew: {standing.halted}")
        releases: Releases = await self._read(Releases.of)
        return membership_of(rows, standing, place, problems, releases)

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

    async def _token(self, actor: Actor) -> Answer:
        place = await self._placed()
        authority = self._identity.ca_file.read_bytes()
        token = token_of(self._chance.take(_SECRET_BYTES), tls.fingerprint_of(authority))
        said = await self._say(commands.RecordJoinToken(token_hash=digest(token)), _speaker(actor))
        value = model.JoinToken(
            token=token, expires_at=rfc3339(said.value["expires_at_ms"]),
            command=f"girginosvm membership join --center https://{place.api} --token {token}",
        )  # fmt: skip
        return Answer(value=value, index=said.index)

    async def _admit(self, asked: commands.AskAdmission, caller: Caller) -> Answer:
        """A rehearsal (no signing request) says what stands against it; else the node is in, and gets what it needs."""
        place, now_ms, stored = await self._placed(), self._clock.wall_ms(), digest(asked.token)

        def look(reader: Reader) -> tuple[tuple[api.Row, ...], tuple[str, ...]]:
            api.check_token(reader, stored, asked.member, now_ms)
            api.check_unspent(reader, stored, now_ms)
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
        authority, key = self._identity.authority()
        standing = await self._client.status()
        value = model.Admission(
            cluster=place.cluster, nodes=len(rows), certificate=certificate.decode(), authority=authority,
            authority_key=key, cluster_key=self._config.path("pki", "cluster.key").read_text(),
            members=tuple(model.PeerAt(row.id, row.address, _votes(row.id, standing, place)) for row in rows),
        )  # fmt: skip
        self._log.info("membership.admitted", member=asked.member, name=asked.name, address=asked.address)
        return Answer(value=value, index=said.index, status=200)

    # As a node that joins.

    async def _join(self, asked: commands.JoinCluster) -> Answer:
        place = await self._placed()
        if self._joining:
            raise Busy("joining", "this node is joining already", retry_after_s=5)
        rows: tuple[api.Row, ...] = await self._read(api.members)
        others = [row.name for row in rows if row.id != place.member]
        if others and not (self.removed or self.parted):
            raise Conflict("not-alone", f"this node is in a cluster with {', '.join(others)}: it leaves that one first")
        self._joining = True
        try:
            return await self._joined(asked, place)
        finally:
            self._joining = False

    async def _joined(self, asked: commands.JoinCluster, place: Place) -> Answer:
        wanted = fingerprint_in(asked.token)
        if not asked.center.startswith("https://"):
            raise Invalid("url-invalid", f"{asked.center!r} is no address of a node, as https://192.0.2.10:1997")
        found = await outward.ask(
            asked.center, "GET", commands.ShowAuthority.action.path, dict[str, str], context=outward.unproved()
        )
        # Only the certificate that the token names: whoever sends the cluster's own, and another behind it, would be
        # trusted by that one, and shown the token.
        authority = tls.alone(found.get("certificate", ""))
        if tls.fingerprint_of(authority.encode()) != wanted:
            raise Unauthenticated(
                "cluster-other", f"{asked.center} is not a node of the cluster that made this token: its CA is another",
                hint="check the address; if it is right, somebody answers in its place",
            )  # fmt: skip
        brought: model.Brought = await self._read(lambda reader: brought_by(reader, place.member))
        member = new_request_id(self._clock, self._chance)
        question = commands.AskAdmission(
            token=asked.token,
            member=member,
            name=place.name,
            address=place.raft,
            api=place.api,
            brought=brought,
            witness=self.witness,
            release=__version__,
            level=REGISTRY.level,
        )
        context = outward.trusting(authority)
        answer = await _asked(asked.center, question, context)
        archive = f"{place.cluster}-{self._clock.wall_ms()}"
        value = model.Joined(
            member=member, cluster=answer.cluster, nodes=answer.nodes, brings=brought.text, conflicts=answer.conflicts,
            archive=str(self._config.path("archive", archive)),
        )  # fmt: skip
        if asked.rehearse:
            return Answer(value=value, status=200)
        mine = tls.fingerprint_of(self._identity.ca_file.read_bytes())
        if answer.cluster == place.cluster and wanted == mine and not self.removed:
            raise Conflict("cluster-same", "that is this node's own cluster")
        if answer.conflicts:
            raise Conflict("join-conflicts", "; ".join(answer.conflicts), hint="end these first; nothing was changed")
        if brought.text and not asked.confirm:
            raise Conflict(
                "join-brings", f"this node brings {brought.text} into the cluster; its people, tokens and history stay "
                f"behind in {value.archive}", hint="say --confirm when that is meant",
            )  # fmt: skip
        await self._enter(asked, question, context, archive)
        return Answer(value=value, status=202)

    async def _enter(
        self, asked: commands.JoinCluster, question: commands.AskAdmission, context: Any, archive: str
    ) -> None:
        key = tls.new_key()
        question = msgspec.structs.replace(question, request=tls.signing_request(key).decode())
        admitted = await _asked(asked.center, question, context)
        if admitted.conflicts:  # it came up between the rehearsal and now
            raise Conflict("join-conflicts", "; ".join(admitted.conflicts), hint="nothing was changed")
        bringing = await self._read(lambda reader: bring_list(reader, self._me.member, self._unseal))
        files = files_of(question, admitted, key, self._clock.wall_ms()) | {"raft/bring": bringing}
        await asyncio.to_thread(turn.prepare, self._config.path(), files, archive=archive)
        self._log.info("membership.joins", cluster=admitted.cluster, member=question.member)
        # The answer leaves first; then this life of the agent ends.
        asyncio.get_running_loop().call_later(0.3, self._leave)

    # As a node that leaves.

    async def _leaves(self, asked: commands.LeaveCluster, actor: Actor) -> Answer:
        rows, standing, vms = await self._read(
            lambda reader: (
                api.members(reader), api.standing(reader, self._me.member), nodes.machines_on(reader, self._me.member),
            )
        )  # fmt: skip
        out = self.removed or standing == "gone"
        if len(rows) < 2 and not out:
            raise Conflict("alone", "this node is a cluster of one: there is nothing to leave")
        if vms and not out:
            names = ", ".join(vms[:10]) + (", ..." if len(vms) > 10 else "")
            raise InUse(
                "node-has-machines", f"{len(vms)} machines are on this node: {names}", hint="destroy them first"
            )
        if not asked.confirm:
            raise Unsafe(
                "confirm-missing", "this node begins anew as a cluster of one; the cluster goes on without it",
                hint="--confirm",
            )  # fmt: skip
        if not out:
            await self._hand_over(rows)
            await self._say(commands.RemoveMember(member=self._me.member), actor)
        if not self.removed:
            await self._until_it_votes_no_more()
        archive = f"{self._me.cluster}-{self._clock.wall_ms()}"
        await asyncio.to_thread(turn.prepare, self._config.path(), {}, archive=archive)
        self._log.info("membership.leaves", cluster=self._me.cluster)
        asyncio.get_running_loop().call_later(0.3, self._leave)
        return Answer(value=model.Left(cluster=self._me.cluster, archive=str(self._config.path("archive", archive))))

    async def _hand_over(self, rows: tuple[api.Row, ...]) -> None:
        """Whoever leads does not go before another does. Busy ``leads-still``: nobody has taken over in time."""
        for _ in range(_HAND_OVERS):
            status = await self._client.status()
            heirs = [row.id for row in rows if row.id in status.voters and row.id in status.reached and not row.drained]
            if status.role != "leader":
                return
            if heirs:
                await self._client.transfer(heirs[0])
            await asyncio.sleep(0.2)
        raise Busy("leads-still", "this node leads, and no other voter has taken over", retry_after_s=2)

    async def _until_it_votes_no_more(self) -> None:
        """The others need this node's voice for as long as it votes, also to take its vote."""
        for _ in range(_HAND_OVERS * 2):
            if self._me.member not in (await self._client.status()).voters:
                return
            await asyncio.sleep(0.2)
        raise Busy("votes-still", "it is no member any more, and the others have not taken its vote yet: ask again")

    async def look_whether_removed(self) -> None:
        """Of a node that hears no leader: another member says whether it still belongs to the cluster. After a removal
        the others show a CA that this node does not know, so what they say here is a hint for people, and no more."""
        rows: tuple[api.Row, ...] = await self._read(api.members)
        context = outward.unproved()
        for row in rows:
            if row.id == self._me.member or self.removed:
                continue
            path = f"{commands.AskStanding.action.path}?member={self._me.member}"
            with contextlib.suppress(Problem):
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
        if self.removed:
            return GIVEN_UP if self.given_up else REMOVED
        return PARTED.format(names=self.parted) if self.parted else ""

    async def place(self) -> Place:
        """This node, as the others see it."""
        addresses = await self._read(lambda reader: nodes.addresses(reader, self._me.member))
        return place_of(self._config, self._me, self._name, addresses, port=self.port)

    async def _placed(self) -> Place:
        place = await self.place()
        if not place.raft:
            raise HostFault(
                "address-missing", "this node has no address that other nodes could reach",
                hint="set address in girginosvm.toml to the IP address that the other nodes reach it by",
            )  # fmt: skip
        return place


async def _asked(center: str, question: commands.AskAdmission, context: Any) -> model.Admission:
    return await outward.ask(
        center, "POST", commands.AskAdmission.action.path, model.Admission, context=context, body=question,
        deadline_s=30.0,
    )  # fmt: skip


def files_of(question: commands.AskAdmission, admitted: model.Admission, key: Any, now_ms: int) -> dict[str, bytes]:
    """What a node that was let in begins with, by path below ``join/``."""
    me = Member(question.member, admitted.cluster, now_ms)
    peers = [Peer(one.id, one.address, one.voter) for one in admitted.members if one.id != question.member]
    peers.append(Peer(question.member, question.address, voter=False))
    roster = Roster(tuple(sorted(peers, key=lambda one: one.id)))
    return {
        "pki/ca.crt": admitted.authority.encode(),
        "pki/ca.key": admitted.authority_key.encode(),
        "pki/cluster.key": admitted.cluster_key.encode(),
        "pki/server.pem": tls.key_and_certificate(key, admitted.certificate.encode()),
        "raft/member.json": msgspec.json.encode(me),
        "raft/roster": msgspec.msgpack.encode(roster),
    }


class Releases(msgspec.Struct, frozen=True):
    """Which release each node runs, and the active feature level, as of a moment of log time."""

    level: int
    nodes: tuple[levels.Node, ...]
    at_ms: int

    @classmethod
    def of(cls, reader: Reader) -> Releases:
        """As this node's database has it."""
        return cls(reader.level, nodes.releases(reader), reader.at_ms)


def membership_of(
    rows: tuple[api.Row, ...], standing: Status, place: Place, problems: list[str], releases: Releases
) -> model.Membership:
    """Rows and agreement as one picture. Pure."""
    alone = not standing.voters
    voters = frozenset(standing.voters) or frozenset({place.member})
    reached = heard(standing) | {place.member}
    names = {row.id: row.name for row in rows}
    leader = place.member if alone and standing.role == "leader" else standing.leader
    leader = leader if leader in reached else ""  # the one that was; who leads now is not known here
    voters_reached = len(voters & reached)
    quorum = 2 * voters_reached > len(voters)
    if not quorum:
        problems.append(f"{voters_reached} of {len(voters)} voters are reached from here: nothing can be changed")
        problems.append(LAST_RESORT)
    elif not leader:
        problems.append("nobody leads at the moment: changes wait")
    runs = {one.id: one for one in releases.nodes}
    unsaid = levels.Node("", "", "", 0, 0)
    members = [
        model.Member(
            id=row.id, name=row.name, address=row.address, api=row.api, state=row.state,
            role="leader" if row.id == leader else "voter" if row.id in voters else "observer",
            reached=row.id in reached, lag=_lag(row.id, standing, leads=leader == place.member), witness=row.witness,
            drained=row.drained, here=row.id == place.member, release=runs.get(row.id, unsaid).release,
            level=runs.get(row.id, unsaid).level,
        )
        for row in rows
    ]  # fmt: skip
    return model.Membership(
        cluster=place.cluster, node=place.name, leader=names.get(leader, leader), term=standing.term,
        applied_index=standing.applied_index, last_index=standing.last_index, last_term=standing.last_term,
        voters=len(voters), voters_reached=voters_reached, quorum=quorum,
        level=releases.level,
        level_reason=levels.may_raise(
            releases.level, releases.nodes, voters, releases.at_ms, reached=frozenset(reached)
        ).reason,
        members=members, problems=problems,
    )  # fmt: skip


def _lag(member: str, standing: Status, *, leads: bool) -> int:
    return 0 if leads and member == standing.member else standing.lag.get(member, -1)


def standing_of(reader: Reader, member: str) -> dict[str, str]:
    """What a member that hears nobody is told of itself. Not the reason in words: that is the history's."""
    found = {"standing": api.standing(reader, member)}
    return found | ({"recovered": "yes"} if api.why_gone(reader, member) == api.RECOVERED else {})


def _votes(member: str, standing: Status, place: Place) -> bool:
    return member in standing.voters or (not standing.voters and member == place.member)


def _speaker(actor: Actor) -> Actor:
    """The node speaks after it has looked; the audit shows for whom."""
    return Actor("node", actor.id, actor.name, Role.ADMIN, actor.address)
