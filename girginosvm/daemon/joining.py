"""This node goes into another cluster: it asks what stands against it, is let in, and prepares its next life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from girginosvm import __version__
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.errors import Busy, Conflict, Invalid, Unauthenticated
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import turn
from girginosvm.daemon.bring import bring_list, brought_by
from girginosvm.daemon.identity import Member
from girginosvm.daemon.join_token import fingerprint_in
from girginosvm.daemon.place import Place
from girginosvm.features.membership import api, commands, model
from girginosvm.features.registry import REGISTRY
from girginosvm.features.site import Read
from girginosvm.http import outward, tls
from girginosvm.http.desk import Answer
from girginosvm.raft.membership import Member as Peer
from girginosvm.raft.membership import Roster


class Joining:
    """``leave`` ends this life of the agent, so that the next begins as what lies prepared on the disk."""

    def __init__(
        self, *, config: Settings, me: Member, read: Read, identity: tls.Identity, clock: Clock, chance: Chance,
        log: Log, unseal: Callable[[str], str], leave: Callable[[], None],
    ) -> None:  # fmt: skip
        self._config = config
        self._me = me
        self._read = read
        self._identity = identity
        self._clock = clock
        self._chance = chance
        self._log = log
        self._unseal = unseal
        self._leave = leave
        self._joining = False

    @property
    def under_way(self) -> bool:
        """It is being let in, or was, and this life is about to end."""
        return self._joining

    async def join(self, asked: commands.JoinCluster, place: Place, *, removed: bool, loose: bool) -> Answer:
        """A rehearsal says what this node would bring and what stands against it. ``removed``: its own cluster has let
        it go; ``loose``: that, or it goes on beside one that was recovered."""
        rows: tuple[api.Row, ...] = await self._read(api.members)
        others = [row.name for row in rows if row.id != place.member]
        if others and not loose:
            raise Conflict("not-alone", f"this node is in a cluster with {', '.join(others)}: it leaves that one first")
        if self._joining:
            raise Busy("joining", "this node is joining already", retry_after_s=5)
        self._joining = True
        try:
            answer = await self._joined(asked, place, removed=removed)
        except BaseException:
            self._joining = False
            raise
        # Once it is in, it does not ask to be let in again in the moment before this life ends: as another member, it
        # would take the place of the one that it is about to become.
        self._joining = not asked.rehearse
        return answer

    async def _joined(self, asked: commands.JoinCluster, place: Place, *, removed: bool) -> Answer:
        wanted = fingerprint_in(asked.token)
        if not asked.center.startswith("https://"):
            raise Invalid("url-invalid", f"{asked.center!r} is no address of a node, as https://192.0.2.10:1997")
        turn.check(self._config.path())
        context = outward.trusting(await _authority(asked.center, wanted))
        question = await self._question(asked.token, place)
        answer = await _asked(asked.center, question, context)
        archive = f"{place.cluster}-{self._clock.wall_ms()}"
        value = model.Joined(
            member=question.member, cluster=answer.cluster, nodes=answer.nodes, brings=question.brought.text,
            conflicts=answer.conflicts, archive=str(self._config.path("archive", archive)),
        )  # fmt: skip
        if asked.rehearse:
            return Answer(value=value, status=200)
        mine = tls.fingerprint_of(self._identity.ca_file.read_bytes())
        if answer.cluster == place.cluster and wanted == mine and not removed:
            raise Conflict("cluster-same", "that is this node's own cluster")
        if answer.conflicts:
            raise Conflict("join-conflicts", "; ".join(answer.conflicts), hint="end these first; nothing was changed")
        if value.brings and not asked.confirm:
            raise Conflict(
                "join-brings", f"this node brings {value.brings} into the cluster; its people, tokens and history stay "
                f"behind in {value.archive}", hint="say --confirm when that is meant",
            )  # fmt: skip
        await self._enter(asked, question, context, archive)
        return Answer(value=value, status=202)

    async def _question(self, token: str, place: Place) -> commands.AskAdmission:
        """As the member that this node would be."""
        brought: model.Brought = await self._read(lambda reader: brought_by(reader, place.member))
        return commands.AskAdmission(
            token=token, member=new_request_id(self._clock, self._chance), name=place.name, address=place.raft,
            api=place.api, brought=brought, witness=self._config.witness, release=__version__, level=REGISTRY.level,
        )  # fmt: skip

    async def _enter(
        self, asked: commands.JoinCluster, question: commands.AskAdmission, context: Any, archive: str
    ) -> None:
        key = tls.new_key()
        question = msgspec.structs.replace(question, request=tls.signing_request(key).decode())
        admitted = await _asked(asked.center, question, context)
        if admitted.conflicts:  # it came up between the rehearsal and now
            raise Conflict("join-conflicts", "; ".join(admitted.conflicts), hint="nothing was changed")
        bringing = await self._read(lambda reader: bring_list(reader, self._me.member, self._unseal, before=archive))
        files = files_of(question, admitted, key, self._clock.wall_ms()) | {"raft/bring": bringing}
        await asyncio.to_thread(turn.prepare, self._config.path(), files, archive=archive)
        self._log.info("membership.joins", cluster=admitted.cluster, member=question.member)
        # The answer leaves first; then this life of the agent ends.
        asyncio.get_running_loop().call_later(0.3, self._leave)


async def _authority(center: str, wanted: str) -> str:
    """The cluster's certificate, as its node shows it. Unauthenticated ``cluster-other`` unless its fingerprint is the
    one in the token."""
    found = await outward.ask(
        center, "GET", commands.ShowAuthority.action.path, dict[str, str], context=outward.unproved()
    )
    # Only the certificate that the token names: whoever sends the cluster's own, and another behind it, would be
    # trusted by that one, and shown the token.
    authority = tls.alone(found.get("certificate", ""))
    if tls.fingerprint_of(authority.encode()) != wanted:
        raise Unauthenticated(
            "cluster-other", f"{center} is not a node of the cluster that made this token: its CA is another",
            hint="check the address, and make another token: after a member has left, a cluster changes its CA. If "
            "both are right, somebody answers in its place",
        )  # fmt: skip
    return authority


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
