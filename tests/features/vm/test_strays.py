"""Domains that the cluster does not have where they are: shown, never started or ended, and adopted when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from features.engine import NODE, Engine
from features.nodes import cluster, created
from features.rooms import Room

from girginosvm.core.errors import Conflict
from girginosvm.core.host import FoundDomain, FoundNic, Guard, Power
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.vm.commands import AdoptVm, DestroyVm
from girginosvm.features.vm.model import tap_name
from girginosvm.features.vm.queries import ListVms, ShowVm
from girginosvm.features.vm.reconciler import VmReconciler
from girginosvm.features.vm.reports import ReportForeign, ReportVm
from girginosvm.features.vm.strays import Held, Stray, strays

VM = "11111111-2222-4333-8444-555555555555"
DOMAIN = FoundDomain(id=VM, name="web-11111111", ours=True, generation=7, power=Power.RUNNING)
HAD = "192.168.196.77"
NIC = FoundNic("52:54:00:aa:bb:cc", "br-nat", tap_name(VM, 0), (HAD,))


def domain(**changed: Any) -> FoundDomain:
    return msgspec.structs.replace(DOMAIN, **changed)


@pytest.mark.parametrize(
    ("found", "held", "wanted"),
    [
        (domain(), {}, [Stray(VM, "web-11111111", runs=True)]),
        (domain(power=Power.PAUSED), {}, [Stray(VM, "web-11111111", runs=True)]),
        (domain(power=Power.STOPPED), {}, [Stray(VM, "web-11111111", runs=False)]),
        (domain(), {VM: Held("n2", "h2")}, [Stray(VM, "web-11111111", runs=True, elsewhere="h2")]),
        (domain(ours=False), {VM: Held("n2", "h2")}, [Stray(VM, "web-11111111", runs=True, elsewhere="h2")]),
        (domain(), {VM: Held(NODE, "h1")}, []),
        (domain(ours=False), {VM: Held(NODE, "h1")}, []),
        (domain(ours=False), {}, []),
    ],
)
def test_a_domain_is_stray_by_our_mark_or_by_its_id(
    found: FoundDomain, held: dict[str, Held], wanted: list[Stray]
) -> None:
    assert list(strays((found,), held, NODE)) == wanted


def test_what_may_run_twice_comes_first() -> None:
    off, gone, twice = (domain(id=f"{n}{VM[1:]}") for n in "234")
    off = msgspec.structs.replace(off, power=Power.STOPPED)
    found = strays((off, gone, twice), {twice.id: Held("n2", "h2")}, NODE)
    assert [one.id for one in found] == [twice.id, gone.id, off.id]


async def test_a_machine_that_the_cluster_gave_up_is_shown_left_alone_and_adopted_as_it_runs(tmp_path: Path) -> None:
    """Its host came back with it, into a cluster that knows nothing of it any more."""
    lost, now = Engine(), Engine()
    before, after = Room(lost, tmp_path), Room(now, tmp_path)
    try:
        cluster(lost)
        async with before.at_work(NetworkReconciler(before.site), VmReconciler(before.site)):
            vm = created(lost, "web", memory_mb=128, address=HAD)["vm"]
            before.wake()
            await before.until(lambda: before.row("SELECT 1 FROM vm_found WHERE state = 'running'"), "web to run")
        cluster(now)
        async with after.at_work(NetworkReconciler(after.site), VmReconciler(after.site)):
            await after.until(lambda: after.row("SELECT 1 FROM vm_foreign"), "it to be said")
            (shown,) = ListVms(foreign=True).fetch(now.reader).items
            assert (shown.id, shown.state, shown.state_reason, shown.ours) == (vm, "foreign", "running", False)
            (event,) = now.rows("SELECT text FROM event WHERE kind = 'vm.stray'")
            assert event["text"] == (
                f"domain web-{vm[:8]} on h1 (running) carries our mark, and the cluster does not have it"
            )
            happened = list(after.host.state.section("happened")["events"])
            assert await after.host.filter.observe() == ()  # nothing passes its interface meanwhile
            after.wake()
            adopted = now.run(AdoptVm(vm=vm, name="web"))
            after.wake()
            done = "SELECT 1 FROM operation WHERE id = ? AND state = 'done'"
            await after.until(lambda: after.row(done, adopted["operation"]), "the adoption")
            assert after.host.state.section("happened")["events"] == happened  # nobody touched it
            assert after.row("SELECT generation FROM vm WHERE id = ?", vm) == {"generation": 1}
            nic = after.row("SELECT * FROM vm_nic WHERE vm = ?", vm)
            lease = after.row("SELECT text, mac FROM lease WHERE vm = ?", vm)
            assert (nic["address"], lease) == (HAD, {"text": HAD, "mac": nic["mac"]})
            assert await after.host.filter.observe() == (Guard(nic["tap"], nic["mac"], (HAD,)),)
            now.run(DestroyVm(vm=vm, force=True))
            after.wake()
            await after.until(lambda: not after.row("SELECT 1 FROM vm"), "its end, when somebody asks for it")
    finally:
        lost.close()
        now.close()


def test_it_goes_on_from_the_generation_that_its_host_holds(engine: Engine) -> None:
    cluster(engine)
    engine.run(ReportForeign(node=NODE, domains=(DOMAIN,)))
    engine.run(AdoptVm(vm=VM, name="web"))
    assert ShowVm(vm=VM).fetch(engine.reader).generation == 7


def test_a_machine_that_runs_on_two_hosts_says_so_and_is_not_adopted(engine: Engine) -> None:
    cluster(engine, "n2")
    vm = created(engine, "web", node=NODE)["vm"]
    engine.run(ReportVm(vm=vm, node=NODE, state="running", reached=1))
    assert ShowVm(vm=vm).fetch(engine.reader).problem is None
    twin = domain(id=vm, ours=False)
    engine.run(ReportForeign(node="n2", domains=(twin,)), node="n2")
    (shown,) = ListVms(foreign=True).fetch(engine.reader).items  # once, and not as a foreign one
    assert shown.problem is not None
    assert shown.problem == ShowVm(vm=vm).fetch(engine.reader).problem
    assert (shown.state, shown.problem.code) == ("running", "runs-twice")
    assert shown.problem.detail.startswith("n2 runs a domain of this machine too")
    with pytest.raises(Conflict, match="has the id"):
        engine.run(AdoptVm(vm=vm))
    engine.run(ReportForeign(node="n2", domains=(twin,)), node="n2")
    (event,) = engine.rows("SELECT text FROM event WHERE kind = 'vm.stray'")  # said once
    assert event["text"] == "domain web-11111111 on n2 (running) is machine web, which the cluster has on h1"
    engine.run(ReportForeign(node="n2", domains=(domain(id=vm, power=Power.STOPPED),)), node="n2")
    assert ShowVm(vm=vm).fetch(engine.reader).problem is None


def test_an_address_that_another_machine_was_given_meanwhile_refuses_the_adoption_and_names_it(engine: Engine) -> None:
    cluster(engine)
    created(engine, "mail", address=HAD)
    engine.run(ReportForeign(node=NODE, domains=(domain(nics=(NIC,)),)))
    with pytest.raises(Conflict, match=f"{HAD} is leased to machine mail") as caught:
        engine.run(AdoptVm(vm=VM, name="web"))
    assert caught.value.code == "address-taken"
    assert engine.rows("SELECT 1 FROM vm WHERE id = ?", VM) == []
    engine.run(DestroyVm(vm=engine.rows("SELECT id FROM vm")[0]["id"], force=True))
    mail = engine.rows("SELECT id, generation FROM vm")[0]
    engine.run(ReportVm(vm=mail["id"], node=NODE, state="gone", reached=mail["generation"]))
    engine.run(AdoptVm(vm=VM, name="web"))
    assert [row["text"] for row in engine.rows("SELECT text FROM lease WHERE vm = ?", VM)] == [HAD]


@pytest.mark.parametrize(
    ("nic", "code"),
    [
        (msgspec.structs.replace(NIC, bridge="br-gone"), "bridge-unknown"),
        (msgspec.structs.replace(NIC, addresses=("172.16.0.1",)), "address-outside"),
    ],
)
def test_what_could_not_be_guarded_is_not_adopted(engine: Engine, nic: FoundNic, code: str) -> None:
    cluster(engine)
    engine.run(ReportForeign(node=NODE, domains=(domain(nics=(nic,)),)))
    with pytest.raises(Conflict) as caught:
        engine.run(AdoptVm(vm=VM, name="web"))
    assert caught.value.code == code
    assert engine.rows("SELECT 1 FROM vm UNION SELECT 1 FROM lease") == []


def test_an_address_that_nobody_knows_is_the_next_free_one(engine: Engine) -> None:
    cluster(engine)
    taken = created(engine, "mail")["vm"]
    engine.run(ReportForeign(node=NODE, domains=(domain(nics=(msgspec.structs.replace(NIC, addresses=()),)),)))
    engine.run(AdoptVm(vm=VM, name="web"))
    texts = {row["vm"]: row["text"] for row in engine.rows("SELECT vm, text FROM lease")}
    assert len(set(texts.values())) == 2
    assert set(texts) == {taken, VM}


def test_of_a_foreign_domain_no_interface_is_ours_to_guard(engine: Engine) -> None:
    cluster(engine)
    strange = domain(ours=False, generation=0, nics=(msgspec.structs.replace(NIC, addresses=()),))
    engine.run(ReportForeign(node=NODE, domains=(strange,)))
    engine.run(AdoptVm(vm=VM, name="web"))
    (nic,) = engine.rows("SELECT network, address FROM vm_nic WHERE vm = ?", VM)
    assert (nic, engine.rows("SELECT 1 FROM lease")) == ({"network": "", "address": ""}, [])
