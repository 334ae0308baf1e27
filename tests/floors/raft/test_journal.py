"""What is flushed is never lost; what was not is cut cleanly; what is damaged is refused."""

import random
from pathlib import Path

import pytest
from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Entry
from girginosvm.core.errors import HostFault
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal, Vote

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
