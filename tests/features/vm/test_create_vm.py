"""A create books everything or nothing."""

from typing import Any

import pytest
from features.engine import NODE, Engine

from girginosvm.core.errors import Conflict, Invalid, Missing, OverQuota
from girginosvm.core.words import Said
from girginosvm.features.image.commands import RemoveImage
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.network.queries import resolve as network_id
from girginosvm.features.operation.queries import ListOperations
from girginosvm.features.storage.commands import ForgetDisk
from girginosvm.features.storage.queries import ListDisks
from girginosvm.features.storage.queries import resolve as pool_id
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.power import RebootVm, StartVm, StopVm
from girginosvm.features.vm.queries import ListVms, ShowVm
from girginosvm.features.vm.reports import ReportVm

BOOKED = ("vm", "vm_disk", "vm_nic", "lease", "operation")


def create(engine: Engine, image: str, name: str = "web01", **fields: Any) -> CreateVm:
    network = network_id(engine.reader, fields.pop("network", "default")) or "none"
    return CreateVm(name=name, image=image, network=network, pool=pool_id(engine.reader, "default") or "", **fields)


def counts(engine: Engine) -> dict[str, int]:
    return {table: engine.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in BOOKED}


def test_a_machine_gets_node_disk_mac_and_the_lowest_free_address(engine: Engine) -> None:
    image = engine.furnish()
    answer = engine.run(create(engine, image, memory_mb=512))
    shown = ShowVm(vm=answer["vm"]).fetch(engine.reader)
    assert (shown.state, shown.node, shown.addresses, shown.disk_gb) == ("building", "h1", ["192.168.196.2"], 1)
    assert shown.macs[0].startswith("52:54:00:")
    assert engine.run(create(engine, image, "web02"))["vm"] != answer["vm"]
    assert [vm.addresses for vm in ListVms().fetch(engine.reader).items] == [["192.168.196.2"], ["192.168.196.3"]]


def test_a_freed_address_is_the_next_one_given(engine: Engine) -> None:
    image = engine.furnish()
    first = engine.run(create(engine, image, "a"))["vm"]
    engine.run(create(engine, image, "b"))
    engine.run(DestroyVm(vm=first, purge=True, force=True))
    engine.run(ReportVm(vm=first, node=NODE, state="gone", reached=2))
    third = engine.run(create(engine, image, "c"))["vm"]
    assert ShowVm(vm=third).fetch(engine.reader).addresses == ["192.168.196.2"]


