"""Many storms over the whole write path, each from one seed. ``make sim SEEDS=1000`` runs more; ``SEEDS=1 FIRST=n``
runs one again, exactly."""

from __future__ import annotations

import multiprocessing
import os
import uuid
from concurrent.futures import ProcessPoolExecutor

import pytest
from sim.raft.invariants import Broken
from sim.replay import traces
from sim.write.storm import Tally, WriteStorm, weather

from girginosvm.core.entries import Halt
from girginosvm.core.errors import HostFault
from girginosvm.daemon import execute
from girginosvm.raft import log
from girginosvm.state import requests, tx

FIRST = int(os.environ.get("FIRST", "0"))
# A commit's check runs some; `make test` and `make sim` say how many they want.
COUNT = int(os.environ.get("SEEDS") or os.environ.get("STORMS") or "20")


# So many at a time: a test that takes ten minutes, on a busy machine, is taken for one that hangs.
CHUNK = 20


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, CHUNK))
def test_no_storm_breaks_what_people_were_told(first: int) -> None:
    seeds = range(first, min(first + CHUNK, FIRST + COUNT))
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(min(cores, len(seeds)), multiprocessing.get_context("spawn")) as pool:
        tallies = list(pool.map(weather, seeds))
    # Storms in which nothing gets through, nobody is replaced and nothing is said twice would show nothing.
    if len(seeds) == CHUNK:
        total = Tally(*(sum(column) for column in zip(*tallies, strict=True)))
        assert total.acknowledged > 20 * CHUNK
        assert total.refused > 5 * CHUNK
        assert total.terms >= 2 * CHUNK
        assert total.doubted >= CHUNK // 2
        assert total.repeated >= CHUNK // 4


REPLAY = "from sim.write.storm import WriteStorm; one = WriteStorm(8); one.run(); print(one.trace())"


def test_a_seed_replays_exactly_in_another_process_with_another_hash_seed() -> None:
    first, second = traces(REPLAY)
    assert first == second
    assert len(first) > 200


class Mutants:
    """The same code with one promise taken out. Each must be caught, or the storms are worth nothing."""

    @staticmethod
    def acknowledge_before_the_flush(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(log.Log, "needed", property(lambda self: 0))
        patch.setattr(log.Log, "flushed", property(lambda self: 1 << 40))

    @staticmethod
    def know_no_request_again(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(requests, "known", lambda db, envelope, index: None)

    @staticmethod
    def refuse_by_what_a_node_that_is_behind_knows(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("sim.write.world.Agent._fresh", lambda self: execute._at_once())

    @staticmethod
    def make_ids_by_chance(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(tx.Tx, "new_id", lambda self: str(uuid.uuid4()))


MUTANTS = [value for name, value in vars(Mutants).items() if not name.startswith("_")]


def caught(most: int) -> tuple[int, str]:
    """The first of ``most`` seeds that breaks, and what it says; nothing said when none does."""
    for seed in range(most):
        if words := broken(seed):
            return seed, words
    return most, ""


def broken(seed: int) -> str:
    """What does not hold in this storm; "" when all does. Anything else that is raised is a fault of the storm, and of
    no promise: a mutant that only crashes has been caught by nobody."""
    words = ""
    try:
        WriteStorm(seed).run()
    except* (Broken, Halt, HostFault) as group:
        words = said(group)
    return words


def said(fault: BaseException) -> str:
    """The words of the first thing that went wrong."""
    return said(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else str(fault)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_storms_catch(mutant: staticmethod[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant.__func__(patch)
        seed, words = caught(40)
    assert words, f"none of {seed} seeds breaks"


def test_a_failing_seed_fails_again_with_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    Mutants.refuse_by_what_a_node_that_is_behind_knows(monkeypatch)
    seed, words = caught(40)
    assert words, f"none of {seed} seeds breaks"
    assert broken(seed) == words
