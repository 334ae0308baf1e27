"""After a recovery: who was given up is no member, what was on its host stays described, and the host may bring it
back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from features.engine import FACTS, Engine

from girginosvm.core.errors import Conflict, Forbidden, InUse, Missing
from girginosvm.core.units import GIB
from girginosvm.features.center.api import seats
from girginosvm.features.center.commands import PromoteCenter
from girginosvm.features.center.queries import ShowCenters
from girginosvm.features.cluster.commands import RecordRecovery
from girginosvm.features.cluster.model import GivenUp
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.membership import api, queries
from girginosvm.features.membership.commands import (
    AdmitMember,
    DescribeMember,
    OrderLead,
    RecordJoinToken,
    RemoveMember,
)
from girginosvm.features.membership.model import Brought, BroughtVm
from girginosvm.features.node.commands import BeginMaintenance, CordonNode, ReportNode, SetDomain
from girginosvm.features.node.queries import ListNodes, ShowNode
from girginosvm.features.vm.bring import BringVm
from girginosvm.features.vm.model import BroughtDisk, BroughtNic

FIRST, SECOND, LATER = (f"{digit * 8}-2222-7333-8444-555555555555" for digit in "123")
RECOVERY, SHOP = "44444444-2222-7333-8444-555555555555", "33333333-2222-4333-8444-555555555555"
URL = "https://center.example.net:1997"
MAC, ADDRESS = "52:54:00:00:00:07", "192.168.196.77"


def member(engine: Engine, one: str, name: str) -> None:
    place = f"192.0.2.{one[0]}"
    engine.run(DescribeMember(member=one, name=name, address=f"{place}:1995", api=f"{place}:1996"), node=one)
    engine.run(ReportNode(node=one, name=name, facts=FACTS), node=one)


def shop(node: str) -> BringVm:
    return BringVm(
        node=node, id=SHOP, name="shop", project="default", generation=4, power="on", adopted=False, vcpu=2,
        memory_bytes=GIB, firmware="bios", image="", image_name="tiny",
        disks=(BroughtDisk("default", "/srv/shop-0.qcow2", "qcow2", GIB, "", "", full_copy=True),),
        nics=(BroughtNic("default", MAC, ADDRESS, "gvm7", ""),),
    )  # fmt: skip


@pytest.fixture
def recovered(engine: Engine) -> Engine:
    """m1 goes on without m2, which has a machine, is a center, and leads last."""
    engine.furnish()
    member(engine, FIRST, "m1")
    member(engine, SECOND, "m2")
    engine.run(PromoteCenter(node=SECOND, public_url=URL))
    engine.run(OrderLead(node=SECOND, order="last"))
    engine.run(shop(SECOND), node=SECOND)
    engine.run(
        RecordRecovery(
            member=FIRST, recovery=RECOVERY, gone=(GivenUp(SECOND, "m2"),), last_index=9, last_term=2, proof="burnt"
        ),
        node=FIRST,
    )
    return engine


def admit(engine: Engine, name: str, *brings: str) -> Any:
    engine.run(RecordJoinToken(token_hash="e" * 64))
    brought = Brought(vms=tuple(BroughtVm(one, "shop", "default", (MAC,), (("default", ADDRESS),)) for one in brings))
    return engine.run(
        AdmitMember(
            token_hash="e" * 64, member=LATER, name=name, address="192.0.2.2:1995", api="192.0.2.2:1996",
            brought=brought,
        )
    )  # fmt: skip


def vms(engine: Engine) -> list[tuple[str, str]]:
    return [(row["name"], row["node"]) for row in engine.rows("SELECT name, node FROM vm ORDER BY name")]


def test_it_is_no_member_and_what_was_on_its_host_stays_described(recovered: Engine) -> None:
    assert [one.id for one in api.members(recovered.reader)] == [FIRST]
    assert api.standing(recovered.reader, SECOND) == "gone"
    assert api.why_gone(recovered.reader, SECOND) == api.RECOVERED
    assert vms(recovered) == [("shop", SECOND)]
    states = {row.name: row.state for row in ListNodes().fetch(recovered.reader).items}
    assert (states["m1"], states["m2"]) == ("ready", "silent")
    assert api.owes_new_keys(recovered.reader)
    with pytest.raises(Forbidden, match="was removed from this cluster"):
        member(recovered, SECOND, "m2")


def test_what_is_left_of_it_is_given_up_by_a_word_of_its_own(recovered: Engine) -> None:
    assert queries.resolve(recovered.reader, "m2") == SECOND
    with pytest.raises(InUse, match="1 machine is on m2: shop"):
        recovered.run(RemoveMember(member=SECOND))
    assert recovered.run(RemoveMember(member=SECOND, lost=True)) == {"member": SECOND, "name": "m2", "lost": ["shop"]}
    assert vms(recovered) == []
    assert queries.resolve(recovered.reader, "m2") is None
    with pytest.raises(Missing):
        recovered.run(RemoveMember(member=SECOND, lost=True))


def test_the_host_comes_back_with_all_its_machines_and_takes_the_place_of_what_it_was(recovered: Engine) -> None:
    admit(recovered, "m2", SHOP)
    assert vms(recovered) == []  # until it has said what it brings
    member(recovered, LATER, "m2")
    recovered.run(shop(LATER), node=LATER)
    assert vms(recovered) == [("shop", LATER)]
    assert queries.resolve(recovered.reader, "m2") == LATER


def test_where_it_stands_and_who_closed_it_is_said_of_the_host_that_comes_back(recovered: Engine) -> None:
    """Under two ids even: its first way back was cut off. Its vote is agreement's to give again."""
    recovered.run(SetDomain(node=SECOND, domain="rack2"))
    recovered.run(CordonNode(node=SECOND))
    recovered.run(BeginMaintenance(node=SECOND))
    admit(recovered, "m2", SHOP)
    last = LATER.replace("3", "4")
    recovered.run(RecordJoinToken(token_hash="f" * 64))
    recovered.run(
        AdmitMember(token_hash="f" * 64, member=last, name="m2", address="192.0.2.2:1995", api="192.0.2.2:1996")
    )
    recovered.run(DescribeMember(member=last, name="m2", address="192.0.2.2:1995", api="192.0.2.2:1996"), node=last)
    recovered.run(ReportNode(node=last, name="m2", facts=FACTS), node=last)
    back = ShowNode(node=last).fetch(recovered.reader)
    assert (back.domain, [one.holder for one in back.cordons]) == ("rack2", ["maintenance", "person"])
    assert recovered.rows("SELECT node FROM node_domain") == [{"node": last}]
    assert [(row.id, row.lead) for row in api.members(recovered.reader) if row.name == "m2"] == [(last, "last")]
    (center,) = ShowCenters().fetch(recovered.reader).items
    assert (center.node, center.state, center.public_url) == (last, "opening", URL)


