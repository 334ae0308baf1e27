"""libvirt's numbers as our words (virDomainState and its reasons, virDomainEventType)."""

from __future__ import annotations

from typing import Final

import libvirt

from girginosvm.core.host import Power

_POWER: Final = {
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,  # the guest is on its way down; it has not ended
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.STOPPED,
    libvirt.VIR_DOMAIN_CRASHED: Power.CRASHED,
}
_REASON_PREFIX: Final = {
    libvirt.VIR_DOMAIN_RUNNING: "VIR_DOMAIN_RUNNING_",
    libvirt.VIR_DOMAIN_PAUSED: "VIR_DOMAIN_PAUSED_",
    libvirt.VIR_DOMAIN_SHUTDOWN: "VIR_DOMAIN_SHUTDOWN_",
    libvirt.VIR_DOMAIN_SHUTOFF: "VIR_DOMAIN_SHUTOFF_",
    libvirt.VIR_DOMAIN_CRASHED: "VIR_DOMAIN_CRASHED_",
}
# VIR_DOMAIN_SHUTDOWN_* also names the flags of virDomainShutdownFlags.
_NO_REASONS: Final = ("ACPI_POWER_BTN", "GUEST_AGENT", "INITCTL", "SIGNAL", "PARAVIRT")
_EVENTS: Final = (
    "defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "pmsuspended", "crashed",
)  # fmt: skip


# The word of each state's reasons, by number: looked up for every domain in every round.
_REASONS: Final = {
    (state, getattr(libvirt, name)): name.removeprefix(prefix)
    for state, prefix in _REASON_PREFIX.items()
    for name in sorted(dir(libvirt), reverse=True)  # of two names for one number the first counts
    if name.startswith(prefix) and not name.endswith(_NO_REASONS)
}


def power_of(state: int, reason: int) -> tuple[Power, str]:
    """Power and libvirt's own word for the reason, empty when it gives none."""
    word = _REASONS.get((state, reason), "")
    if (state, word) == (libvirt.VIR_DOMAIN_SHUTOFF, "CRASHED"):
        return Power.CRASHED, "crashed"
    return _POWER.get(state, Power.UNKNOWN), word.lower().replace("_", " ").replace("unknown", "")


def event_of(number: int) -> str:
    """The word for a lifecycle event, for the log."""
    return _EVENTS[number] if 0 <= number < len(_EVENTS) else f"event {number}"