@pytest.mark.parametrize(
    ("fields", "family", "code"),
    [
        ({"memory_mb": 1024 * 1024}, OverQuota, "memory-short"),
        ({"disk_gb": 60000}, OverQuota, "pool-full"),
        ({"network": "nowhere"}, Missing, "network-missing"),
        ({"address": "10.0.0.1"}, Invalid, "address-outside"),
        ({"address": "192.168.196.1"}, Invalid, "address-outside"),
        ({"address": "999.1.1.1"}, Invalid, "address-invalid"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_stays(
    engine: Engine, fields: dict[str, Any], family: type, code: str
) -> None:
    image = engine.furnish()
    before = counts(engine)
    with pytest.raises(family) as caught:
        engine.run(create(engine, image, **fields))
    assert caught.value.code == code
    assert counts(engine) == before


def test_the_last_address_goes_to_one_machine_only(engine: Engine) -> None:
    image = engine.furnish()
    engine.run(AddNetwork(name="small", bridge="br-small", cidr="10.9.0.0/30", gateway="10.9.0.1"))
    engine.run(create(engine, image, "one", network="small"))
    with pytest.raises(OverQuota, match=r"no free address in 10\.9\.0\.2 to 10\.9\.0\.2"):
        engine.run(create(engine, image, "two", network="br-small"))


def test_a_name_is_unique_in_its_project_only(engine: Engine) -> None:
    image = engine.furnish()
    engine.run(create(engine, image))
    with pytest.raises(Conflict, match="has a machine named web01"):
        engine.run(create(engine, image))
    assert engine.run(create(engine, image, project="other"))


def test_a_disk_smaller_than_the_image_is_refused_at_its_field(engine: Engine) -> None:
    engine.furnish()
    engine.machine._db.execute("UPDATE image SET min_disk_gb = 10")
    image = engine.rows("SELECT id FROM image")[0]["id"]
    with pytest.raises(Invalid) as caught:
        engine.run(create(engine, image, disk_gb=5))
    assert caught.value.faults[0].pointer == "/disk_gb"


def test_an_image_stays_while_a_disk_is_its_copy_on_write(engine: Engine) -> None:
    image = engine.furnish()
    engine.run(create(engine, image))
    with pytest.raises(Conflict, match="web01"):
        engine.run(RemoveImage(image=image))


def test_a_kept_disk_holds_its_image_and_its_room_until_it_is_forgotten(engine: Engine) -> None:
    image = engine.furnish(free_gb=100)
    vm = engine.run(create(engine, image, disk_gb=60))["vm"]
    engine.run(DestroyVm(vm=vm, force=True))
    engine.run(ReportVm(vm=vm, node=NODE, state="gone", reached=2))
    (disk,) = ListDisks().fetch(engine.reader).items
    assert (disk.vm, disk.size_gb, disk.image) == ("web01", 60, "tiny")
    with pytest.raises(Conflict, match="kept disk"):
        engine.run(RemoveImage(image=image))
    with pytest.raises(OverQuota, match="35 GiB left"):
        engine.run(create(engine, image, disk_gb=60))
    engine.run(ForgetDisk(disk=disk.id))
    assert engine.run(create(engine, image, disk_gb=60))
    assert ListDisks().fetch(engine.reader).items == []


@pytest.mark.parametrize("was_ready", [0, 1])
def test_that_it_is_gone_as_an_earlier_wish_had_it_does_not_say_that_it_was_ready(
    engine: Engine, was_ready: int
) -> None:
    """Destroyed twice before it was built: the word of the first is late, and its disk was never made."""
    image = engine.furnish()
    vm = engine.run(create(engine, image))["vm"]
    if was_ready:
        engine.run(ReportVm(vm=vm, node=NODE, state="stopped", reached=was_ready))
    engine.run(DestroyVm(vm=vm, force=True))
    engine.run(DestroyVm(vm=vm, force=True))
    engine.run(ReportVm(vm=vm, node=NODE, state="gone", reached=2))
    assert engine.rows("SELECT state, generation FROM vm_found") == [{"state": "gone", "generation": was_ready}]


def test_a_running_machine_is_not_destroyed_without_force(engine: Engine) -> None:
    image = engine.furnish()
    vm = engine.run(create(engine, image))["vm"]
    engine.run(ReportVm(vm=vm, node=NODE, state="running", reached=1))
    with pytest.raises(Conflict, match="is running"):
        engine.run(DestroyVm(vm=vm, purge=True))
    engine.run(DestroyVm(vm=vm, purge=True, force=True))
    with pytest.raises(Conflict, match="being destroyed"):
        engine.run(StartVm(vm=vm))


def test_an_operation_ends_when_its_generation_is_reached_and_not_before(engine: Engine) -> None:
    image = engine.furnish()
    answer = engine.run(create(engine, image))
    engine.run(ReportVm(vm=answer["vm"], node=NODE, state="stopped", step="bridge br-nat is not ready"))
    assert engine.rows("SELECT state, step FROM operation") == [
        {"state": "running", "step": "bridge br-nat is not ready"}
    ]
    (told,) = ListOperations().fetch(engine.reader).items
    assert (told.step, told.step_said) == ("bridge br-nat is not ready", Said("step.bridge", {"bridge": "br-nat"}))
    engine.run(ReportVm(vm=answer["vm"], node=NODE, state="running", reached=1))
    assert engine.rows("SELECT state FROM operation") == [{"state": "done"}]


def test_a_later_wish_overtakes_an_earlier_one(engine: Engine) -> None:
    image = engine.furnish()
    vm = engine.run(create(engine, image))["vm"]
    engine.run(StopVm(vm=vm))
    assert engine.rows("SELECT kind, state FROM operation ORDER BY created_index") == [
        {"kind": "vm.create", "state": "failed"},
        {"kind": "vm.stop", "state": "running"},
    ]
    with pytest.raises(Conflict, match="is off"):
        engine.run(RebootVm(vm=vm))


def test_a_node_speaks_of_its_own_machines_only(engine: Engine) -> None:
    image = engine.furnish()
    vm = engine.run(create(engine, image))["vm"]
    with pytest.raises(Exception, match="spoke for node"):
        engine.run(ReportVm(vm=vm, node=NODE, state="running", reached=1), node="n2")


def test_the_same_request_twice_makes_one_machine(engine: Engine) -> None:
    image = engine.furnish()
    first = engine.run(create(engine, image), key="k")
    assert engine.run(create(engine, image), key="k") == first
    assert counts(engine)["vm"] == 1


def test_a_machine_that_crashed_and_should_be_off_is_simply_stopped(engine: Engine) -> None:
    image = engine.furnish()
    vm = engine.run(create(engine, image))["vm"]
    engine.run(ReportVm(vm=vm, node=NODE, state="crashed", reason="crashed", reached=1))
    assert ShowVm(vm=vm).fetch(engine.reader).state == "crashed"
    engine.run(StopVm(vm=vm))
    engine.run(ReportVm(vm=vm, node=NODE, state="crashed", reason="crashed", reached=2))
    assert ShowVm(vm=vm).fetch(engine.reader).state == "stopped"


def test_a_create_like_one_before_has_no_statement_prepared(engine: Engine) -> None:
    """Preparing costs more than running, on every node. The guard is asked when a statement is prepared, only then."""
    image = engine.furnish()
    db = engine.machine._db
    guard, asked = db.authorizer, list[Any]()
    assert guard is not None

    def watched(*words: Any) -> int:
        asked.append(words)
        return guard(*words)

    db.authorizer = watched  # from here on everything is prepared anew, once
    for name in ("a", "b"):
        engine.run(create(engine, image, name))
    assert asked
    asked.clear()
    engine.run(create(engine, image, "c"))
    assert asked == []
