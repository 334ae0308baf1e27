"""The story's chapters about the cluster itself: its members and their authority, its centers, its last resort."""

from __future__ import annotations

from features.engine import ADMIN
from features.teller import ADA, HASH, Teller

from girginosvm.core.units import GIB
from girginosvm.features.center.commands import DemoteCenter, PromoteCenter, ReportCenter
from girginosvm.features.cluster.commands import RecordRecovery
from girginosvm.features.cluster.model import GivenUp
from girginosvm.features.membership.authority import AdvanceAuthority, KeepAuthority, OfferAuthority, ReportTrust
from girginosvm.features.membership.commands import (
    AdmitMember,
    DescribeMember,
    DrainMember,
    OrderLead,
    RecordJoinToken,
    RemoveMember,
    UndrainMember,
)
from girginosvm.features.membership.tokens import RevokeJoinToken
from girginosvm.features.vm.bring import BringVm
from girginosvm.features.vm.model import BroughtDisk, BroughtNic

FIRST, SECOND, THIRD = (f"{digit * 8}-2222-7333-8444-555555555555" for digit in "123")
PLACE = {"address": "192.0.2.10:1995", "api": "192.0.2.10:1996"}
ITS_PLACE = {"address": "192.0.2.11:1995", "api": "192.0.2.11:1996"}


def members(t: Teller) -> None:
    """Nodes come in with tokens, bring machines, and go; then the cluster changes its authority."""
    t.say(DescribeMember(member=FIRST, name="m1", **PLACE), node=FIRST)
    t.refused("not-your-row", DescribeMember(member=SECOND, name="m1", **PLACE), node=FIRST)
    t.refused("member-same", DescribeMember(member=SECOND, name="m1", **PLACE), node=SECOND)
    t.refused("last-member", RemoveMember(member=FIRST))
    t.say(KeepAuthority(certificate="PEM", key="sealed:1:x"))
    t.refused("authority-kept", KeepAuthority(certificate="PEM", key="sealed:1:y"))
    _come_in(t)
    _bring(t)
    _go(t)
    _change_authority(t)
    t.refused("member-gone", DescribeMember(member=THIRD, name="m2", **PLACE), node=THIRD)


def _come_in(t: Teller) -> None:
    """With a token, once; and again under another id, when its first try never came."""
    t.say(RecordJoinToken(token_hash="e" * 64), actor=ADA)
    asks = {"token_hash": "e" * 64, "member": SECOND} | ITS_PLACE
    t.refused("join-token", AdmitMember(name="m2", **(asks | {"token_hash": "f" * 64})))
    t.refused("join-conflicts", AdmitMember(name="m1", **asks))
    t.say(AdmitMember(name="m2", **asks))
    t.say(AdmitMember(name="m2", **asks))
    t.refused("join-token", AdmitMember(name="m3", **(asks | {"member": THIRD})))
    t.say(RecordJoinToken(token_hash="8" * 64), actor=ADA)
    t.say(RevokeJoinToken(token="8" * 12), actor=ADA)
    t.say(RevokeJoinToken(token="8" * 12), actor=ADA)
    t.refused("join-token-missing", RevokeJoinToken(token="7" * 12))
    t.refused("join-token", AdmitMember(name="m4", **(asks | {"token_hash": "8" * 64, "member": FIRST[:-1] + "9"})))
    t.say(RecordJoinToken(token_hash="9" * 64), actor=ADA)
    t.say(AdmitMember(name="m2", token_hash="9" * 64, member=THIRD, **ITS_PLACE))
    t.refused("member-gone", DescribeMember(member=SECOND, name="m2", **ITS_PLACE), node=SECOND)
    t.say(DescribeMember(member=THIRD, name="m2", **ITS_PLACE), node=THIRD)


def _bring(t: Teller) -> None:
    """A machine that ran on it before."""
    vm = BringVm(
        node=THIRD, id="33333333-2222-4333-8444-555555555555", name="shop", project="default", generation=4,
        power="on", adopted=False, vcpu=2, memory_bytes=GIB, firmware="bios", image="", image_name="tiny",
        user_data="sealed:1:z",
        disks=(BroughtDisk("default", "/srv/shop-0.qcow2", "qcow2", GIB, "", "", full_copy=True),),
        nics=(BroughtNic("default", "52:54:00:00:00:07", "192.168.196.77", "gvm7", ""),),
    )  # fmt: skip
    t.refused("not-your-row", vm)
    t.say(vm, node=THIRD)
    t.refused("vm-brought", vm, node=THIRD)


