"""What goes with a node is said before it goes."""

from __future__ import annotations

from typing import Any

import pytest
from features.engine import Engine
from features.membership.test_given_up import ADDRESS, FIRST, SECOND, member, shop

from girginosvm.core.errors import InUse, Missing, Unsafe
from girginosvm.daemon.leaving import check_leaving
from girginosvm.features.center.commands import PromoteCenter
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.membership import parting
from girginosvm.features.membership.commands import DrainMember, RemoveMember
from girginosvm.features.vm.commands import DestroyVm
from girginosvm.features.vm.reports import ReportVm

VOTERS = frozenset({"m1", "m2", "m3"})
NAMES = {FIRST: "m1", SECOND: "m2"}


@pytest.fixture
def two(engine: Engine) -> Engine:
    """m2 has a machine with an address, an image of its own, and is a center."""
    engine.furnish()
    member(engine, FIRST, "m1")
    member(engine, SECOND, "m2")
    engine.run(shop(SECOND), node=SECOND)
    (row,) = engine.rows("SELECT id FROM vm")
    engine.run(ReportVm(vm=row["id"], node=SECOND, state="running", reached=4), node=SECOND)
    image = RecordImage(
        name="own", node=SECOND, source="upload", sha256="1" * 64, size_bytes=1, virtual_bytes=1, format="qcow2",
        state="ready",
    )  # fmt: skip
    engine.run(image, node=SECOND)
    engine.run(PromoteCenter(node=SECOND, public_url="https://center.example.net:1997"))
    return engine


def test_machines_addresses_images_and_the_center_are_listed(two: Engine) -> None:
    lost = parting.lost_with(two.reader, SECOND)
    assert lost.machines == [parting.Machine("shop", "running", [ADDRESS])]
    assert (lost.images, lost.center, lost.disks) == (["own"], "https://center.example.net:1997", [])
    assert parting.lost_with(two.reader, FIRST) == parting.Lost("", [], [], [])


def test_a_kept_disk_is_listed(two: Engine) -> None:
    vm = two.rows("SELECT id FROM vm")[0]["id"]
    two.run(DestroyVm(vm=vm, force=True))
    two.run(ReportVm(vm=vm, node=SECOND, state="gone", reached=5), node=SECOND)
    assert parting.lost_with(two.reader, SECOND).disks == ["/srv/shop-0.qcow2"]


@pytest.mark.parametrize(
    ("who", "lost", "problem"),
    [(SECOND, False, InUse), (SECOND, True, None), (FIRST, False, None), ("x", True, Missing)],
)
def test_what_is_foreseen_is_what_is_done(two: Engine, who: str, lost: bool, problem: Any) -> None:
    said = parting.refusal(lambda: parting.removable(two.reader, who, lost=lost))
    assert bool(said) == bool(problem)
    if problem is None:
        two.run(RemoveMember(member=who, lost=lost))
        assert two.rows("SELECT 1 FROM member WHERE id = ?", who) == []
    else:
        with pytest.raises(problem) as caught:
            two.run(RemoveMember(member=who, lost=lost))
        assert said.startswith(f"{caught.value.detail} ({caught.value.code})")


def test_the_last_member_stays(engine: Engine) -> None:
    engine.furnish()
    member(engine, FIRST, "m1")
    with pytest.raises(Unsafe):
        parting.removable(engine.reader, FIRST, lost=True)


@pytest.mark.parametrize(
    ("reached", "says"),
    [
        (VOTERS, "it votes: 2 of 3 voters are left, 2 of them reached; changes stay possible"),
        ({"m1", "m3"}, "it votes: 2 of 3 voters are left, 2 of them reached; changes stay possible"),
        ({"m1", "m2"}, "it votes: 2 of 3 voters are left, 1 of them reached: nothing could be changed without it, so "
         "its vote is kept until others are back"),
    ],
)  # fmt: skip
def test_a_vote_that_goes_is_counted(reached: set[str], says: str) -> None:
    assert parting.vote_of("m2", parting.Voice(VOTERS, reached)) == says


def test_who_does_not_vote_takes_no_vote_along() -> None:
    assert parting.vote_of("m4", parting.Voice(VOTERS, VOTERS)) == "it does not vote"


def test_new_keys_wait_for_whoever_is_away() -> None:
    names = {"1": "m1", "2": "m2", "3": "m3"}
    assert "waits" not in parting.keys_after(names, "2", parting.Voice(VOTERS, {"m1", "m3"}))
    assert parting.keys_after(names, "2", parting.Voice(VOTERS, {"m1"})).endswith("waits for m3, not reached now")


def test_the_last_one_that_is_not_drained_is_told_that_nobody_can_take_its_vote(engine: Engine) -> None:
    member(engine, FIRST, "m1")
    member(engine, SECOND, "m2")
    assert not check_leaving(engine.reader, FIRST, removed=False)
    engine.run(DrainMember(node=SECOND))
    with pytest.raises(Unsafe) as refused:
        check_leaving(engine.reader, FIRST, removed=False)
    assert refused.value.code == "last-member"
    assert "drained are m2" in refused.value.detail
    assert not check_leaving(engine.reader, SECOND, removed=False)
