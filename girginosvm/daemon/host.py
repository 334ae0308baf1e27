"""Which host an agent has, and what it looks up there before a command may enter the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.errors import Conflict, Forbidden, NoQuorum, Unsafe
from girginosvm.core.settings import Settings
from girginosvm.features.image.commands import PullImage, RecordImage
from girginosvm.features.membership import api as members
from girginosvm.features.membership import parting
from girginosvm.features.node import api as nodes
from girginosvm.features.site import Read, Site
from girginosvm.features.vm.commands import CreateVm
from girginosvm.hypervisor.ports import Host
from girginosvm.hypervisor.seed import user_data_kind
from girginosvm.hypervisor.storage.catalogue import offer
from girginosvm.hypervisor.storage.mirror import checked, is_inside
from girginosvm.state.reader import Reader


class _NoHost:
    """What a witness has in a host's place. Nothing asks it for anything, unless a person does."""

    def __getattr__(self, name: str) -> Any:
        raise Conflict("witness-only", "this node is a witness: it has no machines, images or disks")

    async def close(self) -> None:
        """There is nothing to let go of."""


def open_host(config: Settings) -> Host:
    """The real one, or the fake one when it was asked for; none for a witness. libvirt is imported only when it is
    used."""
    if config.witness:
        return cast(Host, _NoHost())
    if config.fake_host:
        from girginosvm.hypervisor.fake.host import FakeHost

        return FakeHost(config.path("fake-host.json"), image_sources=config.mirrors())
    from girginosvm.hypervisor.libvirt.host import RealHost

    return RealHost(config.libvirt_uri, config.run_path(), node_name=config.node_name, image_sources=config.mirrors())


async def create(asked: CreateVm, _: Actor) -> Command:
    """User-data is looked at before it is sealed: in the log nobody can read it, and on the node it would be late."""
    if asked.user_data:
        user_data_kind(asked.user_data)
    return asked


def here(node: str) -> Callable[[Any, Actor], Awaitable[Command]]:
    """A command about a node means the one that was asked, unless it names another."""

    async def filled(asked: Any, _: Actor) -> Command:
        return asked if asked.node else msgspec.structs.replace(asked, node=node)  # type: ignore[no-any-return]

    return filled


def gone_for_good(read: Read, cut_off: Callable[[], Awaitable[bool]]) -> Callable[[Any, Actor], Awaitable[Command]]:
    """Machines are given up with their node only once the leader does not reach it: they would run on there, without
    anybody who knows of them, and their addresses and names would be given to others."""

    async def looked(asked: Any, _: Actor) -> Command:
        if asked.lost:
            alone = await cut_off()
            await read(lambda reader: check_gone_for_good(reader, asked.member, cut_off=alone))
        return asked  # type: ignore[no-any-return]

    return looked


def check_gone_for_good(reader: Reader, member: str, *, cut_off: bool) -> None:
    """Unsafe ``node-answers`` while the leader reaches a member with machines; NoQuorum ``no-leader`` while nobody
    leads who could say that: it is neither reached nor known to be away."""
    machines = nodes.machines_on(reader, member)
    if machines and members.standing(reader, member) == "member" and member not in nodes.away(reader):
        if cut_off:
            raise NoQuorum(
                "no-leader",
                "no leader says whether the node is still reached; nothing was done",
                hint="girginosvm quorum says who is reached; if most voters are gone for good: "
                "girginosvm cluster recover",
                retry_after_s=1,
            )
        raise Unsafe(
            "node-answers", f"the node is reached, and {parting.counted(machines)} on it: they would run on, "
            "and nobody would know of them",
            hint="switch the host off for good, and ask again when girginosvm node list calls it silent",
        )  # fmt: skip


async def pull(asked: PullImage, actor: Actor, site: Site) -> Command:
    """What the catalogue says of the image, as the command that the log keeps. Forbidden ``source-forbidden`` when
    somebody who is no administrator sends the node to a place that its settings do not name."""
    trusted = site.settings.mirrors()
    mirror = asked.source or site.settings.image_mirror
    if asked.source and not is_inside(checked(asked.source), trusted) and actor.role is not Role.ADMIN:
        raise Forbidden(
            "source-forbidden",
            f"{actor.name} has the role {actor.role.value}; only administrators name a mirror that the node's settings "
            f"(image_mirror, image_sources) do not: {asked.source}",
        )
    found = await offer(
        mirror, asked.name, trust_key=site.settings.image_trust_key, insecure=asked.insecure, trusted=trusted
    )
    image = found.image
    return RecordImage(
        name=image.name, node=site.node, source=found.source, sha256=image.sha256, size_bytes=image.size,
        virtual_bytes=image.virtual_size, format=image.format, version=image.version, min_disk_gb=image.min_disk_gb,
        firmware=image.firmware, signed=found.signed,
    )  # fmt: skip