def _go(t: Teller) -> None:
    """Drained, opened again, last to lead, and given up with what is on it."""
    t.refused("member-missing", DrainMember(node="none"))
    assert t.say(DrainMember(node=THIRD), actor=ADA) == {"node": "m2", "machines": ["shop"]}
    t.refused("last-member", DrainMember(node=FIRST))
    t.say(DrainMember(node=THIRD))
    t.say(UndrainMember(node=THIRD))
    t.refused("member-missing", OrderLead(node="none", order="first"))
    assert t.say(OrderLead(node=THIRD, order="last"), actor=ADA) == {"node": "m2", "order": "last"}
    t.say(OrderLead(node=THIRD, order="last"))
    t.say(ReportTrust(member=THIRD, trusts=1, shows=1), node=THIRD)
    t.refused("node-has-machines", RemoveMember(member=THIRD))
    t.say(RemoveMember(member=THIRD, lost=True), actor=ADA)
    t.refused("member-missing", RemoveMember(member=THIRD))


def _change_authority(t: Teller) -> None:
    """In three steps, each once everybody trusts the new one."""
    offer = OfferAuthority(certificate="PEM2", ca_key="sealed:1:k2", cluster_key="sealed:1:c2")
    t.say(offer, node=FIRST)
    t.refused("authority-passed", offer, node=FIRST)
    t.refused("authority-passed", AdvanceAuthority(generation=1, phase="alone"))
    t.refused("authority-passed", AdvanceAuthority(generation=2, phase="alone"))
    t.say(ReportTrust(member=FIRST, trusts=1, shows=1), node=FIRST)
    t.refused("authority-awaited", AdvanceAuthority(generation=2, phase="used"))
    t.refused("not-your-row", ReportTrust(member=FIRST, trusts=2, shows=2))
    t.say(ReportTrust(member=FIRST, trusts=2, shows=1), node=FIRST)
    t.say(AdvanceAuthority(generation=2, phase="used"))
    t.refused("authority-awaited", AdvanceAuthority(generation=2, phase="alone"))
    t.say(ReportTrust(member=FIRST, trusts=2, shows=2), node=FIRST)
    t.say(AdvanceAuthority(generation=2, phase="alone"))


def centers(t: Teller) -> None:
    """A node is promoted, says what came of it, and is demoted."""
    member = t.id("member", "m1")
    url = "https://center.example.net:1997"
    t.refused("member-missing", PromoteCenter(node="none", public_url=url))
    t.say(PromoteCenter(node=member, public_url=url, admin_email="Eve@example.org", admin_password=HASH), actor=ADA)
    t.say(PromoteCenter(node=member, public_url=url, admin_email="eve@example.org", admin_password=HASH + "3"))
    t.refused("not-your-row", ReportCenter(node=member, bind="0.0.0.0:1997"))
    t.say(ReportCenter(node=member, problem="cannot listen on 0.0.0.0:1997: Address already in use"), node=member)
    t.say(ReportCenter(node=member, bind="0.0.0.0:1997"), node=member)
    t.refused("confirm-missing", DemoteCenter(node=member))
    t.say(DemoteCenter(node=member, confirm=True))
    t.refused("center-missing", DemoteCenter(node=member, confirm=True))
    t.say(ReportCenter(node=member), node=member)


def recovery(t: Teller) -> None:
    """Most are gone for good, and one goes on: also from those that only agreement knows."""
    fifth, sixth, seventh = (f"{digit * 8}-2222-7333-8444-555555555555" for digit in "567")
    for digit, member in (("5", fifth), ("6", sixth)):
        t.say(DescribeMember(member=member, name=f"m{digit}", address=f"192.0.2.{digit}:1995", api="192.0.2.5:1996"),
              node=member)  # fmt: skip
    said = RecordRecovery(
        member=FIRST, recovery="44444444-2222-7333-8444-555555555555", gone=(GivenUp(fifth, "m5"),),
        rejoin=(GivenUp(seventh, "m7"),), last_index=7, last_term=2, proof="m5 burnt; ticket 4711",
    )  # fmt: skip
    t.refused("not-your-row", said)
    assert t.say(said, node=FIRST, actor=ADMIN) == {"recorded": True}
    assert t.say(said, node=FIRST, actor=ADMIN) == {"recorded": False}
    left = t.engine.rows("SELECT name, reason FROM member_gone WHERE reason LIKE '%recovered%' ORDER BY name")
    assert [row["name"] for row in left] == ["m5", "m6", "m7"]
    assert [row["id"] for row in t.engine.rows("SELECT id FROM member")] == [FIRST]
