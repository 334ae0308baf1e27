"""How agreement stands on one member: what it can say of itself and, as leader, of the others.

``Contacts`` and ``Flushes`` are written by the thread that takes part and read from aside: each value is replaced as a
whole, so whoever reads gets one that was true a moment ago. Ages are counted when somebody asks, so that they go on
growing while nothing happens any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

LOOK_MS: Final = 50  # between two looks at how far the others are
HEARD_MS: Final = 2_000  # whoever was heard within this time is there; elections take less
FORSAKEN_MS: Final = 1_000  # without a leader for so long: voters ask each other meanwhile
FLUSH: Final = "the journal's flush"
_FLUSHES: Final = 64  # of which the slowest is told


class JournalHealth(msgspec.Struct, frozen=True):
    """The journal, and its disk as this process meets it."""

    segments: int = 0
    used_bytes: int = 0  # of what the segments have room for
    cut_bytes: int = 0  # a torn end that the last start cut off: it was never acknowledged
    flush_ms: int = 0  # the last one
    worst_flush_ms: int = 0  # the slowest of the last 64
    flushing_ms: int = 0  # how long the one under way has been running; 0 when there is none


class Status(msgspec.Struct, frozen=True):
    """How agreement stands on this node."""

    member: str
    term: int
    applied_index: int
    last_index: int
    first_index: int  # the oldest entry that is still here; what is before it is in the database
    waiting: int
    halted: str
    last_stamp_ms: int
    trouble: str = ""  # why the last proposal was refused by the disk; empty again after one that was not
    role: str = "leader"  # or follower, observer, stopped
    leader: str = ""
    voters: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()  # members whose line is up
    unwatched: tuple[str, ...] = ()  # members without a line from here that need none (``mesh``): nothing is known
    members: tuple[str, ...] = ()  # everybody's id, this one's too; of a cluster of one: nobody's
    nominated: tuple[str, ...] = ()  # observers that may be promoted at any moment
    commit_index: int = 0
    # As leader, of each reached member: entries that it is known to lack. Who is missing here has not said yet.
    lag: dict[str, int] = {}
    # As leader, of each other member: since when (ms) nothing has come from it; never longer than this one has led.
    # So also while no leader is heard: the voters then ask each other all the time. To others nobody speaks.
    silent_ms: dict[str, int] = {}
    leader_age_ms: int | None = 0  # since a leader was last heard; 0 as leader, None when this process has heard none
    lead_from: str = ""  # as leader, who has given it the lead; "" when nobody has
    rank: int = 0  # how good this member is to lead, as far as it was told: 2 for the last
    journal: JournalHealth = JournalHealth()
    # By every roster in the log, committed or not: who votes by the newest, who may lead, who belongs.
    deciding: tuple[str, ...] = ()
    electable: tuple[str, ...] = ()
    everybody: tuple[str, ...] = ()
    last_term: int = 0  # of the last entry
    last_at_ms: int = 0  # the last entry's stamp
    lacking: str = ""  # what the database lacks that the journal no longer has, and what is done about it


def heard(status: Status) -> frozenset[str]:
    """Members whose line is up and not silent, where it is known who is silent: to a follower only its leader speaks.
    A process that stands still keeps its lines."""
    return frozenset(one for one in status.reached if status.silent_ms.get(one, 0) < HEARD_MS)


def looked_at(member: str, status: Status) -> bool | None:
    """Whether a member is there, as far as it is looked at from here; None where it is not: of an observer, other
    observers."""
    return True if member in heard(status) else None if member in status.unwatched else False


def led(status: Status) -> bool:
    """A leader was heard a moment ago; with a majority of the voters, since it would have stepped down otherwise."""
    if status.role == "leader":
        return True
    return bool(status.leader) and status.leader_age_ms is not None and status.leader_age_ms < HEARD_MS


class Contacts:
    """When this member heard of whom (monotonic ms), and as leader, how far each is."""

    def __init__(self, now_ms: int) -> None:
        self._began_ms = now_ms
        self._looked_ms = now_ms - LOOK_MS
        self._heard_ms: dict[str, int] = {}
        self._leader_ms: int | None = None
        self.lag: Mapping[str, int] = {}

    def heard(self, peer: str, now_ms: int) -> None:
        """Something came from a member."""
        self._heard_ms[peer] = now_ms

    def leads(self, now_ms: int) -> None:
        """This member begins to lead: followers speak to their leader only, so nobody's silence is older than this."""
        self._began_ms = now_ms
        self._heard_ms.clear()

    def led(self, now_ms: int) -> None:
        """The leader of the present term spoke, or this member leads."""
        self._leader_ms = now_ms

    def due(self, now_ms: int) -> bool:
        """It is time to look how far the others are."""
        return now_ms - self._looked_ms >= LOOK_MS

    def looked(self, now_ms: int, matches: Mapping[str, int], reached: Iterable[str], last_index: int) -> None:
        """As leader: up to where the others' logs are known to be equal. Not as leader: nothing is."""
        self._looked_ms = now_ms
        self.lag = lags(matches, reached, last_index)

    def leader_age_ms(self, now_ms: int) -> int | None:
        """Since the last contact with a leader; None without any."""
        at_ms = self._leader_ms
        return None if at_ms is None else max(0, now_ms - at_ms)

    def silent_ms(self, members: Iterable[str], now_ms: int) -> dict[str, int]:
        """Since each of these was last heard."""
        return {one: max(0, now_ms - self._heard_ms.get(one, self._began_ms)) for one in sorted(members)}


def lags(matches: Mapping[str, int], reached: Iterable[str], last_index: int) -> dict[str, int]:
    """Entries that each reached member is known to lack of a log that ends with ``last_index``."""
    return {one: max(0, last_index - matches[one]) for one in sorted(reached) if one in matches}


def stalled(doing: str, passed_s: float) -> str:
    """What is said of work that waits for a disk for too long."""
    return f"{doing} has been running for {passed_s:.0f} s: the disk does not answer"


class Flushes:
    """How long the journal's flushes take."""

    def __init__(self) -> None:
        self._ms: deque[int] = deque(maxlen=_FLUSHES)
        self.last_ms = 0

    def took(self, duration_ms: int) -> None:
        """One has ended."""
        self._ms.append(duration_ms)
        self.last_ms = duration_ms

    @property
    def worst_ms(self) -> int:
        """The slowest of the last ones."""
        return max(tuple(self._ms), default=0)
