"""What to do next for one machine. Pure: wanted and found in, steps with reasons out.

The order of a start is the order of safety: volume, seed, bridge and guard are seen first, then the domain is
defined, then it runs. A machine is taken apart in the opposite order, and the row goes last, so that a crash
anywhere leaves something that the next round finishes.
"""

from __future__ import annotations

import msgspec

from girginosvm.core.host import FoundDomain, Power
from girginosvm.core.words import Said, said
from girginosvm.features.vm.model import Wanted, WantedDisk


class Wait(msgspec.Struct, frozen=True):
    """Nothing can be done yet; woken again by change or time."""

    said: Said
    until_ms: int = 0


class EnsureVolume(msgspec.Struct, frozen=True):
    """Build a disk."""

    disk: WantedDisk


class LostVolume(msgspec.Struct, frozen=True):
    """A disk that was there once is gone: said, never replaced by an empty one."""

    path: str


class EnsureSeed(msgspec.Struct, frozen=True):
    """Write the cloud-init seed."""


class Define(msgspec.Struct, frozen=True):
    """Write the domain's definition, this generation."""

    reason: str


class Adopt(msgspec.Struct, frozen=True):
    """Mark an adopted domain as ours."""


class Start(msgspec.Struct, frozen=True):
    """Run it."""

    reason: str


class Shutdown(msgspec.Struct, frozen=True):
    """Ask the guest."""


class PowerOff(msgspec.Struct, frozen=True):
    """Cut its power."""

    reason: str


class Reboot(msgspec.Struct, frozen=True):
    """Ask the guest to reboot, or reset it."""

    force: bool


class Undefine(msgspec.Struct, frozen=True):
    """Forget the stopped domain."""


class RemoveFiles(msgspec.Struct, frozen=True):
    """Delete seed and serial log; the disks too when purging."""

    disks: tuple[str, ...]


class Reached(msgspec.Struct, frozen=True):
    """Everything is as this generation wants it."""


Step = (
    Wait | EnsureVolume | LostVolume | EnsureSeed | Define | Adopt | Start | Shutdown | PowerOff | Reboot | Undefine
    | RemoveFiles | Reached
)  # fmt: skip


class Found(msgspec.Struct, frozen=True):
    """What is there for one machine now."""

    domain: FoundDomain | None
    volumes: frozenset[str]
    bridges: frozenset[str]
    guarded: frozenset[str]
    seeded: bool
    asked_shutdown: bool  # the guest was asked during this generation
    cleared: bool  # the files of a doomed machine were removed
    now_ms: int


