"""Whether anything can be changed through this node, in words and numbers; and what can be done while it cannot.

What counts is whether a leader is heard, not how many lines are up: a process that stands still keeps its lines.
``says_no``, ``voices`` and ``leader_of`` are the only ones who judge that, so that `quorum`, `membership status`, the
doctor and the panel say the same at every moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import msgspec

from girginosvm.core.errors import Problem
from girginosvm.daemon.place import Place
from girginosvm.features.diagnostics.model import ByHand, Quorum, QuorumMember
from girginosvm.features.diagnostics.words import Sentence
from girginosvm.features.membership.api import Row
from girginosvm.raft.standing import Status, heard, led, looked_at

_PANEL_S: Final = 1.0


class Seen(msgspec.Struct, frozen=True):
    """What a node knows for its answer. ``away`` says why its raft process is not asked; ``panels``: whose API took a
    connection."""

    rows: tuple[Row, ...]
    place: Place
    status: Status | None
    away: str = ""
    panels: Mapping[str, bool] = {}
    libvirt_uri: str = ""
    notice: str = ""  # this node is none of the cluster's any more, as the others say


class Voices(msgspec.Struct, frozen=True):
    """Who votes, and who of them is reached from here; member ids."""

    voters: frozenset[str]
    here: frozenset[str]

    @property
    def needed(self) -> int:
        """How many are a majority."""
        return len(self.voters) // 2 + 1

    @property
    def spare(self) -> int:
        """How many of those who are reached may fail; below 0 without a majority."""
        return len(self.here) - self.needed


def voices(status: Status | None, me: str) -> Voices:
    """While a change of voters is on its way there are two rosters. Agreement decides by the newest in the log, and a
    promotion that is not committed yet makes nothing survive. So it is the one by which fewer may fail, unless the
    newest has no majority: then it is that one. Without a word of the raft process nobody is known to vote."""
    if status is None:
        return Voices(frozenset(), frozenset())
    reached = heard(status) | {me}
    settled = frozenset(status.voters or status.deciding or (me,))
    newest = frozenset(status.deciding) or settled
    before, now = Voices(settled, settled & reached), Voices(newest, newest & reached)
    return before if 0 <= before.spare <= now.spare else now


def leader_of(status: Status | None, me: str) -> str:
    """The member that leads, as far as this one knows; "" when nobody was heard to lead a moment ago."""
    if status is None or not led(status):
        return ""
    if status.role == "leader":
        return me
    return status.leader if status.leader in heard(status) else ""  # its line is down: what is sent now does not arrive


def quorum_of(seen: Seen) -> Quorum:
    """Pure."""
    status, me = seen.status, seen.place.member
    rows = seen.rows if any(row.id == me for row in seen.rows) else (*seen.rows, _own(seen.place))
    votes, names, leader = voices(status, me), {row.id: row.name for row in rows}, leader_of(status, me)
    voters, stands = votes.voters, says_no(seen)
    spare = max(0, votes.spare) if not stands else 0
    lost = [row for row in rows if row.id in voters - votes.here]
    says = stands or _goes(names.get(leader, leader), votes, spare, me in voters)
    if seen.notice and not stands:  # a majority is of no use to whoever looks at the wrong one of two clusters
        says = Sentence("quorum.notice", {"why": seen.notice})
    return Quorum(
        quorum=not stands, says=says.text, code=says.code, values=says.values, node=seen.place.name,
        leader=names.get(leader, leader),
        leader_age_ms=status.leader_age_ms if status else None, term=status.term if status else 0,
        last_index=status.last_index if status else 0, applied_index=status.applied_index if status else 0,
        voters=len(voters), voters_reached=len(votes.here), may_fail=spare,
        members=[_member(row, seen, leader, voters) for row in rows],
        by_hand=by_hand(seen, lost) if stands else [],
    )  # fmt: skip


def _own(place: Place) -> Row:
    return Row(place.member, place.name, place.raft, place.api, "member", witness=False)


def says_no(seen: Seen) -> Sentence | None:
    """Why nothing can be changed through this node; None when it can."""
    status = seen.status
    if status is None:
        return Sentence("quorum.away", {"why": seen.away.rstrip(".")})
    if status.halted:
        return Sentence("quorum.halted", {"why": status.halted})
    if status.lacking:
        return Sentence("quorum.lacking", {"why": status.lacking})
    trouble = Sentence("quorum.trouble", {"why": status.trouble}) if status.trouble else None
    if not (status.voters or status.deciding):
        return trouble
    votes = voices(status, seen.place.member)
    leader = leader_of(status, seen.place.member)
    if leader and status.role != "leader":  # it would lead no more without a majority
        return None
    if leader and votes.spare >= 0:
        return trouble
    if seen.notice:
        return Sentence("quorum.notice", {"why": seen.notice})
    total, here = len(votes.voters), len(votes.here)
    if votes.spare >= 0:
        return _unled(status, {"here": here, "voters": total})
    names = {row.id: row.name for row in seen.rows}
    missing = ", ".join(sorted(names.get(one, one) for one in votes.voters - votes.here))
    return Sentence("quorum.lost", {"need": votes.needed, "voters": total, "here": here, "names": missing})


def _unled(status: Status, values: dict[str, str | int]) -> Sentence:
    if status.leader_age_ms is None:
        return Sentence("quorum.never-led", values)
    return Sentence("quorum.unled", values | {"seconds": round(status.leader_age_ms / 1000)})


def _goes(leader: str, votes: Voices, spare: int, here: bool) -> Sentence:
    total = len(votes.voters)
    if total < 2:
        return Sentence("quorum.only-here") if here else Sentence("quorum.only", {"leader": leader})
    values: dict[str, str | int] = {"leader": leader, "here": len(votes.here), "voters": total}
    if votes.spare < 0:
        return Sentence("quorum.from-afar", values)
    if spare:
        return Sentence("quorum.leads", values | {"spare": spare})
    return Sentence("quorum.leads-two", {"leader": leader}) if total == 2 else Sentence("quorum.leads-none", values)


def _member(row: Row, seen: Seen, leader: str, voters: frozenset[str]) -> QuorumMember:
    status, here = seen.status, row.id == seen.place.member
    leads = status is not None and status.role == "leader"
    nominated = status is not None and row.id in status.nominated
    role = (
        "leader" if row.id == leader else "voter" if row.id in voters else "nominated" if nominated
        else "joining" if row.state == "joining" else "observer"
    )  # fmt: skip
    lag = None if status is None else 0 if here and leads else status.lag.get(row.id)
    silent = None if status is None else status.leader_age_ms if row.id == leader else status.silent_ms.get(row.id)
    return QuorumMember(
        name=row.name, role=role, address=row.address,
        reached=here or (status is not None and looked_at(row.id, status)),
        panel=True if here else seen.panels.get(row.id), api=row.api, lag=lag, heard_ms=0 if here else silent,
        witness=row.witness, drained=row.drained, here=here, id=row.id,
    )  # fmt: skip


def by_hand(seen: Seen, lost: list[Row]) -> list[ByHand]:
    """What a person can do while nothing can be changed, the gentlest first."""
    found = []
    if seen.status is None or seen.status.halted:
        found.append(ByHand("journalctl -u girginosvm-raft -n 50", "says why the raft process of this node is away"))
        found.append(ByHand("systemctl restart girginosvm-raft", "begins it anew; no machine is touched"))
    if seen.notice:  # that says what to do; whoever is started elsewhere, they do not take it back
        lost = []
    if lost:
        names = ", ".join(row.name for row in lost)
        found.append(
            ByHand(
                "systemctl start girginosvm-raft girginosvm",
                f"on {names}: a majority that runs and is reached on the Raft port is enough",
            )
        )
        hosts = " ".join(sorted({row.address.rpartition(":")[0].strip("[]") for row in lost if row.address}))
        found += [ByHand(f"ping -c 3 {host}", "whether the host is there at all") for host in hosts.split()]
    if seen.libvirt_uri:
        virsh = f"virsh -c {seen.libvirt_uri}"
        found += [
            ByHand(f"{virsh} list --all", "the machines of this node: they run on, and one that ends is started again"),
            ByHand(f"{virsh} reboot NAME-12345678", "restarts a guest, under the name that list shows"),
            ByHand(
                f"systemctl stop girginosvm && {virsh} shutdown NAME-12345678",
                "switches a machine off: the agent would start it again",
            ),
        ]
    if lost and len(lost) * 2 >= len(seen.status.voters if seen.status else ()):
        found.append(
            ByHand(
                "girginosvm cluster recover",
                "when they are gone for good: shows what going on with this node alone would lose, and changes nothing",
            )
        )
    return found


async def look(
    place: Place, rows: tuple[Row, ...], standing: Status | Problem, *, libvirt_uri: str, notice: str
) -> Quorum:
    """What ``Membership.seen`` has seen, and whose API takes connections: within a second, however many are away.
    ``libvirt_uri``: empty for a node without machines that virsh could show. ``notice``: ``Membership.notice``."""
    panels = await _panels({row.id: row.api for row in rows if row.id != place.member})
    status, away = (None, standing.detail) if isinstance(standing, Problem) else (standing, "")
    return quorum_of(Seen(rows, place, status, away, panels, libvirt_uri, notice))


async def _panels(places: Mapping[str, str]) -> dict[str, bool]:
    answers = await asyncio.gather(*(_connects(place) for place in places.values()))
    return dict(zip(places, answers, strict=True))


async def _connects(place: str) -> bool:
    """Somebody takes a TCP connection at IP:port within a second. That is the network and a kernel: no more."""
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(_PANEL_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):  # it was taken: how it ends says nothing more
        async with asyncio.timeout(_PANEL_S):
            await writer.wait_closed()
    return True
