"""After the last resort: those who were given up, or were there all the time, come back to the one that went on."""

from __future__ import annotations

import ssl

from tests.scenarios.last_resort import (
    PROOF,
    cluster,
    id_of,
    recover,
    recovered,
    shown,
    told,
    with_a_machine,
    without_the_others,
    write,
    written,
)
from tests.scenarios.test_join import Start, asked, joined, membership, refuses, start, token
from tests.scenarios.test_voters import settled

__all__ = ["start"]


def test_one_that_was_given_up_comes_back_disturbs_nobody_learns_it_and_can_begin_anew(start: Start) -> None:
    vm, (first, second) = with_a_machine(start, "n1", "n2")
    without_the_others(second, first)
    assert [one.partition(" ")[2] for one in recovered(second, "n1")["machines_there"]] == ["(n1)"]
    term = membership(second)["term"]
    first = start("n1", again=True)
    assert [one["name"] for one in told(first)["members"]] == ["n1", "n2"]  # as it was when it knew
    status, said = first.once("POST", "/v1/pools", {"name": "late", "path": "/srv/late"})
    assert status == 503, said
    write(second, "meanwhile")
    assert membership(second)["term"] == term
    assert [one["name"] for one in membership(second)["members"]] == ["n2"]
    assert second.ask("GET", f"/v1/vms/{vm}")["node"] == "n1"  # its machines stay described
    # It does not go on by itself, either.
    assert recover(first, "n2", proof=PROOF)[1]["code"] == "member-gone"

    first.ask("POST", "/v1/membership/leave", {"confirm": True})
    first.until("/v1/membership", lambda found: len(found["members"]) == 1 and not found["problems"])
    first.ready()
    status, said = asked(first, second, token(second))
    assert (status, said["code"]) == (409, "join-conflicts")
    assert "girginosvm membership remove n1 --lost" in said["detail"]
    assert second.ask("DELETE", "/v1/membership/members/n1", {})["code"] == "node-has-machines"
    assert len(second.ask("DELETE", "/v1/membership/members/n1", {"lost": True})["lost"]) == 1
    assert second.ask("DELETE", "/v1/membership/members/n1", {"lost": True})["code"] == "member-missing"
    joined(first, second, "n1")
    settled(first, 2)
    first.until("/v1/tokens", lambda found: "meanwhile" in {one["name"] for one in found["items"]})


def test_one_that_was_given_up_comes_back_in_with_its_running_machine(start: Start) -> None:
    vm, (first, second) = with_a_machine(start, "n1", "n2")
    without_the_others(second, first)
    recovered(second, "n1")
    first = start("n1", again=True)
    told(first)
    happened = [one for one in first.host()["happened"]["events"] if one[1] == vm]
    before = id_of(first, "n1")
    joined(first, second, "n1", confirm=True)
    assert id_of(second, "n1") != before
    seen = second.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")
    assert seen["node"] == "n1"
    assert [one for one in first.host()["happened"]["events"] if one[1] == vm] == happened
    assert [one["name"] for one in second.ask("GET", "/v1/images")["items"]] == ["tiny"]
    assert sorted(one["name"] for one in second.ask("GET", "/v1/nodes")["items"]) == ["n1", "n2"]


def test_a_wrong_proof_makes_two_clusters_that_do_not_mix_and_the_old_one_says_so(start: Start) -> None:
    first, second, third = cluster(start, 3)
    without_the_others(third, first, second)
    recovered(third, "n1", "n2")
    first, second = start("n1", again=True), start("n2", again=True)
    for node in (first, second):
        seen = node.until("/v1/membership", lambda found: any("two clusters" in one for one in found["problems"]))
        assert any(one.startswith("n3 was recovered without this node") for one in seen["problems"])
        assert seen["parted"] == "n3"
        found = node.ask("GET", "/v1/doctor")
        assert (found["verdict"], found["checks"][0]["says"][:29]) == ("fail", "n3 was recovered without this")
        quorum = node.ask("GET", "/v1/quorum")
        assert (quorum["quorum"], "two clusters" in quorum["says"]) == (True, True)
    assert "parted" not in membership(third)
    write(first, "theirs")
    write(third, "ours")
    assert "ours" not in written(second)
    assert "theirs" not in written(third)
    assert [one["name"] for one in membership(third)["members"]] == ["n3"]
    # The old one is let go of, node by node: what they wrote without n3 is gone with it.
    for node, name in ((first, "n1"), (second, "n2")):
        joined(node, third, name)
        node.until("/v1/tokens", lambda found: "ours" in {one["name"] for one in found["items"]})
    for node in (first, second, third):
        settled(node, 3)
    third.stop()
    write(first, "without-it")
    assert "theirs" not in written(first)


def test_a_survivor_that_is_there_is_told_to_come_back(start: Start) -> None:
    """Three vote and the fourth follows; two voters go, so a voter and an observer are left."""
    first, second, third = cluster(start, 3)
    fourth = start("n4").ready()
    joined(fourth, first, "n4")
    settled(fourth, 3)
    without_the_others(third, first, second)
    third.wait(lambda: shown(third)["rejoin"] == ["n4"], "n4 to be reached")
    said = recovered(third, "n1", "n2")
    assert said["command"] == "girginosvm membership token create"
    told(fourth)
    joined(fourth, third, "n4")
    assert sorted(one["name"] for one in membership(third)["members"]) == ["n3", "n4"]
    settled(fourth, 2)


def test_what_the_one_that_was_given_up_knows_opens_nothing_any_more(start: Start) -> None:
    first, second = cluster(start, 2)
    pki = [node.root / "var/lib/girginosvm/pki" for node in (first, second)]
    old = (pki[1] / "ca.crt").read_bytes()
    assert old == (pki[0] / "ca.crt").read_bytes()
    without_the_others(second, first)
    recovered(second, "n1")

    def over() -> bool:
        now = (pki[1] / "ca.crt").read_bytes()
        return now != old and now.count(b"BEGIN CERT") == 1

    second.wait(over, "the new CA to be the only one")
    assert len((pki[1] / "cluster.key").read_text().split()) == 2
    assert len((pki[0] / "cluster.key").read_text().split()) == 1
    third = start("n3").ready()
    joined(third, second, "n3")  # now there is a Raft port again
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pki[0] / "server.pem")
    address = next(one["address"] for one in membership(second)["members"] if one["here"])
    assert refuses(int(address.rpartition(":")[2]), context)
