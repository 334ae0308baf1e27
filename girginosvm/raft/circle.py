"""Who is there, for one member: whose lines are up, who has spoken over them, whom it lets in and reaches.

The lines follow the members that the log knows, and who was introduced since (``introductions``). Everybody whose line
is up is told who belongs, whenever that is news.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from girginosvm.raft.core import Core
from girginosvm.raft.introductions import Introductions, introduction
from girginosvm.raft.lines import Network
from girginosvm.raft.log import Log
from girginosvm.raft.membership import Roster
from girginosvm.raft.messages import Body, Introduce

_FAREWELL_MS: Final = 1000


class Circle:
    """One node's. ``committed``: up to which entry its core knows that nobody can take back what the log says."""

    def __init__(self, log: Log, network: Network, say: Callable[[str, Body], None]) -> None:
        self._log, self._network, self._say = log, network, say
        self.up: set[str] = set()
        self._spoke: set[str] = set()
        self._told = Roster(())  # as the lines have it
        self._introductions = Introductions()
        self._news = False  # somebody was introduced
        self._farewells: dict[str, int] = {}  # until when each that was removed may hear of it

    def came(self, peer: str, committed: int) -> None:
        """The line to a member is up."""
        self.up.add(peer)
        self._introduce(peer, committed)

    def went(self, peer: str) -> None:
        """It is gone."""
        self.up.discard(peer)
        self._spoke.discard(peer)

    def spoke(self, peer: str) -> None:
        """A frame came."""
        self._spoke.add(peer)

    def hears(self, peer: str) -> bool:
        """It surely let this member in: it has spoken over the line that is up now. A line may be up here and refused
        there (TLS 1.3): what goes over it may have been heard by nobody, and nobody would ever know."""
        return peer in self._spoke

    def introduced(self, peer: str, said: Introduce) -> None:
        """A member said who belongs."""
        heard = self._introductions.heard(peer, said, self._log.roster, self._log.changed_at)
        self._news = self._news or heard

    def turn(self, core: Core, now_ms: int, knows: Callable[[str], int]) -> None:
        """Let in who was introduced; let go of who was removed and has heard it, or had its time. ``knows``: up to
        where a member was told that the log is committed."""
        if self._news or (self._farewells and self._heard(core, now_ms, knows)):
            self.reach(core.committed)

    def _heard(self, core: Core, now_ms: int, knows: Callable[[str], int]) -> bool:
        """Each has, or had its moment."""
        has = core.matches() if core.leading else {}
        waits = {peer for peer in self._going() if now_ms < self._farewells.get(peer, 0)}
        return all(min(has.get(peer, 0), knows(peer)) >= self._log.changed_at for peer in waits)

    def leads(self, committed: int) -> None:
        """This member leads: its own log knows who belongs."""
        if self._introductions.forget():
            self.reach(committed)

    def changed(self, committed: int) -> None:
        """The log has another roster. Whoever is to go hears of it first."""
        if self._log.roster.ids >= self._told.ids:
            self.reach(committed)

    def settled(self, core: Core, now_ms: int) -> None:
        """And nobody can take it back. Its leader gives whoever was removed a moment to hear just that: it may wait for
        it, and hears nothing of this cluster any more afterwards."""
        if core.leading and (going := self._going()):
            self._farewells = {peer: self._farewells.get(peer, now_ms + _FAREWELL_MS) for peer in sorted(going)}
        else:
            self.reach(core.committed)

    def left(self, peer: str) -> bool:
        """It was removed, and is only told so now: but for what it has heard, it has nothing to say any more."""
        return bool(self._farewells) and peer not in self._log.roster.ids

    def _going(self) -> set[str]:
        return self.up - self._log.roster.ids

    def reach(self, committed: int) -> None:
        """Lines as the log has it, and everybody told."""
        self._told, self._news, self._farewells = self._log.roster, False, {}
        whom = self._introductions.whom(self._told, self._log.changed_at)
        self._network.set_members(whom, self._log.electable(committed), whom.ids - self._told.ids)
        for peer in sorted(self.up):
            self._introduce(peer, committed)

    def _introduce(self, peer: str, committed: int) -> None:
        index, roster = self._log.settled_at(committed)
        self._say(peer, introduction(index, roster))
