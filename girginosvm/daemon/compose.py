"""What one life of an agent consists of, once its keys are there. Nothing runs yet: that is ``agent``'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command, Request
from girginosvm.core.clock import Chance, Clock
from girginosvm.core.ids import member_uri
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon.beginning import Beginning
from girginosvm.daemon.contact import Contact
from girginosvm.daemon.desk import Watch
from girginosvm.daemon.doctor import Diagnostics
from girginosvm.daemon.execute import Answer, Executor
from girginosvm.daemon.front import Desk
from girginosvm.daemon.health import HealthCheck
from girginosvm.daemon.host import create, gone_for_good, here, open_host, pull
from girginosvm.daemon.identity import Member
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.reconcile import Rounds
from girginosvm.daemon.secrets import ClusterKey, Turns, hash_password
from girginosvm.daemon.signin import SignIn
from girginosvm.daemon.survivor import Survivor
from girginosvm.daemon.voice import Say, Voice
from girginosvm.features.center.commands import DemoteCenter, PromoteCenter
from girginosvm.features.image.commands import PullImage
from girginosvm.features.membership.api import api_of
from girginosvm.features.membership.commands import DrainMember, OrderLead, RemoveMember, UndrainMember
from girginosvm.features.registry import REGISTRY
from girginosvm.features.site import Site
from girginosvm.features.vm.commands import CreateVm
from girginosvm.http.peers import Members
from girginosvm.http.tls import Identity
from girginosvm.raft.client import Client
from girginosvm.state.reader import Readers, Sight


class Base(NamedTuple):
    """What is there before the raft process has said whose life this is. ``name`` is the node's."""

    config: Settings
    name: str
    log: Log
    clock: Clock
    chance: Chance
    readers: Readers
    client: Client
    watch: Watch
    rounds: Rounds


class Parts(NamedTuple):
    """What runs is made of these. ``say`` speaks to the log at once, ``voice`` numbers what it says."""

    desk: Desk
    site: Site
    say: Say
    voice: Voice
    certificates: Identity
    beginning: Beginning


def compose(base: Base, me: Member, key: ClusterKey, *, leave: Callable[[], None]) -> Parts:
    """``leave`` ends this life, so that the next begins as what lies prepared on the disk."""
    config, log, clock, chance, read = base.config, base.log, base.clock, base.chance, base.readers.read
    turns, contact = Turns(), Contact(base.client.status, clock)
    executor = _executor(base, me.member, key, turns, contact)
    say = _saying(executor, Actor(kind="node", id=f"node:{me.member}", name=base.name, role=Role.ADMIN))
    voice = Voice(say)
    certificates = Identity(config.path("pki"), uri=member_uri(me.cluster, me.member))
    peers = Members(
        lambda node: read(lambda reader: api_of(reader, node)), certificates.client_context, cluster=me.cluster
    )
    site = Site(
        node=me.member, settings=config, host=open_host(config), read=read, say=voice.say, unseal=key.unseal,
        clock=clock, log=log, progress={}, wake=base.rounds.wake, peers=peers,
    )  # fmt: skip
    _prepare(executor, site, contact)
    signin = SignIn(read=base.readers.glance, say=say, clock=clock, chance=chance, turns=turns)
    membership = Membership(
        config=config, client=base.client, read=read, say=say, identity=certificates, clock=clock, chance=chance,
        log=log, unseal=key.unseal, leave=leave, me=me, name=base.name,
    )  # fmt: skip
    beginning = Beginning(config, signin, membership, read=read, say=say, log=log)
    health = HealthCheck(
        config, base.name, client=base.client, watch=base.watch, rounds=base.rounds, membership=membership,
        beginning=beginning,
    )  # fmt: skip
    desk = Desk(
        executor, site, base.watch, clock, chance, barrier=base.client.read_barrier, cluster=me.cluster,
        contact=contact, signin=signin, membership=membership, health=health,
        survivor=Survivor(client=base.client, read=read, membership=membership, peers=peers, clock=clock, log=log),
        diagnostics=Diagnostics(
            site, membership, context=certificates.client_context, work=base.rounds.unfinished
        ),
    )  # fmt: skip
    return Parts(desk, site, say, voice, certificates, beginning)


def _executor(base: Base, member: str, key: ClusterKey, turns: Turns, contact: Contact) -> Executor:
    async def sight() -> Sight:
        return Sight(member, await contact.cut_off())

    return Executor(
        REGISTRY, base.readers, base.client.propose, key=key, hash_password=hash_password, clock=base.clock,
        chance=base.chance, turns=turns, fresh=base.client.read_barrier, sight=sight,
    )  # fmt: skip


def _saying(executor: Executor, speaker: Actor) -> Say:
    """Commands are ``speaker``'s, where nobody else is named."""

    async def say(
        command: Command, actor: Actor = speaker, *, key: str = "", why: str = "", of: Request | None = None
    ) -> Answer:
        return await executor.command(command, actor, key=key, why=why, of=of)

    return say


def _prepare(executor: Executor, site: Site, contact: Contact) -> None:
    """What is looked up on this node before a command enters the log."""
    executor.prepares[PullImage] = lambda asked, actor: pull(asked, actor, site)
    executor.prepares[CreateVm] = create
    for about_here in (PromoteCenter, DemoteCenter, DrainMember, UndrainMember, OrderLead):
        executor.prepares[about_here] = here(site.node)
    executor.prepares[RemoveMember] = gone_for_good(site.read, contact.cut_off)
