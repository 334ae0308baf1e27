"""Whether anything can be changed, said from what a node knows; one rule at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from girginosvm.cli import catalogue, verbs
from girginosvm.daemon.doctor import agreement_of
from girginosvm.daemon.place import Place
from girginosvm.daemon.quorum import Seen, quorum_of
from girginosvm.features.membership.api import Row
from girginosvm.raft.standing import HEARD_MS, Status

ROWS = tuple(
    Row(f"id-n{n}", f"n{n}", f"192.0.2.{n}:1995", f"192.0.2.{n}:1996", "member", witness=False) for n in (1, 2, 3)
)
PLACE = Place("id-n1", "c1", "n1", "192.0.2.1:1995", "192.0.2.1:1996")
ALL = ("id-n1", "id-n2", "id-n3")
LEADS = Status(
    "id-n1", 4, 90, 91, 1, 0, "", 0, role="leader", leader="id-n1", voters=ALL, members=ALL,
    reached=("id-n2", "id-n3"), lag={"id-n2": 0, "id-n3": 7}, silent_ms={"id-n2": 20, "id-n3": 90}, leader_age_ms=0,
)  # fmt: skip
FOLLOWS = msgspec.structs.replace(LEADS, role="follower", leader="id-n2", lag={}, silent_ms={}, leader_age_ms=60)
FORSAKEN = msgspec.structs.replace(FOLLOWS, leader="", leader_age_ms=9_000, silent_ms={"id-n2": 9_000, "id-n3": 9_000})


def seen(status: Status | None, **more: Any) -> Seen:
    return Seen(**{"rows": ROWS, "place": PLACE, "status": status, "libvirt_uri": "qemu:///system", **more})


def test_a_leader_says_who_is_how_far_behind_and_how_many_may_fail() -> None:
    said = quorum_of(seen(LEADS, panels={"id-n2": True, "id-n3": False}))
    assert (said.quorum, said.leader, said.voters, said.voters_reached, said.may_fail) == (True, "n1", 3, 3, 1)
    assert said.says == "n1 leads, 3 of 3 voters are reached: 1 of 3 voters may fail"
    assert [(one.name, one.role, one.reached, one.panel, one.lag, one.heard_ms) for one in said.members] == [
        ("n1", "leader", True, True, 0, 0), ("n2", "voter", True, True, 0, 20), ("n3", "voter", True, False, 7, 90),
    ]  # fmt: skip
    assert said.by_hand == []


def test_a_follower_knows_when_the_leader_was_heard_and_makes_no_numbers_up_for_the_others() -> None:
    said = quorum_of(seen(FOLLOWS))
    assert (said.quorum, said.leader, said.leader_age_ms) == (True, "n2", 60)
    assert [(one.role, one.lag, one.heard_ms) for one in said.members] == [
        ("voter", None, 0), ("leader", None, 60), ("voter", None, None),
    ]  # fmt: skip


def test_an_observer_does_not_call_another_one_unreached_to_which_it_has_no_line() -> None:
    watches = msgspec.structs.replace(
        FOLLOWS, voters=("id-n2",), reached=("id-n2",), unwatched=("id-n3",), role="observer"
    )
    said = quorum_of(seen(watches, panels={"id-n3": True}))
    assert [(one.name, one.role, one.reached, one.panel) for one in said.members] == [
        ("n1", "observer", True, True), ("n2", "leader", True, None), ("n3", "observer", None, True),
    ]  # fmt: skip
    assert said.says == "n2 is the only voter: changes are possible as long as it runs"
    assert agreement_of(said, watches, "").unreached == ()
    joined = msgspec.structs.replace(watches, reached=("id-n2", "id-n3"), unwatched=())
    assert quorum_of(seen(joined)).members[2].reached is True


def test_a_voter_that_is_silent_is_not_counted_though_its_line_is_up() -> None:
    status = msgspec.structs.replace(LEADS, silent_ms={"id-n2": 20, "id-n3": HEARD_MS})
    said = quorum_of(seen(status))
    assert (said.quorum, said.voters_reached, said.may_fail) == (True, 2, 0)
    assert said.says == "n1 leads, 2 of 3 voters are reached: no further voter may fail"
    assert [one.reached for one in said.members] == [True, True, False]


def test_without_a_majority_it_says_how_many_are_needed_who_is_missing_and_what_to_do() -> None:
    said = quorum_of(seen(FORSAKEN))
    assert (said.quorum, said.leader, said.voters_reached, said.may_fail) == (False, "", 1, 0)
    assert said.says == ("nothing can be changed: 2 of 3 voters are needed; reached from here: 1; not reached: n2, n3")
    commands = [one.command for one in said.by_hand]
    assert commands[0] == "systemctl start girginosvm-raft girginosvm"
    assert "n2, n3" in said.by_hand[0].what
    assert "ping -c 3 192.0.2.2" in commands
    assert "virsh -c qemu:///system list --all" in commands
    assert commands[-1] == "girginosvm cluster recover"


@pytest.mark.parametrize("status", [LEADS, FOLLOWS])
def test_a_node_with_a_majority_says_first_that_there_are_two_clusters(status: Status) -> None:
    said = quorum_of(seen(status, notice="n1 was recovered without this node"))
    assert (said.quorum, said.says) == (True, "n1 was recovered without this node")


def test_a_leader_that_was_not_heard_for_long_leads_no_more() -> None:
    status = msgspec.structs.replace(FOLLOWS, leader_age_ms=HEARD_MS)
    said = quorum_of(seen(status))
    assert (said.quorum, said.leader) == (False, "")
    # The lines are up and nobody is known to be silent: an election is what is missing, and no voter.
    assert said.says == "no leader was heard for 2 s, though 3 of 3 voters are reached from here: changes wait"
    assert "girginosvm cluster recover" not in [one.command for one in said.by_hand]


def test_one_voter_of_three_that_is_missing_is_no_reason_to_recover() -> None:
    status = msgspec.structs.replace(FORSAKEN, silent_ms={"id-n2": 20, "id-n3": 9_000})
    said = quorum_of(seen(status))
    assert not said.quorum
    assert "girginosvm cluster recover" not in [one.command for one in said.by_hand]


def test_a_node_whose_raft_process_is_away_says_so_and_how_to_begin_it_anew() -> None:
    said = quorum_of(seen(None, away="the raft process of this node does not answer"))
    assert (said.quorum, said.voters, said.leader_age_ms) == (False, 0, None)
    assert said.says.startswith("the raft process of this node does not answer: nothing can be changed through it")
    assert "systemctl restart girginosvm-raft" in [one.command for one in said.by_hand]
    assert [one.lag for one in said.members] == [None, None, None]


@pytest.mark.parametrize("status", [LEADS, FOLLOWS])
def test_a_node_that_takes_no_part_any_more_says_why(status: Status) -> None:
    said = quorum_of(seen(msgspec.structs.replace(status, halted="the disk is full")))
    assert not said.quorum
    assert said.says == "this node applies nothing any more, and shows what it knew: the disk is full"


def test_a_leader_whose_disk_hangs_changes_nothing_and_a_follower_s_leader_does() -> None:
    assert not quorum_of(seen(msgspec.structs.replace(LEADS, trouble="the journal's flush hangs"))).quorum
    assert quorum_of(seen(msgspec.structs.replace(FOLLOWS, trouble="the journal's flush hangs"))).quorum


def test_a_cluster_of_one_is_its_own_quorum() -> None:
    alone = Status("id-n1", 1, 5, 5, 1, 0, "", 0)
    said = quorum_of(seen(alone, rows=()))
    assert (said.quorum, said.leader, said.voters, said.may_fail) == (True, "n1", 1, 0)
    assert said.says == "this node is the only voter: changes are possible as long as it runs"
    assert [(one.name, one.role, one.here) for one in said.members] == [("n1", "leader", True)]
    full = quorum_of(seen(msgspec.structs.replace(alone, trouble="the disk does not take more"), rows=()))
    assert (full.quorum, full.says) == (False, "the disk does not take more")


def test_roles_that_do_not_vote_are_told_apart() -> None:
    rows = (
        *ROWS,
        Row("id-n4", "n4", "192.0.2.4:1995", "192.0.2.4:1996", "member", witness=True, drained=True),
        Row("id-n5", "n5", "192.0.2.5:1995", "192.0.2.5:1996", "joining", witness=False),
        Row("id-n6", "n6", "192.0.2.6:1995", "192.0.2.6:1996", "member", witness=False),
    )
    said = quorum_of(seen(msgspec.structs.replace(LEADS, nominated=("id-n6",)), rows=rows))
    assert [(one.role, one.witness, one.drained) for one in said.members[3:]] == [
        ("observer", True, True), ("joining", False, False), ("nominated", False, False),
    ]  # fmt: skip


def test_a_node_without_machines_of_its_own_is_told_nothing_of_virsh() -> None:
    said = quorum_of(seen(FORSAKEN, libvirt_uri=""))
    assert not [one for one in said.by_hand if "virsh" in one.command]


def test_every_command_of_ours_that_is_advised_exists() -> None:
    status = msgspec.structs.replace(FORSAKEN, halted="")
    advised = [*quorum_of(seen(status)).by_hand, *quorum_of(seen(None, away="it is away")).by_hand]
    ours = [one.command.split()[1:] for one in advised if one.command.startswith("girginosvm ")]
    assert ours
    assert [words for words in ours if verbs.find(catalogue.VERBS, words)[0] is None] == []


def test_a_node_that_the_others_have_let_go_is_told_that_and_not_to_start_them() -> None:
    notice = "the other members say that this node was removed"
    said = quorum_of(seen(FORSAKEN, notice=notice))
    assert (said.quorum, said.says) == (False, notice)
    assert all(one.command.startswith(("virsh ", "systemctl stop")) for one in said.by_hand)
    assert quorum_of(seen(FOLLOWS, notice=notice)).quorum  # two clusters with one id: this one is led