def test_a_center_that_goes_with_a_recovery_is_named_in_the_history(engine: Engine) -> None:
    engine.furnish()
    member(engine, FIRST, "m1")
    member(engine, SECOND, "m2")
    engine.run(PromoteCenter(node=SECOND, public_url=URL))
    gone = RecordRecovery(
        member=FIRST, recovery=RECOVERY, gone=(GivenUp(SECOND, "m2"),), last_index=9, last_term=2, proof="burnt"
    )
    engine.run(gone, node=FIRST)
    (event,) = engine.rows("SELECT text FROM event WHERE kind = 'cluster.recovered'")
    assert "no center until it is back: m2" in event["text"]
    assert ShowCenters().fetch(engine.reader).items == []
    assert [seat.node for seat in seats(engine.reader)] == [SECOND]


def test_what_was_said_of_a_host_ends_with_its_removal(recovered: Engine) -> None:
    recovered.run(RemoveMember(member=SECOND, lost=True))
    admit(recovered, "m2")
    assert ShowCenters().fetch(recovered.reader).items == []
    assert seats(recovered.reader) == ()
    assert [row.lead for row in api.members(recovered.reader) if row.name == "m2"] == [""]


def test_a_host_that_comes_back_without_them_is_told_what_to_do_first(recovered: Engine) -> None:
    with pytest.raises(Conflict, match=r"gave node m2 up.*1 machines.*shop \(girginosvm membership remove m2 --lost"):
        admit(recovered, "m2")
    assert vms(recovered) == [("shop", SECOND)]


def test_another_host_does_not_take_its_place(recovered: Engine) -> None:
    with pytest.raises(Conflict, match="has a machine named shop already") as caught:
        admit(recovered, "m3", SHOP)
    assert MAC in caught.value.detail
    assert ADDRESS in caught.value.detail


def test_a_node_that_is_there_is_not_taken_for_one_that_was_given_up(recovered: Engine) -> None:
    with pytest.raises(Conflict, match="has a node named m1 already"):
        admit(recovered, "m1", SHOP)


def test_a_file_of_an_image_that_the_others_kept_is_a_copy_of_it(recovered: Engine) -> None:
    (tiny,) = recovered.rows("SELECT * FROM image")
    again = RecordImage(
        name="tiny", node=LATER, source="upload", sha256="0" * 64, size_bytes=1, virtual_bytes=GIB, format="qcow2",
        state="ready", id=tiny["id"],
    )  # fmt: skip
    for _ in range(2):
        assert recovered.run(again, node=LATER) == {"image": tiny["id"]}
    copies = recovered.rows("SELECT node, state FROM image_copy WHERE image = ? ORDER BY node", tiny["id"])
    assert (LATER, "ready") in [(row["node"], row["state"]) for row in copies]
    with pytest.raises(Conflict, match="image tiny is here already"):
        recovered.run(msgspec.structs.replace(again, sha256="1" * 64), node=LATER)
