"""Who belongs, beyond what this member's own log says. Pure.

A member that was away may find the cluster led by one that joined meanwhile. It would not let that one in, so it would
never get the entries that say who it is. So whoever it does know tells it, and it lets them in and follows whoever
leads. Nothing else comes of it: who votes and who is counted says the log alone, nobody is dialled or sent the state on
another's word, and whoever is let in has to show a certificate of the cluster all the same.

A word counts as long as who gave it belongs, and is each one's own: a member that lies can neither outlive its removal
by introducing itself, nor keep the others from being heard.
"""

from __future__ import annotations

from typing import Final

from girginosvm.core.places import is_place
from girginosvm.raft.membership import Member, Roster
from girginosvm.raft.messages import Introduce, Known

_NOBODY: Final = Introduce(0, ())


def introduction(index: int, roster: Roster) -> Introduce:
    """What others are told: the newest roster that nobody can take back, of the entry ``index``."""
    return Introduce(index, tuple(Known(one.id, one.address) for one in roster.members))


class Introductions:
    """The newest one of each member."""

    def __init__(self) -> None:
        self._heard: dict[str, Introduce] = {}

    def heard(self, peer: str, said: Introduce, roster: Roster, changed_at: int) -> bool:
        """A member said who belongs; True when that is news. Only of one that the own ``roster`` knows, and only of a
        later entry than ``changed_at``, from which that roster is."""
        before = self._heard.get(peer, _NOBODY)
        if peer not in roster.ids or said.index <= max(changed_at, before.index):
            return False
        self._heard[peer] = said
        return said.members != before.members

    def forget(self) -> bool:
        """Whoever leads knows better than all the others; True when there was something to forget."""
        heard, self._heard = self._heard, {}
        return bool(heard)

    def whom(self, roster: Roster, changed_at: int) -> Roster:
        """Whom to let in: the own roster's, and who was introduced since, without a vote."""
        ids = roster.ids
        self._heard = {
            peer: said for peer, said in self._heard.items() if peer in ids and said.index > changed_at
        }  # fmt: skip
        fresh = {
            one.id: Member(one.id, one.address, voter=False)
            for said in self._heard.values()
            for one in said.members
            if one.id not in ids and (not one.address or is_place(one.address))  # a simulated host listens nowhere
        }
        return Roster((*roster.members, *fresh.values()))
