"""What may reach the core. Values in, verdicts with reasons out.

The core trusts whatever it hears: it counts an acknowledgement of another term, a second vote of the same voter, a
vote of somebody who has none. Each of those ends here.

Who may lead is asked only while this node hears a leader. A log that is behind knows old voters: whoever leads now may
have had no vote when its last entry was written, and only that one's entries say that it has one (Raft thesis, section
4.1). A member that took nothing from it stayed behind for as long as that one led.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

import msgspec

from girginosvm.raft.core import Core
from girginosvm.raft.journal import Base
from girginosvm.raft.log import Log, kind_of
from girginosvm.raft.messages import Ack, Append, AskVote, Body, Frame, Newer, TimeoutNow, Vote
from girginosvm.raft.seams import entry_of

_LEADERS_ONLY: Final = (Append, AskVote, TimeoutNow)
# Terms rise by one with each election, and by a thousand with a recovery. Who lies could go to the last one that a
# frame can name, and nobody would ever stand again; to get there in such steps takes months.
_LEAP: Final = 1 << 24


class View(msgspec.Struct, frozen=True):
    """What a verdict may hang on. ``terms`` answers the term of an entry that is in the log."""

    term: int
    leading: bool
    leader: str  # of this term; empty while nobody is known
    leader_alive: bool
    last: Base
    committed: int
    flushed: int
    terms: Callable[[int], int | None]
    voters: frozenset[str]
    electable: frozenset[str]  # voters, and who may have become one
    votes: bool  # this node has a vote, or may have one without knowing
    voted: frozenset[str]  # whose votes of this term have been counted

    @classmethod
    def of(cls, member: str, core: Core, log: Log, *, leader_alive: bool, voted: Set[str]) -> View:
        """As ``member`` sees it now."""
        electable = log.electable(core.committed)
        return cls(
            core.term, core.leading, core.leader, leader_alive, log.last, core.committed, log.flushed, log.term_at,
            core.voters, electable, member in electable, frozenset(voted),
        )  # fmt: skip


class Deliver(msgspec.Struct, frozen=True):
    """To the core with it."""

    body: Append | Ack | AskVote | Vote | TimeoutNow


class Drop(msgspec.Struct, frozen=True):
    """As if it had been lost."""

    reason: str


class Reply(msgspec.Struct, frozen=True):
    """Not to the core; the sender hears this."""

    body: Body
    reason: str


class StepDown(msgspec.Struct, frozen=True):
    """A voter is in a higher term: follow it there."""

    term: int


class Wait(msgspec.Struct, frozen=True):
    """An acknowledgement of what this leader's own disk does not hold yet: counted later, alive now."""

    ack: Ack


class Alarm(msgspec.Struct, frozen=True):
    """Two members contradict each other in what Raft makes impossible: this node must stop."""

    reason: str


Verdict = Deliver | Drop | Reply | StepDown | Wait | Alarm


class Early:
    """A leader's acknowledgements of what its own disk does not hold yet (``Wait``): counted when it does."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, Ack]] = {}

    def add(self, peer: str, term: int, ack: Ack) -> None:
        """The newest of a peer's is enough."""
        self._waiting[peer] = (term, ack)

    def lost(self, peer: str) -> None:
        """The line is gone."""
        self._waiting.pop(peer, None)

    def count(self, core: Core, log: Log) -> None:
        """To the core with those whose time has come; away with those of another term."""
        for peer, (term, ack) in list(self._waiting.items()):
            if term != core.term or not core.leading:
                del self._waiting[peer]
            elif ack.next_index - 1 <= log.flushed:
                del self._waiting[peer]
                core.deliver(peer, ack)


def judge(view: View, peer: str, frame: Frame) -> Verdict:
    """What becomes of one message."""
    if max(frame.term, getattr(frame.body, "term", 0)) > view.term + _LEAP:
        return Drop("a term that no elections have led to")
    known = peer in view.electable or peer == view.leader
    if isinstance(frame.body, _LEADERS_ONLY) and not known and view.leader_alive:
        return Drop("a leader is heard, and the sender can neither lead nor stand")
    match frame.body:
        case Append():
            return _append(view, peer, frame.body)
        case Ack():
            return _ack(view, peer, frame.term, frame.body)
        case AskVote():
            return _ask_vote(view, frame.body)
        case Vote(term):
            if peer not in view.voters:
                return Drop("the sender has no vote")
            if term != view.term:
                return Drop("a vote of another term")
            return Drop("this voter's vote is counted") if peer in view.voted else Deliver(frame.body)
        case Newer() if frame.term > view.term and peer in view.voters:
            return StepDown(frame.term)
        case TimeoutNow(term):
            ours = term == view.term and peer == view.leader
            return Deliver(frame.body) if ours else Drop("not from this term's leader")
    return Drop("nothing for the core")


def _append(view: View, peer: str, body: Append) -> Verdict:
    if body.term < view.term:
        return Reply(Newer(), "an append of an old term")
    if body.term == view.term and view.leading:
        return Alarm(f"{peer} leads term {body.term}, and so does this node")
    if body.term == view.term and view.leader not in ("", peer):
        return Alarm(f"{peer} leads term {body.term}, and so does {view.leader}")
    wrong = _malformed(body)
    if wrong:
        return Drop(wrong)
    for at, item in enumerate(body.items, body.prev_index + 1):
        if at > view.committed:
            break
        known = view.terms(at)
        if known is not None and known != item.term:
            return Alarm(f"entry {at} is committed here in term {known}, and {peer} has it in term {item.term}")
    # The core would commit up to its own last entry, verified or not: this message vouches for so much only.
    vouched = body.prev_index + len(body.items)
    return Deliver(msgspec.structs.replace(body, commit_index=min(body.commit_index, vouched)))


def _malformed(body: Append) -> str:
    """What is wrong with the items, or nothing. The entries inside know their own place."""
    term = body.prev_term
    for at, item in enumerate(body.items, body.prev_index + 1):
        if not term <= item.term <= body.term:
            return f"entry {at} of term {item.term} after term {term}"
        term = item.term
        try:
            entry = entry_of(item.command[1:])
        except (msgspec.MsgspecError, UnicodeError) as fault:
            return f"entry {at} is none: {fault}"
        if (entry.index, entry.term, kind_of(entry)) != (at, item.term, item.command[:1]):
            return f"entry {at} says that it is entry {entry.index} of term {entry.term}"
    return ""


def _ack(view: View, peer: str, term: int, body: Ack) -> Verdict:
    if term > view.term and peer in view.voters:
        return StepDown(term)
    if term != view.term:
        return Drop("an acknowledgement of another term")
    if not view.leading:
        return Drop("an acknowledgement, and this node does not lead")
    if body.next_index > view.last.index + 1:
        if body.success:
            return Drop("an acknowledgement of entries that this leader does not have")
        return Deliver(Ack(view.last.index + 1, False, body.reset))
    if body.success and body.next_index - 1 > view.flushed:
        return Wait(body)
    return Deliver(body)


def _ask_vote(view: View, body: AskVote) -> Verdict:
    if body.term < view.term:
        return Reply(Newer(), "a candidate of an old term")
    if not view.votes:
        return Drop("this node has no vote to give")
    if view.leader_alive and not body.transfer:
        return Drop("the leader is alive (Raft thesis, section 4.2.3)")
    return Deliver(body)
