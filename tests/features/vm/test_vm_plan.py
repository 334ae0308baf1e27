"""What is decided for a machine, and why."""

from girginosvm.core.host import FoundDomain, Power
from girginosvm.core.words import said
from girginosvm.features.vm.model import Wanted, WantedDisk, WantedNic
from girginosvm.features.vm.plan import (
    Adopt,
    Define,
    EnsureSeed,
    EnsureVolume,
    Found,
    LostVolume,
    PowerOff,
    Reached,
    Reboot,
    RemoveFiles,
    Shutdown,
    Start,
    Step,
    Undefine,
    Wait,
    plan,
    unbuilt,
)

DISK = WantedDisk("/pool/a.qcow2", "qcow2", 1)
NIC = WantedNic("52:54:00:00:00:01", "gvm1", "br0", 1500)


def wanted(**changes: object) -> Wanted:
    fields: dict[str, object] = {
        "id": "a", "name": "a", "generation": 1, "power": "on", "stop_mode": "", "stop_by_ms": 0, "reboots": 0,
        "reboot_force": False, "doomed": "", "adopted": False, "vcpu": 1, "memory_bytes": 1, "firmware": "bios",
        "disks": (DISK,), "nics": (NIC,),
    }  # fmt: skip
    return Wanted(**{**fields, **changes})  # type: ignore[arg-type]


def domain(power: Power = Power.RUNNING, generation: int = 1, ours: bool = True) -> FoundDomain:
    return FoundDomain(id="a", name="a", ours=ours, generation=generation, power=power)


def found(**changes: object) -> Found:
    fields: dict[str, object] = {
        "domain": None, "volumes": frozenset({DISK.path}), "bridges": frozenset({"br0"}),
        "guarded": frozenset({"gvm1"}), "seeded": True, "asked_shutdown": False, "cleared": False,
        "now_ms": 1000,
    }  # fmt: skip
    return Found(**{**fields, **changes})  # type: ignore[arg-type]


def kinds(steps: tuple[Step, ...]) -> list[type]:
    return [type(step) for step in steps]


def test_a_new_machine_is_built_defined_and_started_in_this_order() -> None:
    steps = plan(wanted(), found(volumes=frozenset(), seeded=False))
    assert kinds(steps) == [EnsureVolume, EnsureSeed, Define, Start, Reached]


def test_a_machine_does_not_start_before_its_guard_is_in_force() -> None:
    assert plan(wanted(), found(guarded=frozenset())) == (Wait(said("step.guard", tap="gvm1")),)


def test_a_machine_does_not_start_before_its_bridge_is_there() -> None:
    assert plan(wanted(), found(bridges=frozenset())) == (Wait(said("step.bridge", bridge="br0")),)


def test_a_machine_that_is_as_wanted_is_left_alone() -> None:
    assert plan(wanted(), found(domain=domain())) == (Reached(),)


def test_a_machine_killed_behind_our_back_is_started_again() -> None:
    assert kinds(plan(wanted(), found(domain=domain(Power.STOPPED)))) == [Start, Reached]


def test_a_guest_that_shut_itself_down_stays_off_until_it_is_started() -> None:
    itself = FoundDomain(id="a", name="a", ours=True, generation=1, power=Power.STOPPED, reason="shutdown")
    assert plan(wanted(found_generation=1), found(domain=itself)) == (Reached(),)
    assert kinds(plan(wanted(generation=2, found_generation=1), found(domain=itself))) == [Define, Start, Reached]


def test_a_foreign_domain_with_our_id_is_never_touched() -> None:
    assert kinds(plan(wanted(doomed="purge"), found(domain=domain(ours=False)))) == [Wait]


def test_a_host_with_a_newer_generation_is_left_alone() -> None:
    assert kinds(plan(wanted(), found(domain=domain(generation=7)))) == [Wait]


def test_a_graceful_stop_asks_once_and_then_waits() -> None:
    off = wanted(power="off", stop_mode="graceful", generation=2)
    assert kinds(plan(off, found(domain=domain(generation=2)))) == [Shutdown, Wait]
    assert kinds(plan(off, found(domain=domain(generation=2), asked_shutdown=True))) == [Wait]
    assert kinds(plan(off, found(domain=domain(Power.STOPPED, 2)))) == [Reached]


