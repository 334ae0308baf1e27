"""Who belongs, beyond what this member's own log says. Pure.

A member that was away may find the cluster led by one that joined meanwhile. It would not let that one in, so it would
never get the entries that say who it is. So whoever it does know tells it, and it lets them in and follows whoever
leads. Nothing else comes of it: who votes and who is counted says the log alone, and whoever is let in has to show a
certificate of the cluster all the same.
"""

from __future__ import annotations

import ipaddress

from girginosvm.raft.membership import Member, Roster
from girginosvm.raft.messages import Introduce, Known


def introduction(index: int, roster: Roster) -> Introduce:
    """What others are told: the newest roster that nobody can take back, of the entry ``index``."""
    return Introduce(index, tuple(Known(one.id, one.address) for one in roster.members))


class Introductions:
    """The newest one that was heard."""

    def __init__(self) -> None:
        self._heard = Introduce(0, ())

    def heard(self, peer: str, said: Introduce, roster: Roster, changed_at: int) -> bool:
        """A member said who belongs; True when that is news. Only of one that the own ``roster`` knows, and only of a
        later entry than ``changed_at``, from which that roster is."""
        if peer not in roster.ids or said.index <= max(changed_at, self._heard.index):
            return False
        self._heard = said
        return True

    def whom(self, roster: Roster, changed_at: int) -> Roster:
        """Whom to let in: the own roster's, and who was introduced since, without a vote."""
        if self._heard.index <= changed_at:
            return roster
        fresh = [one for one in self._heard.members if one.id not in roster.ids and _is_place(one.address)]
        return Roster((*roster.members, *(Member(one.id, one.address, voter=False) for one in fresh)))


def _is_place(address: str) -> bool:
    """IP and port; or nothing, where nobody listens (a simulated host)."""
    host, _, port = address.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return address == ""
    return port.isascii() and port.isdecimal() and int(port) < 1 << 16
