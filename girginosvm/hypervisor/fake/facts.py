"""What the fake host says it is; the section ``facts`` overrides any field."""

from __future__ import annotations

import msgspec

from girginosvm.core.host import Acceleration, HostFacts
from girginosvm.hypervisor.fake.state import State

_FACTS = HostFacts(
    hostname="fake",
    cpus=8,
    cpu_model="Imaginary CPU",
    memory_bytes=32 << 30,
    kernel="6.1.0-fake",
    os="Fake Linux",
    libvirt="9.0.0",
    qemu="7.2.0",
    acceleration=Acceleration.TCG,
    acceleration_reason="This host is made up: nothing runs on it.",
    firmwares=("bios", "uefi"),
    addresses=("192.0.2.10",),
)


class FakeFacts:
    """A host of 8 processors and 32 GiB."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def observe(self) -> HostFacts:
        """The facts, with what the state file overrides."""
        await self._state.visit("facts.observe")
        return msgspec.convert({**msgspec.to_builtins(_FACTS), **self._state.section("facts")}, HostFacts)
