"""The library's Raft, reduced to what it is right about: counting votes and acknowledgements, and saying what is
committed. Everything reaches it through ``deliver`` and ``tick`` and leaves it through ``say``; it owns no socket, no
file, no clock of ours and no state machine. Its own election timers never fire (``elections`` decides).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from pysyncobj import FAIL_REASON, SyncObjConf
from pysyncobj.transport import Transport

from girginosvm.core.entries import Entry
from girginosvm.raft.log import Log
from girginosvm.raft.messages import APPEND_BYTES, Ack, Append, AskVote, Body, Item, TimeoutNow, Vote
from girginosvm.raft.seams import Peer, Raft, ticking

_NEVER_S: Final = 1e6
_MATCH: Final = "match_idx_server_"
_encoder: Final = msgspec.msgpack.Encoder()


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds. ``fallback_ms``: a leader that a majority has not answered for so long steps down."""

    election_ms: int = 400
    election_spread_ms: int = 400
    heartbeat_ms: int = 100
    fallback_ms: int = 250
    flush_limit_ms: int = 3000
    proposal_ms: int = 10_000


class _Link(Transport):  # type: ignore[misc]
    """The core's network: what it says goes to ``say``, in bodies of ours."""

    def __init__(self, say: Callable[[str, Body], None], short: Callable[[str], None], log: Log) -> None:
        super().__init__(None, None, None)
        self._say = say
        self._short = short
        self._log = log

    ready: Final = True

    def addNode(self, node: Peer) -> None:
        """Connections follow the members, not the core."""

    def dropNode(self, node: Peer) -> None:
        """Connections follow the members, not the core."""

    def destroy(self) -> None:
        """Nothing to let go of."""

    def send(self, node: Peer, message: dict[str, Any]) -> bool:
        body = self._body(message)
        if body is not None:
            self._say(node.id, body)
        if "serialized" in message:
            self._short(node.id)
        return True

    def _body(self, message: dict[str, Any]) -> Body | None:
        shift = self._log.shift
        match message["type"]:
            case "append_entries" if "serialized" in message:
                # What the peer lacks is not here any more. It gets a snapshot, which is none of the core's business,
                # and meanwhile heartbeats: its answers say where it stands, and that it is alive.
                base = self._log.base
                return Append(message["term"], base.index, base.term, base.index, ())
            case "append_entries":
                items = tuple(Item(term, command) for command, _, term in message["entries"])
                prev, commit = message["prevLogIdx"] + shift, message["commit_index"] + shift
                return Append(message["term"], prev, message["prevLogTerm"], commit, items)
            case "next_node_idx":
                return Ack(max(0, message["next_node_idx"] + shift), message["success"], message["reset"])
            case "request_vote":
                return AskVote(message["term"], message["last_log_index"] + shift, message["last_log_term"])
            case "response_vote":
                return Vote(message["term"])
            case "timeout_now":
                return TimeoutNow(message["term"])
            case "apply_command":
                return None  # queued while this node led, which it no longer does: whoever waits for it learns that
            case _:
                raise RuntimeError(f"the core says {message['type']!r}, which is not of ours")


