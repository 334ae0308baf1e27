"""The send boundary: what is said leaves when the disk holds what it promises.

* Entries and heartbeats leave at once, if the term they are said in is durable: a lost vote could make a second
  leader of that term out of this node.
* Votes, requests for votes and acknowledgements wait for the generation that they depend on.
* A commit index never passes what this node's own disk holds.
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


class Outbox:
    """One node's. ``up`` is the node's set of members whose line is up."""

    def __init__(self, log: Log, network: Network, clock: Clock, up: Set[str]) -> None:
        self._log = log
        self._network = network
        self._clock = clock
        self._up = up
        self._held: deque[tuple[int, str, bytes]] = deque()
        self.transfer_until_ms = -1  # until then the leader itself wants this node to stand

    def say(self, term: int, committed: int, peer: str, body: Body) -> None:
        """Say something in ``term``: now, or once it is safe to have said it."""
        match body:
            case Append() if self._log.durable_term < body.term:
                return
            case Append() if self._log.changed_at > self._log.flushed and body.prev_index >= self._log.changed_at:
                return
            case Append():
                items = body.items
                if self._log.changed_at > self._log.flushed:
                    # A change of members stays here until it is on this disk: whose vote it takes might be the only
                    # other one to have it after a power loss, and could neither stand by it nor vote against it.
                    items = items[: max(0, self._log.changed_at - 1 - body.prev_index)]
                commit = min(body.commit_index, self._log.flushed)
                body = msgspec.structs.replace(body, commit_index=commit, items=items)
            case Ack(following, True) if following - 1 > self._log.flushed and self._log.durable_term == term:
                # The disk is slow, this node is not dead: so much is certain already.
                self._send(term, peer, Ack(self._log.flushed + 1, True, False))
            case Ack(following, _, True) if following <= self._log.last.index:
                # The logs part somewhere behind what is committed: no need to find the place step by step.
                body = Ack(committed + 1, False, True)
            case AskVote() if self._clock.monotonic_ms() < self.transfer_until_ms:
                body = msgspec.structs.replace(body, transfer=True)
        if isinstance(body, _PROMISES):
            # Encoded now: what is said is true in this term, and may not be counted in a later one.
            self._held.append((self._log.needed, peer, messages.encode(term, body)))
        else:
            self._send(term, peer, body)

    def release(self) -> None:
        """What has become durable leaves, in order."""
        while self._held and self._held[0][0] <= self._log.done:
            _, peer, data = self._held.popleft()
            if peer in self._up:
                self._network.send(peer, data)

    def _send(self, term: int, peer: str, body: Body) -> None:
        if peer in self._up:
            self._network.send(peer, messages.encode(term, body))
