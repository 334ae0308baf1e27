"""What a leader takes into its log, and when it takes nothing: batches of peers, and leaderships on their way."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

import msgspec

from girginosvm.core.entries import Change, Entry
from girginosvm.core.errors import Busy, Conflict
from girginosvm.raft.core import Core
from girginosvm.raft.log import Log
from girginosvm.raft.messages import ENTRY_BYTES, Body, Forward, NotTaken
from girginosvm.raft.proposals import Command, Proposals

_ROOM: Final = ENTRY_BYTES - 64 * 1024  # the rest of an entry is less than this


class Handing(msgspec.Struct):
    """A leadership on its way to ``peer``; batches of other nodes wait in ``parked``."""

    peer: str
    until_ms: int
    told: bool = False
    parked: list[tuple[str, Forward]] = msgspec.field(default_factory=list)


class Intake:
    """One node's. ``drop`` closes the line of a peer that sends what no member of ours would; ``objection`` says what
    is wrong with a command of a peer's, or nothing."""

    def __init__(
        self, say: Callable[[str, Body], None], drop: Callable[[str, str], None],
        objection: Callable[[bytes], str] = lambda command: "",
    ) -> None:  # fmt: skip
        self._say = say
        self._drop = drop
        self._objection = objection
        self._taken: dict[str, tuple[int, int, int]] = {}  # peer -> term, life and number of the last batch taken
        self._handing: Handing | None = None
        self._moving: Entry | None = None  # gives or takes a vote, at the next tick

    def hand_over(self, peer: str, until_ms: int) -> None:
        """Let a voter lead. Until it does, or until then, nothing is taken in: its log has to become equal to ours
        (Raft thesis, section 3.10)."""
        self._handing = Handing(peer, until_ms)

    def closed(self, core: Core, now_ms: int) -> bool:
        """A leadership is on its way. Ends with it, or when its time is over."""
        handing = self._handing
        if handing is None:
            return False
        if core.leading and now_ms < handing.until_ms:
            handing.told = handing.told or core.hand_over(handing.peer)
            return True
        self._handing = None
        for peer, body in handing.parked:
            self.forwarded(core, peer, body)
        return False

    def take(self, core: Core, node: str, number: int, commands: tuple[bytes, ...]) -> None:
        """Into the log of this leader, in this term or not at all."""
        core.append(Entry(0, core.term, 0, node, commands, number))

    def change(self, core: Core, log: Log, proposals: Proposals, asked: Command, change: Change, up: Set[str]) -> None:
        """As leader: a change of members into the log, or a problem as its answer."""
        ready = core.leading and log.term_at(core.committed) == core.term and log.changed_at <= core.committed
        if not ready or proposals.changing:
            detail = "this node does not lead, or another change is not committed"
            asked.answer(Busy("change-pending", detail, retry_after_s=1))
            return
        behind = {peer: log.last.index - (core.match(peer) or 0) for peer in up}
        objection = log.roster.objection(change, leader=core.leader, behind=behind)
        if objection:
            asked.answer(Conflict("change-refused", f"{change.kind} {change.member}: {objection}"))
            return
        if change.kind == "promote" and (core.match(change.member) or 0) < log.changed_at:
            # It is to be able to vote for whoever knows that it votes: also if this leader dies with the entry.
            detail = f"{change.member} has not heard yet that it is nominated"
            asked.answer(Busy("change-pending", detail, retry_after_s=1))
            return
        entry = Entry(0, core.term, 0, core.leader, (), proposals.once(core.term, asked), change)
        if change.kind in ("promote", "demote"):
            self._moving = entry
        else:
            core.append(entry)

    def move(self, core: Core) -> str:
        """Right before a tick: give or take the vote that is to be. Answers whose; that line has to be shown to the
        core again after the tick, since it must never know a peer both as a voter and as an observer."""
        entry, self._moving = self._moving, None
        if entry is None or entry.change is None or not core.leading:
            return ""
        peer = entry.change.member
        core.lost(peer, voter=peer in core.voters)
        core.change(entry)
        return peer

    def forwarded(self, core: Core, peer: str, body: Forward) -> None:
        """A peer's batch: taken once, in the term that it names, under the peer's own name."""
        if self._handing is not None:
            self._handing.parked.append((peer, body))
            return
        term, life, number = self._taken.get(peer, (0, 0, 0))
        if not core.leading or body.term != core.term:
            if not body.again:  # a first copy may be in this or another log; the next term's entries will tell
                self._say(peer, NotTaken(body.number))
        elif (term, life) == (body.term, body.life) and body.number <= number:
            return  # said again after a lost line; it is in the log
        elif sum(len(one) for one in body.commands) > _ROOM:
            self._drop(peer, "a batch larger than any of ours")
        elif wrong := next(filter(None, map(self._objection, body.commands)), ""):
            # In the log it would end the applying of everybody, for good.
            self._drop(peer, f"it wants in the log what this leader could not apply: {wrong}")
        else:
            self._taken[peer] = (body.term, body.life, body.number)
            self.take(core, peer, body.number, body.commands)
