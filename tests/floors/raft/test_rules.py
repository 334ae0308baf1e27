"""The pure parts, one rule at a time: filter, intake, proposals, the log's drafts and its time, elections."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest
from floors.raft.book import Book, FakeClock
from floors.raft.stand import Stand, item

from girginosvm.core.clock import SystemChance
from girginosvm.core.entries import Entry, Halt
from girginosvm.core.errors import NoQuorum, Problem, Unknown
from girginosvm.raft import messages
from girginosvm.raft.apply import Checkpointed, ThreadApplier
from girginosvm.raft.core import Timing
from girginosvm.raft.elections import PRIORITY_MS, Elections
from girginosvm.raft.filter import Deliver, Drop, StepDown, View, Wait, judge
from girginosvm.raft.journal import Base, Vote
from girginosvm.raft.lines import Heard
from girginosvm.raft.log import NOTHING, REGULAR, Log
from girginosvm.raft.logtime import LogTime
from girginosvm.raft.messages import Ack, Append, AskVote, Forward, Frame, NotTaken
from girginosvm.raft.proposals import UNDER_WAY, Command, Proposals

VOTERS = frozenset({"n1", "n2", "n3"})
VIEW = View(
    term=5, leading=False, leader="n2", leader_alive=True, last=Base(10, 4), committed=6, flushed=8,
    terms=lambda index: 4 if index <= 10 else None, voters=VOTERS, electable=VOTERS, votes=True,
    voted=frozenset(),
)  # fmt: skip
LEADS = msgspec.structs.replace(VIEW, leading=True, leader="n1")


def test_a_commit_index_is_cut_to_what_the_append_vouches_for() -> None:
    verdict = judge(VIEW, "n2", Frame(5, Append(5, 3, 4, 1000, (item(4, 4, b"x"),))))
    assert isinstance(verdict, Deliver)
    assert verdict.body == Append(5, 3, 4, 4, (item(4, 4, b"x"),))


@pytest.mark.parametrize(
    ("term", "ack", "verdict"),
    [
        (5, Ack(9, True, False), Deliver(Ack(9, True, False))),
        (5, Ack(10, True, False), Wait(Ack(10, True, False))),  # beyond what is flushed here
        (5, Ack(12, True, False), Drop("an acknowledgement of entries that this leader does not have")),
        (5, Ack(99, False, True), Deliver(Ack(11, False, True))),
        (4, Ack(9, True, False), Drop("an acknowledgement of another term")),
        (6, Ack(9, True, False), StepDown(6)),
    ],
)
def test_what_an_acknowledgement_is_worth(term: int, ack: Ack, verdict: object) -> None:
    assert judge(LEADS, "n3", Frame(term, ack)) == verdict


def test_a_node_without_a_vote_gives_none() -> None:
    forsaken = msgspec.structs.replace(VIEW, leader_alive=False)
    asked = Frame(6, AskVote(6, 10, 4))
    assert judge(forsaken, "n3", asked) == Deliver(asked.body)
    assert isinstance(judge(msgspec.structs.replace(forsaken, votes=False), "n3", asked), Drop)


def test_an_observer_in_a_higher_term_moves_nobody() -> None:
    assert isinstance(judge(LEADS, "o1", Frame(6, Ack(9, True, False))), Drop)
    assert isinstance(judge(LEADS, "o1", Frame(6, messages.Newer())), Drop)


# Intake.


def forward(stand: Stand, term: int, number: int, *, again: bool = False, life: int = 7) -> None:
    stand.hear("n2", term, Forward(term, life, number, (b"c%d" % number,), again))
    stand.settle()


def commands(stand: Stand) -> list[bytes]:
    log = stand.node.log
    return [one for index in range(1, log.last.index + 1) for one in log.entry(index).commands]


def test_a_batch_that_is_said_again_is_taken_once(stand: Stand) -> None:
    term = stand.lead()
    forward(stand, term, 1)
    forward(stand, term, 2)
    forward(stand, term, 1, again=True)
    forward(stand, term, 2, again=True)
    forward(stand, term, 1, life=8)  # the peer's next process counts anew
    assert commands(stand) == [b"c1", b"c2", b"c1"]
    assert stand.node.log.entry(2).node == "n2"


def test_a_batch_for_another_term_is_refused_but_not_one_that_may_be_here_already(stand: Stand) -> None:
    term = stand.lead()
    forward(stand, term - 1, 1)
    forward(stand, term - 1, 2, again=True)
    assert stand.said(NotTaken) == [("n2", NotTaken(1))]
    assert commands(stand) == []


# Proposals.


class Asked:
    """Proposals, and the answers that came."""

    def __init__(self) -> None:
        self.answers: list[bytes | Problem] = []
        self.proposals = Proposals("n1", 3)

    def add(self, *texts: bytes) -> None:
        for text in texts:
            self.proposals.add(Command(text, self.answers.append, 1000))

    def sent(self, term: int) -> tuple[bytes, ...]:
        batch = self.proposals.next(term)
        return () if batch is None else batch.payload()


def test_a_batch_that_a_later_term_has_passed_by_is_sent_again_in_its_order() -> None:
    asked = Asked()
    asked.add(b"a", b"b")
    assert asked.sent(1) == (b"a", b"b")
    asked.add(b"c")
    assert asked.sent(1) == (b"c",)
    asked.proposals.applied(Entry(5, 1, 0, "n2", ()), ())
    assert asked.sent(1) == ()
    asked.proposals.applied(Entry(6, 2, 0, "n2", ()), ())
    assert asked.sent(2) == (b"a", b"b", b"c")
    assert asked.answers == []


def test_an_outcome_goes_to_the_batch_with_its_number_and_to_no_other() -> None:
    asked = Asked()
    asked.add(b"a")
    batch = asked.proposals.next(1)
    assert batch is not None
    asked.proposals.applied(Entry(1, 1, 0, "n2", (b"x",), batch.number), (b"theirs",))
    asked.proposals.applied(Entry(2, 1, 0, "n1", (b"a",), 99), (b"of an earlier life",))
    assert asked.answers == []
    asked.proposals.applied(Entry(3, 1, 0, "n1", (b"a",), batch.number), (b"ours",))
    assert asked.answers == [b"ours"]


def test_who_waits_too_long_learns_whether_it_may_have_happened() -> None:
    asked = Asked()
    asked.add(b"a")
    asked.sent(1)
    asked.add(b"b")
    asked.proposals.expire(999)
    assert asked.answers == []
    asked.proposals.expire(1000)
    assert [type(answer) for answer in asked.answers] == [NoQuorum, Unknown]


def test_no_more_than_two_batches_are_under_way() -> None:
    asked = Asked()
    for _ in range(UNDER_WAY):
        asked.add(b"x")
        assert asked.sent(1) == (b"x",)
    asked.add(b"y")
    assert asked.sent(1) == ()


# The log.


def test_a_draft_of_another_term_becomes_an_empty_entry() -> None:
    """Whoever proposed it was promised: in that term, or nowhere."""
    log = Log(Base(0, 0), Vote(6, "n1"), node="n1", stamp=lambda: 77)
    for term in (6, 5):
        log.add(REGULAR + msgspec.msgpack.encode(Entry(0, term, 0, "n2", (b"x",))), log.last.index + 1, 6)
    assert log.entry(1) == Entry(1, 6, 77, "n2", (b"x",))
    assert log.entry(2) == Entry(2, 6, 77, "n1", ())
    assert log[-1][0][:1] == NOTHING


def test_the_logs_time_goes_on_from_another_leaders() -> None:
    clock = FakeClock()
    time = LogTime(clock, 500)
    first = time.next(1)
    clock.mono += 100
    clock.wall += 100
    time.seen(first + 5000)
    clock.mono += 100
    clock.wall += 100
    assert first + 5090 <= time.next(3) <= first + 5110


@pytest.mark.parametrize(
    ("walls", "begins"),
    [
        ((9_000_000,), 9_000_000),  # a cluster of one has only its own clock
        ((9_000_000, 1_000_000), 1_000_000),
        ((1_000_000, 9_000_000), 1_000_000),
        ((9_000_000, 1_000_000, 1_000_100), 1_000_100),
        ((1_000_000, 0, 1_000_100), 1_000_000),
        ((0, 0, 0), 500),
    ],
)
def test_after_a_cold_start_no_single_clock_says_what_time_it_is(walls: tuple[int, ...], begins: int) -> None:
    clocks = [FakeClock() for _ in walls]
    for clock, wall in zip(clocks, walls, strict=True):
        clock.wall = wall
    leader, *voters = (LogTime(clock, 500) for clock in clocks)
    for number, voter in enumerate(voters):
        leader.told(7, f"n{number}", voter.now())
    assert leader.next(7) == begins


def test_whoever_has_seen_the_logs_time_pass_trusts_no_clock() -> None:
    clock = FakeClock()
    time = LogTime(clock, 500)
    time.seen(1000)
    clock.wall, clock.mono = 10**12, 50
    time.told(7, "n2", 10**12)
    assert time.now() == 1050
    assert 1050 <= time.next(7) <= 1055


def test_what_was_said_in_another_term_does_not_count() -> None:
    clock = FakeClock()
    time = LogTime(clock, 500)
    time.told(6, "n2", 700)
    assert time.next(7) == clock.wall


# Elections.


@pytest.fixture
def patience() -> Callable[[], Elections]:
    return lambda: Elections(Timing(), SystemChance(), 0)


def test_a_hint_delays_by_at_most_three_tenths_of_a_second_and_never_forbids(patience: Callable[[], Elections]) -> None:
    one = patience()
    one.favour(10**9)
    one.heard(0)
    assert one.deadline_ms <= 800 + PRIORITY_MS
    assert one.tick(800 + PRIORITY_MS, alone=False).kind == "ask"


def test_a_campaign_wants_a_majority_of_this_rounds_pre_votes(patience: Callable[[], Elections]) -> None:
    one = patience()
    old = one.tick(900, alone=False).nonce
    new = one.tick(1000, alone=False).nonce
    assert [one.granted(1000, peer, old, voters=5).kind for peer in ("n2", "n3", "n4")] == ["wait"] * 3
    assert [one.granted(1000, peer, new, voters=5).kind for peer in ("n2", "n2", "n3")] == ["wait", "wait", "campaign"]
    assert one.granted(1000, "n4", new, voters=5).kind == "wait"


def test_a_reset_line_brings_the_question_forward_but_no_election(patience: Callable[[], Elections]) -> None:
    one = patience()
    one.heard(1000)
    assert one.leader_alive(1100)
    one.gone(1100)
    assert not one.leader_alive(1100)
    assert one.tick(1150, alone=False).kind == "ask"


# Applying, in its own thread.


def test_an_applier_gives_what_it_applied_and_then_the_halt() -> None:
    book = Book()
    book.halt_at = 3
    woken = threading.Semaphore(0)
    applier = ThreadApplier(book, woken.release)
    applier.submit([Entry(index, 1, index, "n1", (b"x",)) for index in range(1, 6)])
    for _ in range(3):
        assert woken.acquire(timeout=5)
    assert [entry.index for entry, _ in applier.collect()] == [1, 2]
    with pytest.raises(Halt, match="told to"):
        applier.collect()
    applier.close()


def test_a_checkpoint_that_fails_undoes_nothing_and_says_why() -> None:
    class Full(Book):
        def checkpoint(self) -> int:
            raise OSError(28, "No space left on device")

    woken = threading.Semaphore(0)
    applier = ThreadApplier(Full(), woken.release)
    applier.checkpoint()
    applier.submit([Entry(1, 1, 1, "n1", (b"x",))])
    for _ in range(2):
        assert woken.acquire(timeout=5)
    failed, (entry, _) = applier.collect()
    assert failed == Checkpointed(0, "OSError: [Errno 28] No space left on device")
    assert entry.index == 1
    applier.close()


def test_what_the_leader_could_not_apply_does_not_enter_its_log_for_anybody() -> None:
    stand = Stand(objection=lambda command: "it is poison" if command == b"poison" else "")
    term = stand.lead()
    before = stand.node.log.last
    stand.hear("n3", term, Forward(term, 1, 1, (b"good", b"poison"), False))
    stand.settle()
    assert (stand.dropped, stand.node.log.last) == (["n3"], before)
    stand.hear("n2", term, Forward(term, 2, 1, (b"good",), False))
    stand.settle()
    assert stand.node.log.last.index == before.index + 1


def test_reads_of_one_turn_are_one_question_and_each_is_answered() -> None:
    stand = Stand()
    term = stand.lead()
    stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
    stand.settle()
    stand.sent = []
    stand.turn(*(Heard("n3", messages.encode(term, messages.AskRead(nonce))) for nonce in range(200)))
    asked = stand.said(messages.Confirm)
    assert [peer for peer, _ in asked] == ["n2", "n3"]
    stand.hear("n2", term, messages.Confirmed(asked[0][1].nonce))
    answers = stand.said(messages.ReadAt)
    assert [(peer, one.nonce) for peer, one in answers] == [("n3", nonce) for nonce in range(200)]


def test_only_the_leader_says_from_which_entry_on_a_read_is_up_to_date() -> None:
    stand = Stand()
    stand.follow(1, 0, 0)
    done: list[object] = []
    stand.node.read(done.append)
    stand.turn()
    ((leader, asked),) = stand.said(messages.AskRead)
    stand.hear("n3", 1, messages.ReadAt(asked.nonce, 0))
    assert (leader, done) == ("n2", [])
    stand.hear("n2", 1, messages.ReadAt(asked.nonce, 0))
    assert done == [None]


@pytest.mark.parametrize("alive", [True, False])
def test_a_term_that_no_elections_have_led_to_is_nobodys(alive: bool) -> None:
    """The last one that a frame can name left no term to stand in, for good; a member without a vote could say it while
    nobody led."""
    last = 2**53
    view = msgspec.structs.replace(VIEW, leader_alive=alive)
    for peer in ("n2", "o1"):
        for body in (
            AskVote(last, 10**6, last),
            AskVote(last, 1, 1, True),
            Append(last, 10, 4, 6, ()),
            Ack(11, True, False),
        ):
            assert isinstance(judge(view, peer, Frame(last, body)), Drop)
        assert isinstance(judge(view, peer, Frame(last, messages.Newer())), Drop)
    assert isinstance(
        judge(msgspec.structs.replace(view, leader_alive=False), "n2", Frame(1005, AskVote(1005, 20, 5))), Deliver
    )
