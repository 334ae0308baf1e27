"""What the rooms may ask of a host. Protocols over ``core/host``; they raise ``HostFault`` and nothing else.

Every method is a kill point (``core/points``), takes effect once or not at all, and may be called again: an
``ensure`` finds out first whether it is done. A step that carries a generation is refused (``Stale``) when the
host already has a newer one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from girginosvm.core.host import (
    BridgeSpec,
    DomainEvent,
    DomainSpec,
    FoundBridge,
    FoundDomain,
    FoundVolume,
    Guard,
    HostFacts,
    ImageFacts,
    PoolFacts,
    SeedSpec,
    VolumeSpec,
)

Bring = Callable[[Path, int], Awaitable[None]]


class Domains(Protocol):
    """Machines on this host (libvirt)."""

    async def observe(self) -> tuple[FoundDomain, ...]:
        """Every domain, ours and foreign, in order of id."""
        ...

    async def define(self, spec: DomainSpec) -> None:
        """Make the persistent definition equal to ``spec``. Stale when a newer generation is defined."""
        ...

    async def start(self, machine: str, *, generation: int, reboots: int = 0) -> None:
        """Run it; nothing when it runs. Stale when another generation is defined. A boot does what ``reboots``
        requests to reboot asked for: they count as done."""
        ...

    async def shutdown(self, machine: str, *, generation: int) -> str:
        """Ask the guest to stop: agent first, then ACPI. Answers which was used: ``agent`` or ``acpi``."""
        ...

    async def power_off(self, machine: str, *, generation: int) -> None:
        """End it now; nothing when it is off."""
        ...

    async def reboot(self, machine: str, *, generation: int, count: int, force: bool = False) -> str:
        """Ask the guest to reboot (agent, then ACPI), or reset it when ``force``; empty when request number ``count``
        is done already. The number is written beside the domain first: a request is done at most once, whoever is
        killed in between."""
        ...

    async def undefine(self, machine: str, *, generation: int) -> None:
        """Forget a stopped machine (its NVRAM too); nothing when it is unknown. Refuses foreign domains."""
        ...

    async def adopt(self, machine: str, *, generation: int) -> None:
        """Write our metadata element into a foreign domain, live and persistent, without touching it otherwise."""
        ...

    def events(self) -> AsyncIterator[DomainEvent]:
        """What changes, as it changes. After a lost connection one event with an empty id: look at everything."""
        ...


class Volumes(Protocol):
    """Disks in directory pools."""

    async def ensure_pool(self, path: str) -> None:
        """The directory, with owner and mode as QEMU needs them."""
        ...

    async def facts(self, path: str) -> PoolFacts:
        """Room, as statfs(2) sees it. A missing directory is a fact with a problem, no fault."""
        ...

    async def observe(self, path: str) -> tuple[FoundVolume, ...]:
        """Every volume in the pool, in order of path; unfinished ones are not shown."""
        ...

    async def ensure(self, spec: VolumeSpec) -> None:
        """The volume, whole or not at all (built aside, flushed, renamed). Never shrinks or overwrites one."""
        ...

    async def remove(self, path: str) -> None:
        """Gone; nothing when it was."""
        ...

    async def sweep(self, path: str) -> tuple[str, ...]:
        """Delete what a crash left unfinished; answers what it deleted."""
        ...


class Images(Protocol):
    """The image store of this node."""

    async def inspect(self, path: Path) -> ImageFacts:
        """Format, sizes and SHA-256 by our own bounded parser; Invalid (``image-unsafe``) for backing files,
        external data files, encryption, unknown incompatible features, absurd sizes."""
        ...

    async def ensure(
        self, source: str, target: Path, *, sha256: str, size_bytes: int, progress: Callable[[int, int], None]
    ) -> ImageFacts:
        """Fetch ``source`` (a path or an http(s) URL) into ``target``: resumed, verified, inspected, renamed."""
        ...

    async def take(self, bring: Bring, target: Path, *, sha256: str, size_bytes: int) -> ImageFacts:
        """As ``ensure``, the bytes brought by ``bring``, which appends to a file what comes from an offset on."""
        ...

    async def remove(self, path: Path) -> None:
        """Gone; nothing when it was."""
        ...

    async def sweep(self, folder: Path, keep: frozenset[str]) -> tuple[str, ...]:
        """Delete what a crash left: files of the store, unfinished ones too, of other ids than ``keep``; answers what
        it deleted."""
        ...


class Seeds(Protocol):
    """NoCloud seed images."""

    async def ensure(self, spec: SeedSpec) -> None:
        """Write it, readable by QEMU only; nothing when the same is there."""
        ...

    async def remove(self, path: str) -> None:
        """Gone; nothing when it was."""
        ...


class Bridges(Protocol):
    """Bridges and their addresses, through netlink."""

    async def observe(self) -> tuple[FoundBridge, ...]:
        """Every bridge of the host, in order of name."""
        ...

    async def ensure(self, spec: BridgeSpec) -> None:
        """The bridge, up, with its gateway address, routing and masquerading when ``nat``. A bridge that was there
        before us and asks for no change is left alone."""
        ...

    async def remove(self, name: str) -> None:
        """Gone when it is ours and has no ports; nothing when it was."""
        ...


class PacketFilter(Protocol):
    """Anti-spoofing at the taps, in nftables, in one atomic ruleset of our own."""

    async def observe(self) -> tuple[Guard, ...]:
        """The guards that are in force, in order of tap."""
        ...

    async def apply(self, guards: tuple[Guard, ...]) -> None:
        """Exactly these guards, in one transaction (nft -f), without a moment with none. Taps named ``gvm*``
        without a guard are dropped whole; those whose guard stays lose no frame."""
        ...


class Facts(Protocol):
    """What this node is."""

    async def observe(self) -> HostFacts:
        """Looked up anew, the acceleration probe cached for the life of the process."""
        ...


class Host(Protocol):
    """All ports of one host; the entry points choose the real one or the fake."""

    domains: Domains
    volumes: Volumes
    images: Images
    seeds: Seeds
    bridges: Bridges
    filter: PacketFilter
    facts: Facts

    async def close(self) -> None:
        """Let go of connections."""
        ...