def test_the_power_is_cut_when_the_named_time_has_passed_and_not_before() -> None:
    off = wanted(power="off", stop_mode="graceful", stop_by_ms=5000)
    assert kinds(plan(off, found(domain=domain(), asked_shutdown=True, now_ms=4999))) == [Wait]
    assert kinds(plan(off, found(domain=domain(), asked_shutdown=True, now_ms=5000))) == [PowerOff, Reached]


def test_a_reboot_happens_once_per_request() -> None:
    assert kinds(plan(wanted(reboots=1), found(domain=domain()))) == [Reboot, Reached]
    assert kinds(plan(wanted(reboots=1, found_reboots=1), found(domain=domain()))) == [Reached]


def test_a_reboot_that_the_host_has_counted_is_not_done_again_though_nobody_reported_it() -> None:
    counted = FoundDomain(id="a", name="a", ours=True, generation=1, power=Power.RUNNING, reboots=1)
    assert plan(wanted(reboots=1), found(domain=counted)) == (Reached(),)
    assert plan(wanted(reboots=1, adopted=True), found(domain=counted)) == (Reached(),)
    assert kinds(plan(wanted(reboots=2, adopted=True), found(domain=counted))) == [Reboot, Reached]


def test_a_disk_that_was_lost_is_said_and_never_replaced_by_an_empty_one() -> None:
    lost = found(volumes=frozenset(), domain=domain(Power.STOPPED))
    assert kinds(plan(wanted(found_generation=1), lost)) == [LostVolume, Start, Reached]
    assert kinds(plan(wanted(found_generation=0), lost)) == [EnsureVolume, Start, Reached]


def test_a_machine_whose_disk_is_lost_can_still_be_stopped() -> None:
    lost = found(volumes=frozenset(), domain=domain(generation=2))
    off = wanted(power="off", stop_mode="force", generation=2, found_generation=1)
    assert kinds(plan(off, lost)) == [PowerOff, Reached]


def test_a_doomed_machine_is_gone_once_its_files_are() -> None:
    assert kinds(plan(wanted(doomed="purge"), found())) == [RemoveFiles, Reached]
    assert plan(wanted(doomed="purge"), found(cleared=True, volumes=frozenset())) == (Reached(),)
    assert plan(wanted(doomed="keep"), found(cleared=True)) == (Reached(),)
    assert kinds(plan(wanted(doomed="purge"), found(cleared=True, domain=domain()))) == [
        PowerOff,
        Undefine,
        RemoveFiles,
        Reached,
    ]


def test_a_machine_is_taken_apart_domain_first_and_keeps_its_disks_unless_purged() -> None:
    steps = plan(wanted(doomed="keep"), found(domain=domain()))
    assert kinds(steps) == [PowerOff, Undefine, RemoveFiles, Reached]
    assert RemoveFiles(()) in steps
    assert RemoveFiles((DISK.path,)) in plan(wanted(doomed="purge"), found())


def test_a_machine_first_destroyed_and_then_purged_loses_the_disks_that_were_kept_at_first() -> None:
    assert RemoveFiles((DISK.path,)) in plan(wanted(doomed="purge"), found(cleared=True))


def test_an_adopted_domain_destroyed_before_it_was_marked_is_marked_first() -> None:
    steps = plan(wanted(doomed="keep", adopted=True, disks=()), found(domain=domain(ours=False)))
    assert kinds(steps) == [Adopt, PowerOff, Undefine, RemoveFiles, Reached]


def test_a_disk_that_was_never_made_is_not_kept_and_a_lost_one_is() -> None:
    bare = found(volumes=frozenset())
    assert unbuilt(wanted(doomed="keep"), bare) == (0,)
    assert unbuilt(wanted(doomed="keep", found_generation=1), bare) == ()
    assert unbuilt(wanted(doomed="keep"), found()) == ()
    assert unbuilt(wanted(), bare) == ()
