"""What a survivor writes before it goes on alone: whole or not at all, whatever dies in between."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.codec import Outcome
from girginosvm.core.entries import Change, Entry
from girginosvm.core.errors import Busy, HostFault, Problem, Stale, Unsafe
from girginosvm.core.log import Log as Lines
from girginosvm.daemon import recovery
from girginosvm.features.cluster.commands import RecordRecovery
from girginosvm.features.cluster.model import GivenUp
from girginosvm.raft.journal import Journal, Vote
from girginosvm.raft.log import Log, Rosters, roster_of
from girginosvm.raft.membership import Member, Roster
from girginosvm.raft.recovery import Wish, survival
from girginosvm.raft.standing import Status
from tests.floors.raft.power import PowerLossDisk

CLOCK, CHANCE, QUIET = SystemClock(), SystemChance(), Lines(level="error")
ROOT = Actor("local", "local", "root", Role.ADMIN, "local")
OLD = Roster((Member("n1", "192.0.2.1:1995", voter=True), Member("n2", "192.0.2.2:1995", voter=True)))
ALONE = OLD.after(survival(OLD, "n1"))
STATUS = Status(
    "n1", 3, 4, 6, 1, 0, "", 1000, role="follower", deciding=("n1", "n2"), everybody=("n1", "n2"),
    electable=("n1", "n2"), last_term=3, last_at_ms=2000,
)  # fmt: skip
WISH = Wish(("n2",), (("n1", "h1"), ("n2", "h2")), "h2 burnt; ticket 4711", msgspec.msgpack.encode(ROOT))


def planned(folder: Path) -> recovery.Plan:
    recovery.take(folder, STATUS, WISH, CLOCK, CHANCE)
    plan = recovery.found(folder, "n1")
    assert plan is not None
    return plan


def journal_of(disk: PowerLossDisk, *tail: Entry) -> Journal:
    """Two voters, and a log of six entries and ``tail``, of which the last may have been acknowledged by nobody."""
    journal = Journal(disk, segment_bytes=8192, keep_payloads=True)
    journal.set_vote(Vote(3, "n2"))
    journal.set_members(msgspec.msgpack.encode(Rosters(((0, OLD),))))
    for index in range(1, 7):
        journal.append(Entry(index, 3, 1000 + index, "n2", (b"x" * 100,)))
    for entry in tail:
        journal.append(entry)
    journal.flush()
    return journal


def reopened(disk: PowerLossDisk, seed: int = 0) -> tuple[PowerLossDisk, Journal]:
    disk = disk.lose_power(random.Random(seed))
    return disk, Journal(disk, segment_bytes=8192, keep_payloads=True)


def test_what_was_decided_is_read_again_and_says_who_why_and_from_where(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert (plan.member, plan.gone, plan.rejoin) == ("n1", (GivenUp("n2", "h2"),), ())
    assert (plan.last_index, plan.last_term, plan.words, plan.actor) == (6, 3, WISH.words, ROOT)


def test_what_has_changed_since_a_person_looked_is_seen_and_nothing_is_written(tmp_path: Path) -> None:
    back = msgspec.structs.replace(STATUS, reached=("n2",))
    with pytest.raises(Unsafe) as caught:
        recovery.take(tmp_path, back, WISH, CLOCK, CHANCE)
    assert caught.value.code == "recover-needless"
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_of_one_has_nothing_to_recover(tmp_path: Path) -> None:
    alone = msgspec.structs.replace(STATUS, role="leader", deciding=(), everybody=(), electable=())
    with pytest.raises(Unsafe, match="1 of 1 voters are connected"):
        recovery.take(tmp_path, alone, WISH, CLOCK, CHANCE)


def test_a_disk_that_takes_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostFault) as caught:
        recovery.take(tmp_path / "nowhere", STATUS, WISH, CLOCK, CHANCE)
    assert caught.value.code == "recover-unwritten"


def test_a_damaged_or_foreign_file_is_nothing_to_go_by(tmp_path: Path) -> None:
    assert recovery.found(tmp_path, "n1") is None
    planned(tmp_path)
    with pytest.raises(HostFault, match="is of member n1"):
        recovery.found(tmp_path, "n9")
    (tmp_path / "recover").write_bytes(b"{")
    with pytest.raises(HostFault, match="cannot be read"):
        recovery.found(tmp_path, "n1")


def test_the_journal_goes_on_with_all_entries_one_member_and_a_higher_term(tmp_path: Path) -> None:
    disk = PowerLossDisk()
    journal_of(disk)
    disk, journal = reopened(disk)
    assert recovery.settle(journal, OLD, planned(tmp_path), QUIET, stamp_ms=0) == ALONE
    _, journal = reopened(disk)
    assert roster_of(journal) == ALONE
    assert (journal.vote, journal.last_index, journal.last_term) == (Vote(1003, "n1"), 7, 1003)
    assert [entry.index for entry in journal.entries] == [1, 2, 3, 4, 5, 6, 7]
    assert (journal.entries[-1].at_ms, journal.entries[-1].commands) == (1006, ())


def test_the_entry_is_found_at_once_and_by_every_later_start(tmp_path: Path) -> None:
    disk = PowerLossDisk()
    journal = journal_of(disk)
    recovery.settle(journal, OLD, planned(tmp_path), QUIET, stamp_ms=5000)
    assert reopened(disk)[1].entries[-1:] == journal.entries[-1:]
    assert journal.entries[-1].at_ms == 5000


def test_a_newcomer_that_reads_the_whole_log_ends_with_the_members_that_there_are(tmp_path: Path) -> None:
    """It begins with those of its admission, and meets the old ones on the way."""
    disk = PowerLossDisk()
    changes = [Change("add", "n3", "192.0.2.3:1995"), Change("nominate", "n3"), Change("promote", "n3")]
    tail = [Entry(7 + at, 3, 1007, "n2", (), change=change) for at, change in enumerate(changes)]
    recovery.settle(journal_of(disk, *tail), OLD, planned(tmp_path), QUIET, stamp_ms=0)
    disk, journal = reopened(disk)
    journal.append(Entry(11, 1003, 1008, "n1", (), change=Change("add", "n9", "192.0.2.9:1995")))
    journal.flush()
    _, journal = reopened(disk)
    journal.members = b""  # a newcomer has the entries, and not what its leader keeps beside them
    log = Log.found(journal, node="n9", stamp=lambda: 0, roster=OLD)
    assert log.roster.ids == {"n1", "n9"}
    assert log.roster.voters == {"n1"}


def test_settled_twice_is_settled_once(tmp_path: Path) -> None:
    disk, plan = PowerLossDisk(), planned(tmp_path)
    recovery.settle(journal_of(disk), OLD, plan, QUIET, stamp_ms=0)
    disk, journal = reopened(disk)
    recovery.settle(journal, ALONE, plan, QUIET, stamp_ms=0)
    assert reopened(disk)[1].vote == Vote(1003, "n1")


class Dark(Exception):
    """The power goes."""


@pytest.mark.parametrize("seed", range(40))
def test_a_power_loss_while_it_settles_leaves_the_old_members_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    disk, plan = PowerLossDisk(), planned(tmp_path)
    journal = journal_of(disk)

    def flush(name: str) -> None:
        raise Dark

    monkeypatch.setattr(disk, "flush", flush)
    with pytest.raises(Dark):
        recovery.settle(journal, OLD, plan, QUIET, stamp_ms=0)
    disk, journal = reopened(disk, seed)
    roster = roster_of(journal)
    assert roster in (OLD, ALONE)
    assert journal.vote in (Vote(3, "n2"), Vote(1003, "n1"))
    assert roster == OLD or journal.vote == Vote(1003, "n1")  # never alone in a term that others have
    assert journal.last_index in (6, 7)
    recovery.settle(journal, roster or OLD, plan, QUIET, stamp_ms=0)
    _, journal = reopened(disk, seed)
    assert roster_of(journal) == ALONE
    assert journal.last_index in (7, 8)  # an entry that was there without the rest is said again
    assert Log.found(journal, node="n1", stamp=lambda: 0).roster == ALONE


def test_a_change_of_members_at_the_end_of_the_log_changes_nobody(tmp_path: Path) -> None:
    disk = PowerLossDisk()
    change = Entry(7, 3, 1007, "n2", (), change=Change("add", "n3", "192.0.2.3:1995"))
    recovery.settle(journal_of(disk, change), OLD, planned(tmp_path), QUIET, stamp_ms=0)
    _, journal = reopened(disk)
    assert Log.found(journal, node="n1", stamp=lambda: 0).roster == ALONE


class Answers:
    """A log that answers one after the other, and keeps what it was asked."""

    def __init__(self, *outcomes: Outcome | Problem) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[codec.Envelope] = []

    async def propose(self, command: bytes) -> bytes:
        self.asked.append(codec.envelope(command))
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Problem):
            raise outcome
        return codec.encode(outcome)


async def recorded(folder: Path, answers: Answers) -> None:
    plan = recovery.found(folder, "n1")
    assert plan is not None
    await recovery.record(folder, plan, answers.propose, CLOCK, CHANCE, stamp_ms=0)


async def test_the_history_gets_it_under_the_name_of_whoever_asked_and_then_the_file_goes(tmp_path: Path) -> None:
    plan, answers = planned(tmp_path), Answers(Outcome(7, value=b"\xc0"))
    await recorded(tmp_path, answers)
    (said,) = answers.asked
    assert (said.request_id, said.actor, said.why, said.name) == (plan.request, ROOT, WISH.words, "RecordRecovery")
    body = msgspec.msgpack.decode(said.body, type=RecordRecovery)
    assert (body.member, body.gone, body.proof, body.last_index) == ("n1", plan.gone, WISH.words, 6)
    assert os.listdir(tmp_path) == []


async def test_after_a_day_without_power_it_is_said_under_a_fresh_id(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    answers = Answers(Outcome(7, problem=Stale("stale-request", "old").body()), Outcome(8, value=b"\xc0"))
    await recorded(tmp_path, answers)
    first, second = answers.asked
    assert first.request_id == plan.request != second.request_id
    assert msgspec.msgpack.decode(second.body, type=RecordRecovery).recovery == plan.request  # it is one all the same
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("trouble", [Busy("journal-full", "full"), Outcome(7, problem=Busy("x", "y").body())])
async def test_what_the_log_does_not_take_is_tried_again_by_the_next_start(
    tmp_path: Path, trouble: Outcome | Problem
) -> None:
    planned(tmp_path)
    with pytest.raises(Busy):
        await recorded(tmp_path, Answers(trouble))
    assert os.listdir(tmp_path) == ["recover"]
