"""The send boundary: what is said leaves when the disk holds what it promises.

* Entries and heartbeats leave if the term they are said in is durable: a lost vote could make a second leader of that
  term out of this node. Entries leave at once; a heartbeat at the end of the turn, after the flush and the apply that
  the turn begins: a caller waits for those, and for nothing that it says.
* That more is committed is said with the entries that come next. It waits for them no longer than 2 ms, and not at all
  when somebody on that member waits for it: each message costs both ends a turn.
* Votes, requests for votes and acknowledgements wait for the generation that they depend on.
* A commit index never passes what this node's own disk holds.

An acknowledgement that says nothing new is said again only when the last one is 50 ms old: each costs the leader a
turn, and it counts on one within 250 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from typing import Final

import msgspec

from girginosvm.core.clock import Clock
from girginosvm.raft import messages
from girginosvm.raft.lines import Network
from girginosvm.raft.log import Log
from girginosvm.raft.messages import Ack, Append, AskVote, Body, Vote

_PROMISES: Final = (Ack, AskVote, Vote)
_QUIET_MS: Final = 50
_SLOW_MS: Final = 20  # a flush that takes longer is waited for no more in silence
_NOTICE_MS: Final = 2


class _Notice(msgspec.Struct, frozen=True):
    """Without entries: a heartbeat, or that more is committed. Leaves at ``due_ms``."""

    term: int
    data: bytes
    due_ms: int


class Outbox:
    """One node's. ``up`` is the node's set of members whose line is up."""

    def __init__(self, log: Log, network: Network, clock: Clock, up: Set[str]) -> None:
        self._log = log
        self._network = network
        self._clock = clock
        self._up = up
        self._held: deque[tuple[int, str, bytes]] = deque()
        self._notices: dict[str, _Notice] = {}
        self._told: dict[str, tuple[int, int]] = {}  # peer -> term and commit index, as it was told last
        self._acked: dict[str, tuple[int, int, int]] = {}  # peer -> term and index of the last acknowledgement, when
        self._slow: dict[str, tuple[int, int, int]] = {}  # the same of one that waits for the disk
        self.transfer_until_ms = -1  # until then the leader itself wants this node to stand

    def say(self, term: int, committed: int, peer: str, body: Body) -> None:
        """Say something in ``term``: now, or once it is safe to have said it."""
        match body:
            case Append() if self._log.durable_term < body.term:
                return
            case Append() if self._log.changed_at > self._log.flushed and body.prev_index >= self._log.changed_at:
                return
            case Append():
                self._append(term, peer, body)
                return
            case Ack(following, True) if self._said_already(term, peer, following):
                return
            case Ack(following, True) if following - 1 > self._log.flushed and self._log.durable_term == term:
                self._slow.setdefault(peer, (term, following, self._clock.monotonic_ms()))
            case Ack(following, _, True) if following <= self._log.last.index:
                # The logs part behind what is committed, and hardly in the midst of a term (Raft paper, section 5.3):
                # no need to find the place step by step, and no going back to what a leader may have no more.
                body = Ack(max(committed + 1, self._log.begun(following)), False, True)
            case AskVote() if self._clock.monotonic_ms() < self.transfer_until_ms:
                body = msgspec.structs.replace(body, transfer=True)
        if isinstance(body, _PROMISES):
            # Encoded now: what is said is true in this term, and may not be counted in a later one.
            self._held.append((self._log.needed, peer, messages.encode(term, body)))
        else:
            self.hurry(peer)
            self._send(term, peer, body)

    def _append(self, term: int, peer: str, body: Append) -> None:
        items = body.items
        if self._log.changed_at > self._log.flushed:
            # A change of members stays here until it is on this disk: whose vote it takes might be the only other one
            # to have it after a power loss, and could neither stand by it nor vote against it.
            items = items[: max(0, self._log.changed_at - 1 - body.prev_index)]
        commit = min(body.commit_index, self._log.flushed)
        body = msgspec.structs.replace(body, commit_index=commit, items=items)
        before = self._notices.pop(peer, None)  # this one says the same and more
        if items:
            self._told[peer] = (term, commit)
            self._send(term, peer, body)
            return
        told_in, told = self._told.get(peer, (0, 0))
        now = self._clock.monotonic_ms()
        due_ms = now + _NOTICE_MS if told_in == term and told < commit else now
        if before is not None:
            due_ms = min(due_ms, before.due_ms)
        self._told[peer] = (term, commit)
        self._notices[peer] = _Notice(term, messages.encode(term, body), due_ms)

    def _said_already(self, term: int, peer: str, following: int) -> bool:
        now = self._clock.monotonic_ms()
        said = self._acked.get(peer)
        if said is not None and said[:2] == (term, following) and now - said[2] < _QUIET_MS:
            return True
        self._acked[peer] = (term, following, now)
        return False

    def line(self, peer: str) -> None:
        """A line has come or gone: what was said on the one before may not have been heard."""
        for memory in (self._acked, self._slow, self._notices, self._told):
            memory.pop(peer, None)

    def knows(self, peer: str) -> int:
        """Up to where it was told that the log is committed."""
        return 0 if peer in self._notices else self._told.get(peer, (0, 0))[1]

    def hurry(self, peer: str) -> None:
        """Somebody on that member waits to hear what is committed."""
        notice = self._notices.get(peer)
        if notice is not None:
            self._notices[peer] = msgspec.structs.replace(notice, due_ms=0)

    def release(self) -> None:
        """The turn ends: what has become durable leaves, in order, and what could wait for the end."""
        while self._held and self._held[0][0] <= self._log.done:
            _, peer, data = self._held.popleft()
            self._slow.pop(peer, None)
            self._leave(peer, data)
        if not (self._notices or self._slow):
            return
        now = self._clock.monotonic_ms()
        for peer in [peer for peer, notice in self._notices.items() if notice.due_ms <= now]:
            notice = self._notices.pop(peer)
            if notice.term == self._log.vote.term:
                self._leave(peer, notice.data)
        for peer, (term, following, since_ms) in list(self._slow.items()):
            if now - since_ms >= _SLOW_MS:
                del self._slow[peer]
                if term == self._log.vote.term:
                    # The disk is slow, this node is not dead: so much is certain already. Not more than the leader has
                    # vouched for: what else is in this log may be another leader's.
                    self._send(term, peer, Ack(min(following, self._log.flushed + 1), True, False))

    def due_ms(self, otherwise: int) -> int:
        """When to release again though nothing happens; ``otherwise`` if that is sooner."""
        for notice in self._notices.values():
            otherwise = min(otherwise, notice.due_ms)
        for *_, since_ms in self._slow.values():
            otherwise = min(otherwise, since_ms + _SLOW_MS)
        return otherwise

    def _leave(self, peer: str, data: bytes) -> None:
        if peer in self._up:
            self._network.send(peer, data)

    def _send(self, term: int, peer: str, body: Body) -> None:
        self._leave(peer, messages.encode(term, body))
