"""Many storms, each from one seed. ``make sim SEEDS=300`` runs more; ``SEEDS=1 FIRST=n`` runs one again, exactly."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from sim.raft.invariants import Broken
from sim.raft.linear import NEVER, Operation, linearizable
from sim.raft.registers import Put
from sim.raft.storm import Storm
from sim.raft.world import Host, World
from sim.replay import traces

from girginosvm.core.entries import Change
from girginosvm.core.errors import Problem
from girginosvm.raft import elections, files, log

FIRST, COUNT = int(os.environ.get("FIRST", "0")), int(os.environ.get("SEEDS", "40"))


def storm(seed: int, *, dedup: bool = True) -> Storm:
    one = Storm(seed, dedup=dedup)
    try:
        one.run()
    except Exception as fault:
        raise Broken(f"SEEDS=1 FIRST={seed}: {fault!r}; faults: {'; '.join(one.faults)}") from fault
    return one


def test_no_storm_breaks_what_must_hold() -> None:
    acknowledged = terms = changes = installs = 0
    for seed in range(FIRST, FIRST + COUNT):
        one = storm(seed)
        acknowledged += len(one.acknowledged)
        terms += max(one.world.invariants.leaders)
        changes += len(one.changed)
        installs += one.world.installs
    # A storm in which nothing gets through, or nobody is ever replaced, would show nothing.
    assert acknowledged > 30 * COUNT
    assert terms >= 2 * COUNT
    assert changes >= COUNT // 2
    assert installs >= COUNT // 2


REPLAY = "from sim.raft.storm import Storm; one = Storm(7); one.run(); print(one.world.trace())"


def test_a_seed_replays_exactly_in_another_process_with_another_hash_seed() -> None:
    first, second = traces(REPLAY)
    assert first == second == storm(7).world.trace()


class Mutants:
    """The same code with one safety taken out. Each must be caught, or the storms are worth nothing."""

    @staticmethod
    def acknowledge_before_the_flush(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(log.Log, "needed", property(lambda self: 0))

    @staticmethod
    def count_and_apply_what_is_not_on_our_own_disk(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(log.Log, "needed", property(lambda self: 0))
        patch.setattr(log.Log, "flushed", property(lambda self: 1 << 40))

    @staticmethod
    def install_a_snapshot_that_is_not_flushed(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(World, "honest", False)

    @staticmethod
    def forget_at_a_start_what_was_being_installed(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(files.Files, "_sealed", lambda self, names: None)

    @staticmethod
    def vote_in_spite_of_a_living_leader(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(elections.Elections, "leader_alive", lambda self, now_ms: False)


def caught(run: Callable[[int], object], most: int) -> str:
    """What the first of ``most`` seeds that breaks says; empty when none does."""
    for seed in range(most):
        try:
            run(seed)
        except AssertionError as fault:
            return str(fault)
    return ""


@pytest.mark.parametrize(
    "mutant",
    [Mutants.acknowledge_before_the_flush, Mutants.count_and_apply_what_is_not_on_our_own_disk,
     Mutants.install_a_snapshot_that_is_not_flushed, Mutants.forget_at_a_start_what_was_being_installed],
)  # fmt: skip
def test_the_storms_catch_a_node_that_answers_before_its_disk(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutant(monkeypatch)
    assert caught(storm, 200)


def test_the_storms_catch_a_state_machine_that_does_not_know_a_request_again() -> None:
    assert "executed twice" in caught(lambda seed: storm(seed, dedup=False), 20)


def half_cut(seed: int) -> None:
    """A follower that lost the leader alone must not unseat it: the others hear it."""
    world = World(seed)
    leader = world.led()
    follower = next(name for name in world.voters if name != leader.name)
    world.network.part(leader.name, follower)
    world.run(9000)
    if len(world.invariants.leaders) != 1:
        raise Broken(f"seed {seed}: leaders {world.invariants.leaders}")


def test_a_node_that_lost_the_leader_alone_does_not_unseat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(5):
        half_cut(seed)
    Mutants.vote_in_spite_of_a_living_leader(monkeypatch)
    assert caught(half_cut, 5)


def test_a_node_that_was_cut_off_disturbs_nobody_when_it_returns() -> None:
    for seed in range(5):
        world = World(seed)
        leader = world.led()
        lost = next(name for name in world.voters if name != leader.name)
        for peer in world.voters:
            world.network.part(lost, peer)
        world.run(8000)
        world.network.heal()
        world.run(12_000)
        assert len(world.invariants.leaders) == 1


@pytest.mark.parametrize(("power", "most_ms"), [(True, 800), (False, 200)])
def test_a_dead_leader_is_replaced_soon_and_at_once_when_its_line_is_reset(power: bool, most_ms: int) -> None:
    gaps = []
    for seed in range(40):
        world = World(seed)
        leader = world.led()
        leader.stop(power=power)
        world.run(6000, stop=world.lead_passed_from(leader))
        gaps.append(world.now - 3000)
    assert sorted(gaps)[35] <= most_ms  # nine of ten; the others begin a second round
    assert max(gaps) <= 1500


def test_after_a_cold_start_one_wrong_clock_does_not_move_the_logs_time() -> None:
    """Whoever it is that has it, also the one that leads then."""
    led = set()
    for seed in range(30):
        world = World(seed)
        leader = world.led()
        leader.propose(Put("a", "k", "v"), lambda outcome: None)
        world.run(world.now + 1000)
        for host in world.hosts.values():
            host.stop(power=True)
        wrong = sorted(world.hosts)[seed % len(world.hosts)]
        world.hosts[wrong].clock.wall_offset_ms = 400 * 24 * 3600 * 1000
        leader = world.led(until=world.now + 3000)
        led.add(leader.name == wrong)
        leader.propose(Put("a", "k", "w"), lambda outcome: None)
        world.run(world.now + 1000)
        right = next(host for name, host in world.hosts.items() if name != wrong)
        assert right.memory.last_stamp_ms() <= right.clock.wall_ms()
    assert led == {True, False}


def test_a_leader_whose_flush_hangs_is_replaced_and_its_caller_learns_the_truth() -> None:
    world = World(1)
    leader = world.led()
    answers: list[object] = []
    leader.slow_ms = -1
    leader.propose(Put("a", "k", "v"), answers.append)
    world.run(9000, stop=world.lead_passed_from(leader))
    assert 6000 <= world.now <= 7500
    leader.slow_ms = 0
    world.run(world.now + 3000)
    executed = {tuple(host.store.executed) for host in world.hosts.values()}
    assert len(executed) == len(answers) == 1


def test_a_hand_over_takes_less_than_a_tenth_of_a_second_and_refuses_nobody() -> None:
    for seed in range(10):
        world = World(seed)
        world.network.slow_lines = 0.0
        leader = world.led()
        following = next(name for name in world.voters if name != leader.name)
        answers: list[object] = []
        for host in world.hosts.values():
            host.propose(Put(host.name, "k", host.name), answers.append)
        world.run(3000 + seed)  # at any moment of a write
        leader.member.hand_over(following)
        for host in world.hosts.values():
            host.propose(Put(f"{host.name} later", "k", host.name), answers.append)
        world.run(3100, stop=world.lead_passed_from(leader))
        assert world.leader() is world.hosts[following]
        world.run(3600)
        assert [isinstance(answer, bytes) for answer in answers] == [True] * 6


def test_a_single_voter_answers_for_nothing_that_a_power_loss_could_take() -> None:
    for seed in range(60):
        world = World(seed, voters=1, observers=1)
        voter, observer = world.led(), world.hosts["o1"]
        answers: list[object] = []
        for number in range(20):
            voter.propose(Put(f"{number}", "k", f"{number}"), answers.append)
            world.run(world.now + world.chance.randrange(0, 3))
        acknowledged, copied = len(answers), list(observer.store.executed)
        voter.stop(power=True)
        voter.start()
        world.run(world.now + 3000)
        assert len(voter.store.executed) >= acknowledged
        assert voter.store.executed[: len(copied)] == copied
        assert observer.store.executed == voter.store.executed


def changed(world: World, change: Change) -> None:
    """By whoever leads, until it is done."""
    answers: list[object] = []
    while b"" not in answers:
        assert len(answers) < 20, answers
        leader = world.leader()
        if leader is not None:
            leader.member.change(change, answers.append)
            leader.wake()
        world.run(world.now + 300)


@pytest.mark.parametrize("voters", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_a_node_joins_gets_a_vote_and_leaves_again_while_writes_go_on(voters: int, seed: int) -> None:
    world = World(seed, voters=voters)
    first = world.led()
    answers: list[object] = []

    def write(number: int, host: Host = first) -> None:
        host.propose(Put(f"{number}", "k", f"{number}"), answers.append)

    for number in range(60):
        world.at(3000 + 100 * number, lambda number=number: write(number))
    world.run(4000)
    changed(world, Change("add", "x1"))
    joiner = world.hosts["x1"] = Host(world, "x1")
    joiner.start()
    world.run(world.now + 500)
    changed(world, Change("nominate", "x1"))
    changed(world, Change("promote", "x1"))
    assert joiner.member.role == "follower"
    first.member.hand_over("x1")
    world.run(world.now + 500)
    assert world.leader() is joiner
    first.member.hand_over("x1")  # nothing: it leads no more
    joiner.member.hand_over(first.name)
    world.run(world.now + 500)
    changed(world, Change("demote", "x1"))
    assert joiner.member.role == "observer"
    changed(world, Change("remove", "x1"))
    world.run(10_000)
    assert "x1" not in joiner.member.log.settled(joiner.member.applied_index).ids  # it was told before it was let go
    assert not world.network.lines_of("x1")
    assert [type(answer) for answer in answers] == [bytes] * 60
    assert first.member.log.roster.voters == set(world.voters)


@pytest.mark.parametrize("voters", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_who_was_removed_and_does_not_hear_it_is_let_go_after_a_second_and_has_no_say_meanwhile(
    voters: int, seed: int
) -> None:
    world = World(seed, voters=voters, observers=1)
    leader, gone = world.led(), world.hosts["o1"]
    world.run(world.now + 1000)
    world.network.cut.add((leader.name, "o1"))
    changed(world, Change("remove", "o1"))
    gone.propose(Put("late", "k", "late"), lambda outcome: None)
    world.run(world.now + 300)
    assert leader.name in world.network.lines_of("o1")
    world.run(world.now + 1000)
    assert not world.network.lines_of("o1")
    assert "late" not in leader.store.executed


@pytest.mark.parametrize("seed", range(4))
def test_who_is_removed_while_another_has_its_second_has_one_of_its_own(seed: int) -> None:
    world = World(seed, voters=1, observers=2)
    leader, gone = world.led(), world.hosts["o2"]
    world.run(world.now + 1000)
    world.network.cut |= {(leader.name, "o1"), (leader.name, "o2")}
    changed(world, Change("remove", "o1"))
    world.run(world.now + 500)
    changed(world, Change("remove", "o2"))
    world.run(world.now + 300)  # the first one's is over
    world.network.cut.discard((leader.name, "o2"))
    world.run(world.now + 300)
    assert "o2" not in gone.member.log.settled(gone.member.core.committed).ids
    world.run(world.now + 1000)
    assert not [*world.network.lines_of("o1"), *world.network.lines_of("o2")]


@pytest.mark.parametrize("away", ["n3", "o1"])
@pytest.mark.parametrize("seed", range(4))
def test_who_was_away_follows_a_leader_that_joined_meanwhile(away: str, seed: int) -> None:
    """Its own log does not know the leader, so those that it does know introduce it."""
    world = World(seed, observers=1)
    first = world.led()
    if first.name == away:
        first.member.hand_over("n1")
        world.run(world.now + 500)
    world.hosts[away].stop(power=True)
    world.run(world.now + 2000)
    for change in ("add", "nominate", "promote"):
        changed(world, Change(change, "x1"))
        if change == "add":
            joiner = world.hosts["x1"] = Host(world, "x1")
            joiner.start()
            world.run(world.now + 500)
    leader = world.leader()
    assert leader is not None
    leader.member.hand_over("x1")
    world.run(world.now + 1000)
    assert world.leader() is joiner
    joiner.propose(Put("a", "k", "v"), lambda outcome: None)
    world.hosts[away].start()
    world.run(world.now + 3000)
    assert world.leader() is joiner
    assert world.hosts[away].store.registers.get("k") == "v"
    assert "x1" in world.hosts[away].member.log.roster.ids


@pytest.mark.parametrize("power", [True, False])
@pytest.mark.parametrize("voters", [1, 2])
def test_a_leader_that_dies_while_it_gives_a_vote_leads_again_when_it_is_back(voters: int, power: bool) -> None:
    for seed in range(30):
        world = World(seed, voters=voters, observers=1)
        leader = world.led()
        changed(world, Change("nominate", "o1"))
        leader = world.leader() or leader
        leader.member.change(Change("promote", "o1"), lambda outcome: None)
        leader.wake()
        world.run(world.now + seed % 6)
        leader.stop(power=power)
        world.run(world.now + 100)
        leader.start()
        answers: list[bytes | Problem] = []
        world.run(world.now + 3000)
        leader.propose(Put("a", "k", "v"), answers.append)
        world.run(world.now + 2000)
        assert [type(answer) for answer in answers] == [bytes], f"seed {seed}"
        assert {host.store.registers.get("k") for host in world.hosts.values()} == {"v"}


def write(began: int, ended: int, value: str) -> Operation:
    return Operation(began, ended, "write", value)


def read(began: int, ended: int, value: str | None) -> Operation:
    return Operation(began, ended, "read", value)


@pytest.mark.parametrize(
    ("history", "good"),
    [
        ([write(0, 1, "a"), read(2, 3, "a")], True),
        ([write(0, 1, "a"), read(2, 3, None)], False),
        ([write(0, 5, "a"), read(1, 2, None), read(3, 4, "a")], True),
        ([write(0, 5, "a"), read(1, 2, "a"), read(3, 4, None)], False),
        ([write(0, 1, "a"), write(2, NEVER, "b"), read(3, 4, "a"), read(5, 6, "b")], True),
        ([write(0, 1, "a"), write(2, NEVER, "b"), read(3, 4, "b"), read(5, 6, "a")], False),
    ],
)
def test_the_checker_knows_a_linearizable_history(history: list[Operation], good: bool) -> None:
    assert linearizable(history) is good
