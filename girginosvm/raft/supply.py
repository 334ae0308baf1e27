"""The state itself on its way between members: who is offered a snapshot, whose offer is taken, who is asked."""

from __future__ import annotations

from collections.abc import Callable, Set

from girginosvm.raft.applying import Applying
from girginosvm.raft.lacking import Asking, order, sentence
from girginosvm.raft.log import Log
from girginosvm.raft.messages import Body, Offer
from girginosvm.raft.transfers import Transfers


class Supply:
    """One node's. ``committed``: up to which entry its core knows what is committed."""

    def __init__(
        self, applying: Applying, transfers: Transfers, log: Log, say: Callable[[str, Body], None]
    ) -> None:  # fmt: skip
        self._applying, self._transfers, self._log = applying, transfers, log
        self._asking = Asking(say)

    def short(self, peer: str, after: int, committed: int, now_ms: int) -> None:
        """A peer lacks what is before ``after``: it is offered what is applied here, if that reaches so far."""
        applying = self._applying
        known = peer in self._log.roster.ids  # not who is let in on another's word
        if known and applying.index >= after and not (applying.halted or applying.lacking):
            self._transfers.sending.short(peer, after, self._log, committed, now_ms)

    def offered(self, peer: str, offer: Offer, committed: int, now_ms: int, *, leads: bool) -> None:
        """A peer offers a snapshot: taken if it ``leads`` or was asked, and this member can use it."""
        asked = self._applying.lacking and peer == self._asking.peer
        if (leads or asked) and not self._applying.halted and self._applying.wants(committed, offer.snapshot):
            self._transfers.receiving.offered(peer, offer, now_ms)

    def turn(self, up: Set[str], leader: str, now_ms: int) -> None:
        """Ask for one while the database lacks what the log no longer has."""
        if not self._applying.lacking or self._applying.halted:
            return
        waits = self._applying.installing is None and self._transfers.receiving.waits(now_ms)
        self._asking.turn(self._log.first_index - 1, order(self._log.roster, up, leader), now_ms, waits=waits)

    @property
    def lacking(self) -> str:
        """What the database lacks that the log no longer has, and what is done about it; empty when nothing is."""
        if not self._applying.lacking:
            return ""
        receiving, peer = self._transfers.receiving, self._asking.peer
        return sentence(self._applying.index, self._log.first_index, peer, receiving.offer, receiving.offset)
