"""When to stand for election. Values in, decisions with reasons out; time and chance are arguments.

Before a node raises its term it asks whether a majority would vote for it (pre-vote), so that one that was cut off
disturbs nobody when it comes back. Whoever has heard from a leader within the smallest election time says no.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from girginosvm.core.clock import Chance
from girginosvm.raft.core import Timing
from girginosvm.raft.journal import Base

PRIORITY_MS: Final = 300  # the most that a hint may delay: it never forbids
LAST: Final = 2  # the rank of the worst place to lead from
_LONG_AGO_MS: Final = -(10**12)


class Decision(msgspec.Struct, frozen=True):
    """What to do now, and why."""

    kind: Literal["wait", "ask", "campaign"]
    reason: str
    nonce: int = 0


class Elections:
    """One node's patience. ``rank`` is its hint: 0 for the best place to lead from, 2 for the last."""

    def __init__(self, timing: Timing, chance: Chance, now_ms: int) -> None:
        self._timing = timing
        self._chance = chance
        self._heard_ms = _LONG_AGO_MS
        self._nonce = 0
        self._granted: set[str] = set()
        self._asking = False
        self.rank = 0
        self.deadline_ms = now_ms + self._patience()

    def heard(self, now_ms: int) -> None:
        """The leader of the current term spoke."""
        self._heard_ms = now_ms
        self._asking = False
        self.deadline_ms = now_ms + self._patience()

    def leader_alive(self, now_ms: int) -> bool:
        """The leader spoke within the smallest election time: nobody gets a vote."""
        return now_ms - self._heard_ms < self._timing.election_ms

    def favour(self, rank: int) -> None:
        """A hint from outside, how good a place this is to lead from: 0 for the best, 2 for the last."""
        self.rank = max(0, min(rank, LAST))

    def gone(self, now_ms: int) -> None:
        """The leader's process is gone (its connection was reset): only a hint, so only pre-votes come of it."""
        self._heard_ms = _LONG_AGO_MS
        self.deadline_ms = min(self.deadline_ms, now_ms + self._up_to(self._timing.heartbeat_ms // 2) + self._delay())

    def objection(self, now_ms: int, last: Base, theirs: Base) -> str:
        """Why this node would not vote for a log that ends with ``theirs``, or nothing."""
        if self.leader_alive(now_ms):
            return "the leader is alive"
        if (theirs.term, theirs.index) < (last.term, last.index):
            return "its log is behind"
        return ""

    def tick(self, now_ms: int, *, alone: bool) -> Decision:
        """Ask for pre-votes when patience is over; with nobody to ask, stand at once."""
        if now_ms < self.deadline_ms:
            return Decision("wait", "the leader has time left")
        if alone:
            self.deadline_ms = now_ms + self._patience()
            return Decision("campaign", "the only voter")
        # Pre-votes disturb nobody, so the next round comes soon.
        self.deadline_ms = now_ms + self._timing.heartbeat_ms // 4 + self._up_to(self._timing.heartbeat_ms // 2)
        self._nonce += 1
        self._granted = set()
        self._asking = True
        return Decision("ask", "no leader was heard", self._nonce)

    def granted(self, now_ms: int, peer: str, nonce: int, *, voters: int) -> Decision:
        """A pre-vote came. With a majority, this node's own included: stand."""
        if not self._asking or nonce != self._nonce:
            return Decision("wait", "a pre-vote of another round")
        self._granted.add(peer)
        if 2 * (len(self._granted) + 1) <= voters:
            return Decision("wait", f"{len(self._granted) + 1} of {voters} would vote for this node")
        self.stand(now_ms)
        return Decision("campaign", f"{len(self._granted) + 1} of {voters} would vote for this node")

    def stand(self, now_ms: int) -> None:
        """A campaign begins: give it the time of an election."""
        self._asking = False
        self.deadline_ms = now_ms + self._patience()

    def _patience(self) -> int:
        return self._timing.election_ms + self._up_to(self._timing.election_spread_ms) + self._delay()

    def _delay(self) -> int:
        return PRIORITY_MS * self.rank // LAST

    def _up_to(self, most_ms: int) -> int:
        return int.from_bytes(self._chance.take(4)) * most_ms >> 32
