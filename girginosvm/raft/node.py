"""One member, one turn at a time: what came in, what is due, what may leave.

``turn`` is all there is: no thread, no socket, no clock of its own. The production loop calls it when something
happened; the simulator calls it in virtual time, with the same code.

What leaves when:

* entries and heartbeats: at once (the leader's own flush runs meanwhile), once the term itself is durable; that more is
  committed, with the entries that come next (``outbox``);
* votes, requests for votes, acknowledgements: when the generation that they depend on is durable;
* an entry is applied, and answered for, when it is committed and on this node's own disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from girginosvm.core.clock import Chance, Clock
from girginosvm.core.entries import Applied, Change, Entry
from girginosvm.core.errors import Busy, Problem
from girginosvm.core.log import Log as Lines
from girginosvm.raft import messages
from girginosvm.raft.apply import Applier
from girginosvm.raft.applying import Applying, Retention, Told
from girginosvm.raft.circle import Circle
from girginosvm.raft.core import Core, Timing
from girginosvm.raft.elections import LAST, Decision, Elections
from girginosvm.raft.filter import Alarm, Deliver, Drop, Early, Reply, StepDown, View, Wait, judge
from girginosvm.raft.flush import Flusher
from girginosvm.raft.intake import Intake
from girginosvm.raft.journal import Base, Journal
from girginosvm.raft.lines import Down, Event, Heard, Network, Up
from girginosvm.raft.log import Log, Torn
from girginosvm.raft.logtime import LogTime
from girginosvm.raft.membership import Roster
from girginosvm.raft.messages import Ack, Append, AskVote, Body, Forward, Frame, NotTaken, TimeoutNow, Vote
from girginosvm.raft.outbox import Outbox
from girginosvm.raft.owed import Owed
from girginosvm.raft.proposals import Answer, Command, Proposals
from girginosvm.raft.reads import Done, Reads
from girginosvm.raft.seams import entry_of
from girginosvm.raft.seat import Seat
from girginosvm.raft.standing import Contacts
from girginosvm.raft.store import Store
from girginosvm.raft.supply import Supply
from girginosvm.raft.transfers import Transfers

TRANSFER_MS, READ_MS = 1000, 2000


class Start(msgspec.Struct, frozen=True):
    """What a member begins with."""

    member: str
    roster: Roster  # to begin with, when the journal knows none
    applied_index: int
    last_stamp_ms: int
    halted: str = ""  # why it applies nothing from its beginning on


class Node:
    """A voter, or an observer. ``stopped`` says why it takes no further part; nothing un-stops it. ``applied`` hears of
    each entry; ``jumped``, that a snapshot took the place of some. ``objection`` says why what a peer wants in
    the log cannot be applied."""

    def __init__(
        self, start: Start, journal: Journal, flusher: Flusher, applier: Applier, store: Store, network: Network,
        clock: Clock, chance: Chance, lines: Lines, *, timing: Timing | None = None,
        retention: Retention | None = None, applied: Callable[[Entry, Applied], None] = lambda entry, applied: None,
        jumped: Callable[[], None] = lambda: None, objection: Callable[[bytes], str] = lambda command: "",
    ) -> None:  # fmt: skip
        journal.check_reaches(start.applied_index)
        self.member = start.member
        self.timing = timing or Timing()
        self.stopped = ""
        self._network, self._clock, self._lines = network, clock, lines
        self.contacts = Contacts(clock.monotonic_ms())
        self._time = LogTime(clock, start.last_stamp_ms)
        self.log = Log.found(
            journal, node=start.member, stamp=lambda: self._time.next(self.log.vote.term), roster=start.roster
        )
        if self.log.last.index >= self.log.first_index:
            self._time.found(self.log.entry(self.log.last.index).at_ms)
        self.owed = Owed(flusher, self.log)
        self.elections = Elections(self.timing, chance, clock.monotonic_ms())
        self.proposals = Proposals(start.member, int.from_bytes(chance.take(4)) >> 1)
        self._transfers = Transfers(store, self._say, lines)
        told = Told(self._committed, applied, self._settled, jumped, self._time.seen)
        keep, at = retention or Retention(), start.applied_index
        self._applying = Applying(applier, self.log, self.proposals, self._transfers, told, lines, keep, at)
        self._applying.halted = start.halted
        self._supply = Supply(self._applying, self._transfers, self.log, self._say)
        self.elections.favour(LAST if self._applying.lacking else 0)
        self._circle = Circle(self.log, network, self._say)
        self._outbox = Outbox(self.log, network, clock, self._circle.up)
        self.reads = Reads(start.member, self._say)
        self.intake = Intake(self._say, network.drop, objection)
        self._seat = Seat(self.log, self._circle, self._make_core)
        self._circle.reach(self.core.committed)
        self._early = Early()
        self._voted: tuple[int, set[str]] = (0, set())
        self._led_term = 0
        self._given_by = ""  # who told this member to stand
        self.lead_from = ""  # who gave it the lead that it has

    # What callers want.

    def propose(self, command: bytes, answer: Answer) -> None:
        """``answer`` gets the outcome once it is applied here, or a problem: NoQuorum and Busy are surely not done."""
        if self.stopped or self.halted:
            answer(Busy("halted", f"this node has stopped: {self.stopped or self.halted}"))
        elif self._applying.lacking:
            answer(Busy("database-behind", f"nothing was done: {self.lacking}", retry_after_s=5))
        else:
            until_ms = self._clock.monotonic_ms() + self.timing.proposal_ms
            self.proposals.add(Command(command, answer, until_ms))

    def read(self, done: Done) -> None:
        """``done`` is called once a local read sees every write acknowledged before this call."""
        if self.stopped:
            done(Busy("halted", f"this node has stopped: {self.stopped}"))
        else:
            self.reads.add(done, self._clock.monotonic_ms() + READ_MS)

    @property
    def core(self) -> Core:
        """What counts votes and acknowledgements, as the members are now."""
        return self._seat.core

    @property
    def applied_index(self) -> int:
        """Up to here the database is."""
        return self._applying.index

    @property
    def halted(self) -> str:
        """Why this node applies nothing more; empty while it does."""
        return self._applying.halted

    @property
    def lacking(self) -> str:
        """What the database lacks that the log no longer has, and what is done about it; empty when nothing is."""
        return self._supply.lacking

    @property
    def role(self) -> str:
        """What this member is, in one word."""
        if self.stopped:
            return "stopped"
        if self.member not in self.core.voters:
            return "observer"
        return "leader" if self.core.leading else "follower"

    @property
    def reached(self) -> tuple[str, ...]:
        """Members whose line is up."""
        return tuple(sorted(self._circle.up))

    @property
    def last_at_ms(self) -> int:
        """The stamp of the newest entry that this node has seen."""
        return self._time.last_ms

    def hand_over(self, peer: str) -> None:
        """Let a voter lead; nothing happens unless this member leads."""
        if self.core.leading and peer in self.core.voters - {self.member}:
            self.intake.hand_over(peer, self._clock.monotonic_ms() + self.timing.election_ms)

    def change(self, change: Change, answer: Answer) -> None:
        """As leader, change who belongs to the cluster; ``answer`` gets b"" when it is committed, or a problem."""
        until_ms = self._clock.monotonic_ms() + self.timing.proposal_ms
        self.intake.change(self.core, self.log, self.proposals, Command(b"", answer, until_ms), change, self._circle.up)

    def turn(self, events: Iterable[Event]) -> int:
        """One turn; answers when (monotonic ms) the next is due at the latest."""
        now = self._clock.monotonic_ms()
        if self.stopped:
            return now + self.timing.heartbeat_ms
        try:
            self.owed.settle(now)
            self._outbox.release()  # what waited for the disk alone
            for event in events:  # all that has come is heard before any patience is judged
                self._on(event, now)
            self._circle.turn(self.core, now, self._outbox.knows)
            self._early.count(self.core, self.log)
            self._elect(now)
            self._pump(now)
            self._seat.tick(now, self.intake)
            self._noticed(now)
            self._apply(now)
            self.reads.turn(self.core, self.log, self._circle.up, now, applied=self.applied_index)
            self.proposals.expire(now)
            self.owed.begin(now)
            self._look(now)
        except Torn as fault:
            self.stop(str(fault))
        except OSError as fault:
            self.stop(f"the journal's disk does not take more: {fault}")
        else:
            self._outbox.release()
        return self._outbox.due_ms(self._next(now))

    def _next(self, now: int) -> int:
        if self.core.leading:
            return now + self.timing.heartbeat_ms // 2
        soon = now + self.timing.heartbeat_ms
        if self.member not in self.core.voters:  # it never stands, so its patience may be over for ever
            return soon
        return max(now + 1, min(self.elections.deadline_ms, soon))

    # What came in.

    def _on(self, event: Event, now: int) -> None:
        match event:
            case Up(peer):
                self._outbox.line(peer)
                self._circle.came(peer, self.core.committed)
                self.core.connected(peer, voter=peer in self.core.voters)
                if peer == self.core.leader:
                    for batch in self.proposals.sent_in(self.core.term):
                        self._say(peer, batch.forward(again=True))
            case Down(peer, reset):
                self._circle.went(peer)
                self._outbox.line(peer)
                self._early.lost(peer)
                self._transfers.sending.lost(peer)
                self.core.lost(peer, voter=peer in self.core.voters)
                self.reads.lost(peer)
                if reset and peer == self.core.leader and not self.core.leading:
                    self.elections.gone(now)
            case Heard(peer, data):
                self.contacts.heard(peer, now)
                self._circle.spoke(peer)
                try:
                    frame = messages.decode(data)
                except messages.Strange as fault:  # nobody says to us what we need and cannot know
                    self._lines.debug("raft.message-unknown", peer=peer, reason=str(fault))
                except messages.Malformed as fault:
                    self._network.drop(peer, str(fault))
                else:
                    self._hear(peer, frame, now)

    def _hear(self, peer: str, frame: Frame, now: int) -> None:
        if self._circle.left(peer) and not isinstance(frame.body, Ack):
            return
        match frame.body:
            case messages.AskPreVote(nonce, term, index, last_term):
                last = Base(index, last_term)
                if term <= self.core.term:
                    self._say(peer, messages.Newer())
                elif not self._objects(last, now):
                    self._say(peer, messages.PreVote(nonce))
            case messages.PreVote(nonce) if peer in self.core.voters and not self.core.leading:
                self._decide(self.elections.granted(now, peer, nonce, voters=len(self.core.voters)))
            case messages.Confirm(nonce) if frame.term == self.core.term and peer == self.core.leader:
                self._say(peer, messages.Confirmed(nonce))
            case messages.Confirmed(nonce) if frame.term == self.core.term and peer in self.core.voters:
                self.reads.confirmed(self.core, peer, nonce)
            case Forward():
                self.intake.forwarded(self.core, peer, frame.body)
            case NotTaken(number):
                self.proposals.not_taken(number)
            case messages.AskRead(nonce):
                self.reads.begin(self.core, self.log, peer, nonce)
            case messages.ReadAt(nonce, index) if peer == self.core.leader:
                self.reads.known(nonce, index)
            case messages.Introduce():
                if not self.core.leading:
                    self._circle.introduced(peer, frame.body)
            case messages.Offer():
                leads = frame.term == self.core.term and peer == self.core.leader
                self._supply.offered(peer, frame.body, self.core.committed, now, leads=leads)
            case messages.AskSnapshot(index):
                self._supply.short(peer, index, self.core.committed, now)
            case messages.AskPiece():
                self._transfers.sending.asked(peer, frame.body, now)
            case messages.Piece():
                self._transfers.receiving.piece(peer, frame.body, now)
            case _:
                self._judge(peer, frame, now)

    def _objects(self, last: Base, now: int) -> bool:
        """This node would not vote for a peer whose log ends with ``last``."""
        return self.core.leading or bool(self.elections.objection(now, self.log.last, last))

    def _view(self, now: int) -> View:
        if self._voted[0] != self.core.term:
            self._voted = (self.core.term, set())
        alive = self.core.leading or self.elections.leader_alive(now)
        return View.of(self.member, self.core, self.log, leader_alive=alive, voted=self._voted[1])

    def _judge(self, peer: str, frame: Frame, now: int) -> None:
        match judge(self._view(now), peer, frame):
            case Deliver(body):
                self._deliver(peer, body, now)
            case Wait(ack):
                self._early.add(peer, frame.term, ack)
                self._seat.deliver(peer, Ack(ack.next_index, False, False))
            case StepDown(term):
                self._lines.info("raft.stepped-down", term=term, told_by=peer)
                self.core.step_down(term)
            case Reply(body):
                self._say(peer, body)
            case Alarm(reason):
                self.stop(reason)
            case Drop(reason):
                self._lines.debug("raft.dropped", peer=peer, message=type(frame.body).__name__, reason=reason)

    def _deliver(self, peer: str, body: Append | Ack | AskVote | Vote | TimeoutNow, now: int) -> None:
        match body:
            case Vote(term, at_ms):
                self._voted[1].add(peer)
                self._time.told(term, peer, at_ms)
            case Append(items=items):
                self.elections.heard(now)
                self.contacts.led(now)
                if items:
                    self._time.seen(entry_of(items[-1].command[1:]).at_ms)
            case TimeoutNow() if self.member not in self.core.voters or self._applying.lacking:
                return  # a learner cannot lead, and who lacks the state should not
            case TimeoutNow():
                self._outbox.transfer_until_ms = now + TRANSFER_MS
                self._given_by = peer
                self.elections.stand(now)
        self._seat.deliver(peer, body)

    def _make_core(self) -> Core:
        return Core(
            self.member, self.log.roster.voters, self.log, applied=self._applying.handed, timing=self.timing,
            say=self._say, short=self._short,
        )  # fmt: skip

    # What is due.

    def _elect(self, now: int) -> None:
        if self.core.leading:
            if self.owed.hangs(now, self.timing.flush_limit_ms):
                self._lines.error("raft.flush-hangs", limit_ms=self.timing.flush_limit_ms)
                self.core.step_down(self.core.term + 1)
            return
        if now < self.elections.deadline_ms or self.member not in self.core.voters:
            return
        if self.halted or self._applying.installing is not None or self.owed.hangs(now, self.timing.election_ms):
            return  # whoever cannot write, or cannot apply, does not want to lead
        if self._applying.lacking and self.log.last.index < self.log.first_index:
            return  # nor who has no entry left that says what time the log has
        others = len(self.core.voters) > 1
        self._decide(self.elections.tick(now, alone=not others))

    def _decide(self, decision: Decision) -> None:
        if decision.kind == "campaign":
            self._lines.info("raft.campaign", term=self.core.term + 1, reason=decision.reason)
            self.core.campaign()
        elif decision.kind == "ask":
            last = self.log.last
            for peer in sorted(self.core.voters - {self.member}):
                self._say(peer, messages.AskPreVote(decision.nonce, self.core.term + 1, last.index, last.term))

    def _pump(self, now: int) -> None:
        """Batches to the leader, whoever that is."""
        if self.intake.closed(self.core, now) or not self.proposals.waiting:
            return
        leader = self.core.leader
        if not leader or (leader != self.member and not self._circle.hears(leader)):
            return
        while (batch := self.proposals.next(self.core.term)) is not None:
            if leader == self.member:
                self.intake.take(self.core, self.member, batch.number, batch.payload())
            else:
                self._say(leader, batch.forward())

    # What is committed.

    def _apply(self, now: int) -> None:
        if self._applying.turn(self.core, self._circle.up, now):
            self._seat.align(anew=True)
            self._circle.reach(self.core.committed)
        if self.halted and self.core.leading:
            self.core.step_down(self.core.term + 1)
        if self._applying.overfull:
            self.stop(self._applying.overfull)
        else:
            self._supply.turn(self._circle.up, self.core.leader, now)

    def _settled(self) -> None:
        self._circle.settled(self.core, self._clock.monotonic_ms())

    def _committed(self, entry: Entry) -> None:
        """Whoever has asked for it on another node waits until it is committed there; and who is to go has to hear of
        it while there still is a line."""
        for peer in self._circle.up if entry.change is not None else (entry.node,):
            if self.core.leading:
                self._outbox.hurry(peer)

    def _short(self, peer: str) -> None:
        """The core would send entries that are not in the log any more."""
        self._supply.short(peer, self.log.first_index - 1, self.core.committed, self._clock.monotonic_ms())

    def _look(self, now: int) -> None:
        """How the others stand, for whoever asks from aside."""
        if self.core.leading:
            self.contacts.led(now)
        if self.contacts.due(now):
            matches = self.core.matches() if self.core.leading else {}
            self.contacts.looked(now, matches, self._circle.up, self.log.last.index)

    def _say(self, peer: str, body: Body) -> None:
        if isinstance(body, Vote):
            body = msgspec.structs.replace(body, at_ms=self._time.now())
        self._outbox.say(self.core.term, self.core.committed, peer, body)

    def _noticed(self, now: int) -> None:
        leads = self.core.term if self.core.leading else 0
        if leads and leads != self._led_term:
            self._lines.info("raft.leads", term=leads)
            self._circle.leads(self.core.committed)
            self.lead_from = self._given_by if now < self._outbox.transfer_until_ms else ""
            self.contacts.leads(now)
        elif leads != self._led_term:
            self._lines.info("raft.leads-no-more", term=self._led_term)
            self.elections.stand(now)
        self._led_term = leads

    def stop(self, reason: str, *, fault: bool = True) -> None:
        """Take no further part: lines closed, callers answered. The first reason stays."""
        if self.stopped:
            return
        self.stopped = reason
        if fault:
            self._lines.error("raft.stopped", reason=reason)
        for peer in sorted(self._circle.up):
            self._network.drop(peer, "this node has stopped")
        problem: Problem = Busy("halted", f"this node has stopped: {reason}")
        self.proposals.end(problem, reason)
        self.reads.end(problem)
