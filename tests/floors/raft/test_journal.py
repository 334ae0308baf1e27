"""What is flushed is never lost; what was not is cut cleanly; what is damaged is refused."""

import random
from pathlib import Path

import msgspec
import pytest
from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Entry
from girginosvm.core.errors import HostFault
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Base, Journal, Vote

SMALL = 8192


def entry(index: int, size: int = 100) -> Entry:
    return Entry(index, 1, 1000 + index, "n1", (bytes([index % 251]) * size,))


def acknowledged_survive(seed: int, *, honest: bool) -> bool:
    """Write, flush and lose power at random; True when everything flushed is there, and nothing is half there."""
    chance = random.Random(seed)
    disk = PowerLossDisk(honest=honest)
    flushed: list[Entry] = []
    for _ in range(3):
        journal = Journal(disk, segment_bytes=SMALL)
        if journal.entries[: len(flushed)] != flushed:
            return False
        written = list(journal.entries)
        for _ in range(chance.randrange(1, 30)):
            written.append(entry(journal.last_index + 1, chance.randrange(1, 3000)))
            journal.append(written[-1])
            if chance.random() < 0.4:
                journal.flush()
                flushed = list(written)
        disk = disk.lose_power(chance)
    found = Journal(disk, segment_bytes=SMALL).entries
    return found[: len(flushed)] == flushed and [one.index for one in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("seed", range(120))
def test_power_loss_takes_nothing_that_was_flushed(seed: int) -> None:
    assert acknowledged_survive(seed, honest=True)


def test_a_disk_that_does_not_flush_is_caught_by_the_same_test() -> None:
    def survives(seed: int) -> bool:
        try:
            return acknowledged_survive(seed, honest=False)
        except HostFault:
            return False

    assert not all(survives(seed) for seed in range(20))


def filled(path: Path, count: int = 20) -> Journal:
    journal = Journal(RealDisk(path), segment_bytes=SMALL)
    for index in range(1, count + 1):
        journal.append(entry(index, 700))
        journal.flush()
    return journal


def test_entries_and_vote_are_found_again(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.set_vote(Vote(7, "n3"))
    journal.flush()
    journal.close()
    again = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    assert [one.index for one in again.entries] == list(range(1, 21))
    assert (again.vote, again.last_index, again.cut_bytes) == (Vote(7, "n3"), 20, 0)


def test_dropping_segments_keeps_vote_and_later_entries(tmp_path: Path) -> None:
    journal = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    journal.set_vote(Vote(3, "n1"))
    for index in range(1, 41):
        journal.append(entry(index, 700))
    journal.flush()
    assert journal.drop_through(25) > 0
    journal.close()
    again = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    assert again.first_index <= 26
    assert [one.index for one in again.entries] == list(range(again.first_index, 41))
    assert again.vote == Vote(3, "n1")


@pytest.mark.parametrize("number", [0, 1])
def test_a_flipped_byte_in_flushed_data_is_refused_not_cut(tmp_path: Path, number: int) -> None:
    filled(tmp_path).close()
    segment = sorted(tmp_path.iterdir())[number]
    data = bytearray(segment.read_bytes())
    data[1200] ^= 0x40
    segment.write_bytes(data)
    with pytest.raises(HostFault, match="has lost data that was acknowledged"):
        Journal(RealDisk(tmp_path), segment_bytes=SMALL)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 40).close()
    sorted(tmp_path.iterdir())[1].unlink()
    with pytest.raises(HostFault, match="does not follow"):
        Journal(RealDisk(tmp_path), segment_bytes=SMALL)


def test_a_full_disk_refuses_the_entry_and_the_next_try_works() -> None:
    disk = PowerLossDisk(room=SMALL)
    journal = Journal(disk, segment_bytes=SMALL)
    for index in range(1, 11):
        journal.append(entry(index, 700))
    with pytest.raises(OSError, match="No space left"):
        journal.append(entry(11, 700))
    disk.room = 10 * SMALL
    journal.append(entry(11, 700))
    journal.flush()
    assert [one.index for one in Journal(disk, segment_bytes=SMALL).entries] == list(range(1, 12))


def test_two_processes_cannot_open_one_journal(tmp_path: Path) -> None:
    first = RealDisk(tmp_path)
    with pytest.raises(BlockingIOError):
        RealDisk(tmp_path)
    first.close()
    RealDisk(tmp_path).close()


@pytest.mark.parametrize("seed", range(60))
def test_what_was_cut_stays_cut_and_what_was_flushed_stays(seed: int) -> None:
    """Generations of entries, cuts and votes; after each power loss the log is one that was flushed, or goes on
    from it by what was being written, in order."""
    chance = random.Random(seed)
    disk = PowerLossDisk()
    flushed: list[tuple[int, int]] = []
    term = 0
    for _ in range(4):
        journal = Journal(disk, segment_bytes=SMALL)
        found = [(one.index, one.term) for one in journal.entries]
        assert found[: len(flushed)] == flushed or len(flushed) == 0
        assert journal.vote.term >= max((one[1] for one in flushed), default=0)
        log = list(found)
        for _ in range(chance.randrange(1, 12)):
            term += 1
            journal.set_vote(Vote(term, "n2"))
            if log and chance.random() < 0.5:
                kept = chance.randrange(0, len(log) + 1)
                journal.cut(Base(kept, log[kept - 1][1] if kept else 0))
                del log[kept:]
            for _ in range(chance.randrange(0, 6)):
                index = len(log) + 1
                journal.append(Entry(index, term, 1, "n1", (bytes(chance.randrange(1, 2000)),)))
                log.append((index, term))
            journal.flush()
            flushed = list(log)
        disk = disk.lose_power(chance)
    again = Journal(disk, segment_bytes=SMALL)
    assert [(one.index, one.term) for one in again.entries] == flushed
    assert again.vote == Vote(term, "n2")


def test_old_segments_go_after_cuts_as_well(tmp_path: Path) -> None:
    journal = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    for index in range(1, 41):
        journal.append(entry(index, 700))
    journal.cut(Base(20, 1))
    journal.flush()
    for index in range(21, 61):
        journal.append(Entry(index, 2, 1, "n1", (bytes(700),)))
    journal.flush()
    assert journal.drop_through(45) > 0
    journal.close()
    again = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    assert again.first_index <= 46
    assert again.entries[0].index == again.base.index + 1
    assert [one.term for one in again.entries[-16:]] == [2] * 16
    assert again.base.term == (1 if again.base.index <= 20 else 2)


def test_a_log_that_continues_after_a_snapshot_forgets_what_was_before(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.set_vote(Vote(4, "n2"))
    journal.restart(Base(500, 3))
    journal.append(Entry(501, 4, 1, "n1", (b"x",)))
    journal.flush()
    assert journal.drop_through(500) > 0
    journal.close()
    again = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    assert ([one.index for one in again.entries], again.base, again.last_index) == ([501], Base(500, 3), 501)
    assert again.vote == Vote(4, "n2")
    with pytest.raises(HostFault, match="begins at 501"):
        again.check_follows(20)


def test_payloads_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """A newer release may have put a field into an entry that this one does not know."""
    payload = msgspec.msgpack.encode({**msgspec.to_builtins(entry(1), builtin_types=(bytes,)), "later": 7})
    journal = Journal(RealDisk(tmp_path), segment_bytes=SMALL)
    journal.append_payload(1, 1, payload)
    journal.flush()
    journal.close()
    assert Journal(RealDisk(tmp_path), segment_bytes=SMALL, keep_payloads=True).payloads == [payload]
