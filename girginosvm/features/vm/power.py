"""Power: commands that say what a machine should be doing."""

from typing import Annotated

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict
from girginosvm.core.fields import Ref, field
from girginosvm.features.vm.api import changed, machine
from girginosvm.features.vm.commands import Accepted
from girginosvm.state.tx import Tx

Vm = Annotated[Ref, field("Machine.", ref="vm")]


@action(
    "POST /v1/vms/{vm}/start",
    cli="vm start",
    permission="vm.power",
    summary="Start a machine",
    audit="start machine {vm}",
    answers=Accepted,
    status=202,
)
class StartVm(Command, frozen=True, kw_only=True):
    """It should run."""

    vm: Vm

    def apply(self, tx: Tx) -> Accepted:
        row = machine(tx, self.vm, doomed=False)
        operation = changed(tx, row, "vm.start", power="on", stop_mode="", stop_by_ms=0)
        tx.event("vm.start-asked", "vm", self.vm, f"start machine {row['name']}")
        return Accepted(self.vm, operation, row["node"])


@action(
    "POST /v1/vms/{vm}/stop",
    cli="vm stop",
    permission="vm.power",
    summary="Stop a machine: ask the guest, or cut its power with --force",
    audit="stop machine {vm}",
    answers=Accepted,
    status=202,
    examples=("girginosvm vm stop web01 --graceful", "girginosvm vm stop web01 --force --after 60"),
)
class StopVm(Command, frozen=True, kw_only=True):
    """Guest agent, then ACPI; with ``force`` the power goes ``after_s`` later, at once when that is 0."""

    vm: Vm
    graceful: Annotated[bool, field("Ask the guest (the default).")] = False
    force: Annotated[bool, field("Cut the power: at once, or when --after has passed.")] = False
    after_s: Annotated[int, field("Seconds that the guest gets before --force cuts.", ge=0, le=86400, flag="after")] = 0

    def apply(self, tx: Tx) -> Accepted:
        row = machine(tx, self.vm, doomed=False)
        after_s = self.after_s or (60 if self.graceful else 0)
        mode = "force" if self.force and not after_s else "graceful"
        by_ms = tx.at_ms + after_s * 1000 if self.force else 0
        operation = changed(tx, row, "vm.stop", power="off", stop_mode=mode, stop_by_ms=by_ms)
        how = "cut the power of" if mode == "force" else "shut down"
        tx.event("vm.stop-asked", "vm", self.vm, f"{how} machine {row['name']}")
        return Accepted(self.vm, operation, row["node"])


@action(
    "POST /v1/vms/{vm}/reboot",
    cli="vm reboot",
    permission="vm.power",
    summary="Reboot a machine: ask the guest, or reset it with --force",
    audit="reboot machine {vm}",
    answers=Accepted,
    status=202,
)
class RebootVm(Command, frozen=True, kw_only=True):
    """Counted, so that a node reboots once per request however often it looks."""

    vm: Vm
    force: Annotated[bool, field("Reset it, without asking the guest.")] = False

    def apply(self, tx: Tx) -> Accepted:
        row = machine(tx, self.vm, doomed=False)
        if row["power"] != "on":
            raise Conflict("vm-off", f"machine {row['name']} is off", hint="start it instead")
        operation = changed(tx, row, "vm.reboot", reboots=row["reboots"] + 1, reboot_force=int(self.force))
        tx.event("vm.reboot-asked", "vm", self.vm, f"{'reset' if self.force else 'reboot'} machine {row['name']}")
        return Accepted(self.vm, operation, row["node"])