def plan(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    """The steps that can be taken now, in order. The last one is ``Reached`` or a ``Wait`` that says for what."""
    domain = found.domain
    if domain is not None and not domain.ours and not wanted.adopted:
        return (Wait(said("step.domain-foreign", id=wanted.id)),)
    if domain is not None and domain.generation > wanted.generation:
        return (Wait(said("step.domain-newer", held=domain.generation, wanted=wanted.generation)),)
    if wanted.doomed:
        return _take_apart(wanted, found)
    if wanted.adopted:
        return _adopted(wanted, found)
    awaited = _awaited(wanted, found)
    if awaited:
        return (Wait(awaited),)
    steps = _files(wanted, found)
    if wanted.power == "off":
        return (*steps, *_towards_off(wanted, found))
    return (*steps, *_towards_on(wanted, found))


def _awaited(wanted: Wanted, found: Found) -> Said | None:
    """What its first building waits for: the image of a disk, which comes from another node."""
    missing = [disk for disk in wanted.disks if disk.path not in found.volumes]
    return None if wanted.found_generation else next((disk.awaits for disk in missing if disk.awaits), None)


def _files(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    """Disks and seed. A machine that was ready once has had its disks: one that is missing (a pool that is not
    mounted, a file deleted by hand) stops it from starting, and never stops it from being stopped."""
    missing = [disk for disk in wanted.disks if disk.path not in found.volumes]
    steps: list[Step] = []
    if not wanted.found_generation:
        steps += [EnsureVolume(disk) for disk in missing]
    elif wanted.power == "on" and not _running(found.domain):
        steps += [LostVolume(disk.path) for disk in missing]
    if not found.seeded:
        steps.append(EnsureSeed())
    return tuple(steps)


def _running(domain: FoundDomain | None) -> bool:
    return domain is not None and domain.power in (Power.RUNNING, Power.PAUSED)


def _stopped_itself(wanted: Wanted, domain: FoundDomain | None) -> bool:
    """The guest shut itself down after this generation was reached: its owner's wish, until somebody starts it.
    A crash, a kill or a host's restart reads otherwise, and is mended."""
    reached = wanted.found_generation == wanted.generation
    return reached and domain is not None and domain.power is Power.STOPPED and domain.reason == "shutdown"


def _towards_on(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    domain = found.domain
    unready = _unready(wanted, found)
    if unready:
        return (Wait(unready),)
    steps: list[Step] = []
    if _stopped_itself(wanted, domain):
        return (Reached(),)
    if domain is None or domain.generation < wanted.generation:
        steps.append(Define("not defined" if domain is None else f"generation {domain.generation} is defined"))
    if not _running(domain):
        steps.append(Start("it should run"))
    elif _reboot_is_due(wanted, domain):
        steps.append(Reboot(wanted.reboot_force))
    return (*steps, Reached())


def _unready(wanted: Wanted, found: Found) -> Said | None:
    for nic in wanted.nics:
        if nic.bridge not in found.bridges:
            return said("step.bridge", bridge=nic.bridge)
        if nic.tap not in found.guarded:
            return said("step.guard", tap=nic.tap)
    return None


def _reboot_is_due(wanted: Wanted, domain: FoundDomain | None) -> bool:
    """The host keeps the count beside the domain: whoever was killed before it could report does not do it twice."""
    done = max(wanted.found_reboots, domain.reboots if domain is not None else 0)
    return wanted.reboots > done


def _towards_off(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    domain = found.domain
    steps: list[Step] = []
    if domain is None or domain.generation < wanted.generation:
        steps.append(Define("not defined" if domain is None else f"generation {domain.generation} is defined"))
    if not _running(domain):
        return (*steps, Reached())
    return (*steps, *_stop(wanted, found))


def _stop(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    if wanted.stop_mode == "force":
        return (PowerOff("its power was to be cut"), Reached())
    if wanted.stop_by_ms and found.now_ms >= wanted.stop_by_ms:
        return (PowerOff("the guest did not stop in the time it was given"), Reached())
    if not found.asked_shutdown:
        return (Shutdown(), Wait(said("step.stop-asked"), wanted.stop_by_ms))
    return (Wait(said("step.stops"), wanted.stop_by_ms),)


def _adopted(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    domain = found.domain
    if domain is None:
        return (Wait(said("step.domain-gone")),)
    steps: list[Step] = []
    if not domain.ours or domain.generation < wanted.generation:
        steps.append(Adopt())
    if wanted.power == "off":
        return (*steps, *(_stop(wanted, found) if _running(domain) else (Reached(),)))
    unready = _unready(wanted, found)
    if unready:
        return (*steps, Wait(unready))
    if not _running(domain):
        steps.append(Start("it should run"))
    elif _reboot_is_due(wanted, domain):
        steps.append(Reboot(wanted.reboot_force))
    return (*steps, Reached())


def _take_apart(wanted: Wanted, found: Found) -> tuple[Step, ...]:
    domain = found.domain
    paths = tuple(disk.path for disk in wanted.disks) if wanted.doomed == "purge" else ()
    # Cleared may mean: when its disks were still to be kept.
    if domain is None and found.cleared and not found.volumes & set(paths):
        return (Reached(),)
    steps: list[Step] = []
    if domain is not None:
        if wanted.adopted and not domain.ours:  # destroyed before its mark was written; a foreign one is not touched
            steps.append(Adopt())
        if _running(domain):
            steps.append(PowerOff("it is being destroyed"))
        steps.append(Undefine())
    return (*steps, RemoveFiles(paths), Reached())


def unbuilt(wanted: Wanted, found: Found) -> tuple[int, ...]:
    """The disks, by number, of a machine destroyed before it was ever ready that were never made. Of one that was ready
    a missing disk is lost, not unbuilt: its pool may come back."""
    if not wanted.doomed or wanted.found_generation:
        return ()
    return tuple(number for number, disk in enumerate(wanted.disks) if disk.path not in found.volumes)