class Core:
    """One life of the library's object; made anew when this node's own place among the members changes."""

    def __init__(
        self, member: str, voters: Iterable[str], log: Log, *, applied: int, timing: Timing,
        say: Callable[[str, Body], None], short: Callable[[str], None] = lambda peer: None,
    ) -> None:  # fmt: skip
        """``short`` hears of each peer that needs entries which the log no longer has."""
        self._log = log
        log.rebase(applied)
        self._tell_short = short
        self._held: list[tuple[str, bool]] = []
        self._ticks = 2  # how many are due at once
        self._due_ms, self._pause_ms = 0, timing.heartbeat_ms // 2
        self._link = _Link(say, self._short, log)
        voters = sorted(voters)
        # One object for each: the library keeps them in dicts, where the same one is found without a comparison.
        self._peers: dict[str, Peer] = {}
        self._own = frozenset([member]) & frozenset(voters)
        self._voters = (log.changes, frozenset(voters))
        conf = SyncObjConf(
            autoTick=False, journalFile=log, dynamicMembershipChange=True, commandsWaitLeader=False,
            appendEntriesUseBatch=False, appendEntriesPeriod=timing.heartbeat_ms / 1000,
            appendEntriesBatchSizeBytes=APPEND_BYTES, leaderFallbackTimeout=timing.fallback_ms / 1000,
            raftMinTimeout=_NEVER_S, raftMaxTimeout=2 * _NEVER_S, connectionTimeout=2 * _NEVER_S,
            logCompactionMinEntries=2**62, logCompactionMinTime=2**62,
        )  # fmt: skip
        # A learner has a seat as well: one that is nominated has to vote for a leader that knows it as a voter already.
        # It never stands (its timers never fire), and is counted by nobody who does not know it as a voter.
        others = [self._peer(one) for one in voters if one != member]
        self._raft = Raft(self._peer(member), others, conf, nodeClass=Peer, transport=self._link)

    def _peer(self, member: str) -> Peer:
        found = self._peers.get(member)
        if found is None:
            found = self._peers[member] = Peer(member)
        return found

    @property
    def term(self) -> int:
        """The current term."""
        return int(self._raft.raftCurrentTerm)

    @property
    def leading(self) -> bool:
        """This node believes that it leads; a majority has answered within the fallback time."""
        return bool(self._raft._isLeader())

    @property
    def leader(self) -> str:
        """The leader of the current term, as far as it is known here; otherwise empty."""
        leader = self._raft._getLeader()
        return "" if leader is None else str(leader.id)

    @property
    def committed(self) -> int:
        """Entries up to here are committed, and handed over in this order."""
        return int(self._raft.raftLastApplied) + self._log.shift

    @property
    def voters(self) -> frozenset[str]:
        """Who votes, this node included if it does."""
        if self._voters[0] != self._log.changes:
            self._voters = (self._log.changes, self._own | {peer.id for peer in self._raft.otherNodes})
        return self._voters[1]

    def _soon(self) -> None:
        """Tick: twice if nobody else votes, since what is taken up in one tick is committed in the next, and otherwise
        when others acknowledge it."""
        self._ticks = max(self._ticks, 1 if self.voters - self._own else 2)

    def connected(self, peer: str, *, voter: bool) -> None:
        """The line to a peer is up, and has room."""
        self._soon()
        if voter:
            self._link._onNodeConnected(self._peer(peer))
        else:
            self._link._onReadonlyNodeConnected(self._peer(peer))

    def lost(self, peer: str, *, voter: bool) -> None:
        """The line to a peer is gone."""
        if voter:
            self._link._onNodeDisconnected(self._peer(peer))
        else:
            self._link._onReadonlyNodeDisconnected(self._peer(peer))

    def _short(self, peer: str) -> None:
        """The core would try the same again in this very loop, unless the line seems to be lost."""
        voter = peer in {node.id for node in self._raft.otherNodes}
        self._held.append((peer, voter))
        self.lost(peer, voter=voter)
        self._tell_short(peer)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for peer, voter in held:
            self.connected(peer, voter=voter)

    def append(self, entry: Entry) -> None:
        """Queue an entry of this leader's; it gets index, term and stamp when the core takes it up."""
        self._soon()
        self._raft.append(_encoder.encode(entry))

    def change(self, entry: Entry) -> None:
        """Queue a change of voters; in force as soon as the core takes it up."""
        assert entry.change is not None
        self._soon()
        peer = Peer(entry.change.member)
        peer.draft = _encoder.encode(entry)
        if entry.change.kind == "promote":
            self._raft.addNodeToCluster(peer)
        else:
            self._raft.removeNodeFromCluster(peer)

    def match(self, peer: str) -> int | None:
        """Up to which entry a peer's log is known to be equal; of a leader, for peers it sends to. None while nothing
        is known of it."""
        return self.matches().get(peer)

    def matches(self) -> dict[str, int]:
        """The same of every peer of which something is known."""
        found = self._raft.getStatus().items()
        return {
            key.removeprefix(_MATCH): int(index) + self._log.shift
            for key, index in found
            if index and key.startswith(_MATCH)
        }

    def tick(self, now_ms: int) -> None:
        """Campaign, commit, send: what came since the last tick, and what is due without anything."""
        if not self._ticks and now_ms < self._due_ms:
            return
        self._ticks, self._due_ms = max(0, self._ticks - 1), now_ms + self._pause_ms
        with ticking:
            self._raft.doTick(0)
        self._let_go()

    def campaign(self) -> None:
        """Stand for election at the next tick: the leader that is known here (perhaps nobody) tells us to."""
        self._soon()
        message = {"type": "timeout_now", "term": self.term}
        self._link._onMessageReceived(self._raft._getLeader(), message)

    def hand_over(self, peer: str) -> bool:
        """Tell a voter to stand for election; False, and nothing happens, while its log is not equal to ours."""
        said: list[int] = []
        self._raft.transferLeadership(self._peer(peer), lambda _, reason: said.append(reason))
        return said == [FAIL_REASON.SUCCESS]

    def step_down(self, term: int) -> bool:
        """Enter a higher term as follower, without a vote for anybody. What ``deliver`` answers."""
        message = {"type": "request_vote", "term": term, "last_log_index": -(2**62), "last_log_term": -1}
        return self._receive("", message)

    def deliver(self, peer: str, body: Append | Ack | AskVote | Vote | TimeoutNow) -> bool:
        """One message that passed the filter. True: the core has to be made anew (``Log.settle``)."""
        return self._receive(peer, self._message(body))

    def _receive(self, peer: str, message: dict[str, Any]) -> bool:
        self._ticks = max(self._ticks, 1)
        try:
            self._link._onMessageReceived(self._peer(peer), message)
        finally:
            anew = self._log.settle()
        self._let_go()
        return anew

    def _message(self, body: Append | Ack | AskVote | Vote | TimeoutNow) -> dict[str, Any]:
        shift = self._log.shift
        match body:
            case Append(term, prev, prev_term, commit, items):
                first = prev - shift + 1
                entries = [(item.command, first + at, item.term) for at, item in enumerate(items)]
                return {
                    "type": "append_entries", "term": term, "commit_index": commit - shift, "entries": entries,
                    "prevLogIdx": prev - shift, "prevLogTerm": prev_term,
                }  # fmt: skip
            case Ack(following, success, reset):
                # What the library calls 0 and less is equal, and counts for nothing; but it would go on sending from
                # where it was, for ever, if that is before the beginning of this log.
                again = reset or (success and following - shift <= 1)
                return {
                    "type": "next_node_idx", "next_node_idx": following - shift, "success": success, "reset": again,
                }  # fmt: skip
            case AskVote(term, index, last_term):
                return {
                    "type": "request_vote", "term": term, "last_log_index": index - shift, "last_log_term": last_term,
                }  # fmt: skip
            case Vote(term):
                return {"type": "response_vote", "term": term}
            case TimeoutNow(term):
                return {"type": "timeout_now", "term": term}
