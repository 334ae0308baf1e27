"""What is gathered before anything is judged. A part that is None, or empty, was not looked at: nothing is said of it.

Times are milliseconds or days as their names say; sizes are bytes.
"""

from __future__ import annotations

import msgspec

from girginosvm.core.words import Said
from girginosvm.features.diagnostics.words import Sentence


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How this node stands among the others. ``says``: what the quorum says of it. ``behind``: by name, entries that
    each reached member lacks, as far as the leader knows."""

    quorum: bool
    says: Sentence
    leads: bool
    leader_age_ms: int | None
    halted: str
    not_applied: int  # committed, and not in the database yet
    voters: int
    may_fail: int
    leader: str = ""
    voters_reached: int = 0
    unreached: tuple[str, ...] = ()
    behind: dict[str, int] = {}
    removed: str = ""  # what another member said of it
    parted: str = ""  # the same, where it was a recovery that left this node out
    lacking: str = ""  # what its database lacks that its journal no longer has, and what is done about it
    closed: tuple[str, ...] = ()  # members whose Raft line is up and whose API takes no connection


class Journal(msgspec.Struct, frozen=True):
    """The log on disk."""

    segments: int
    used_bytes: int
    disk_bytes: int
    cut_bytes: int
    flush_ms: int
    worst_flush_ms: int
    flushing_ms: int
    trouble: str


class Database(msgspec.Struct, frozen=True):
    """``fault`` and ``history`` are empty when nothing was found; ``unfinished`` says why not all was looked at."""

    size_bytes: int
    wal_bytes: int
    fault: str
    history: str
    events: int
    unfinished: str


class Room(msgspec.Struct, frozen=True):
    """One file system, and which of our directories are on it."""

    places: tuple[str, ...]
    free_bytes: int
    capacity_bytes: int
    free_inodes: int | None  # None: it has no such limit


class Certificate(msgspec.Struct, frozen=True):
    """``kind``: ``ca`` or ``server``. ``problem``: why it cannot be read."""

    kind: str
    path: str
    age_days: int
    days_left: int
    problem: str = ""


class Offset(msgspec.Struct, frozen=True):
    """Another node's wall clock beside ours: ahead of it when positive; known to within ``within_ms``."""

    node: str
    offset_ms: int
    within_ms: int


class Hypervisor(msgspec.Struct, frozen=True):
    """libvirt and QEMU. ``problem`` says why they are not reached."""

    libvirt: str
    qemu: str
    acceleration: str
    reason: str
    problem: str = ""


class Pool(msgspec.Struct, frozen=True):
    """A pool as this node last saw it."""

    name: str
    capacity_bytes: int
    free_bytes: int
    reserve_percent: int
    problem: str


class Port(msgspec.Struct, frozen=True):
    """A port that this node should listen on, and whether it does."""

    number: int
    what: str
    listens: bool


class Releases(msgspec.Struct, frozen=True):
    """Which release each node runs, by name; the feature level, and why it is not raised further."""

    of: dict[str, str]
    level: int
    why: Said


class Pending(msgspec.Struct, frozen=True):
    """An operation that runs."""

    id: str
    kind: str
    subject: str
    step: str
    minutes: int


class Stray(msgspec.Struct, frozen=True):
    """A domain on this host that the cluster does not have here. ``elsewhere``: the node that it has it on."""

    id: str
    domain: str
    runs: bool
    elsewhere: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was gathered on one node. ``agent`` is why its agent does not answer."""

    agent: str = ""
    raft: str = ""  # what the raft process waits for, as it says itself when the agent does not answer
    agreement: Agreement | None = None
    journal: Journal | None = None
    database: Database | None = None
    rooms: tuple[Room, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    cluster_key_days: int | None = None
    offsets: tuple[Offset, ...] | None = None
    log_ahead_ms: int = 0  # the newest entry's stamp beside this node's wall clock
    hypervisor: Hypervisor | None = None
    strays: tuple[Stray, ...] | None = None  # the running ones first
    pools: tuple[Pool, ...] = ()
    images: int | None = None  # that should be here
    images_lost: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    pending: tuple[Pending, ...] | None = None
    silent_nodes: tuple[str, ...] | None = None
    releases: Releases | None = None
    tokens_endless: tuple[str, ...] | None = None
    work: tuple[str, ...] | None = None  # what reconcilers last could not do
    settings_changed: tuple[str, ...] | None = None
    settings_problem: str = ""
