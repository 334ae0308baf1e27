"""What a node says of its machines. Only differences are said."""

from typing import Annotated

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.fields import Sequence, field
from girginosvm.core.host import FoundDomain
from girginosvm.features.network import api as networks
from girginosvm.features.node import api as nodes
from girginosvm.features.operation import api as operations
from girginosvm.features.storage import api as storage
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx

Node = Annotated[str, field("Member id.", max_length=64)]


@action(
    "POST /v1/vms/{vm}/report",
    permission="vm.report",
    summary="A node says how a machine is",
    audit="machine {vm} is {state}",
    answers=dict[str, str],
)
class ReportVm(Command, frozen=True, kw_only=True):
    """Observed state; ``reached`` ends the operations up to that generation, a problem fails them."""

    vm: Annotated[str, field("Machine.", max_length=64)]
    node: Node
    state: Annotated[str, field("running, paused, stopped, crashed, gone or unknown.", max_length=16)]
    reason: Annotated[str, field("Why, in the hypervisor's or our words.", max_length=500)] = ""
    step: Annotated[str, field("What is being done or waited for.", max_length=500)] = ""
    reached: Annotated[int, field("Generation that holds now.", ge=0)] = 0
    reboots: Annotated[int, field("Reboots done.", ge=0)] = 0
    acceleration: Annotated[str, field("kvm or tcg.", max_length=8)] = ""
    agent: Annotated[bool, field("The guest agent is connected.")] = False
    problem_code: Annotated[str, field("Code of what is wrong.", max_length=64)] = ""
    problem: Annotated[str, field("What is wrong.", max_length=1000)] = ""
    failed: Annotated[int, field("Generation that the problem ends; 0: none.", ge=0)] = 0
    sequence: Sequence = 0
    unbuilt: Annotated[
        tuple[int, ...], field("Disks, by number, that a machine which is gone never had.", max_length=64)
    ] = ()

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        row = tx.one("SELECT * FROM vm WHERE id = ? AND node = ?", (self.vm, self.node))
        if row is None:
            return {"vm": self.vm}
        nodes.newest(tx, self.node, f"vm {self.vm}", self.sequence)
        if self.state == "gone" and row["doomed"] and self.reached >= row["generation"]:
            return self._forget(tx, row)
        before = tx.one("SELECT * FROM vm_found WHERE vm = ?", (self.vm,))
        ready = self.reached
        if self.state == "gone" and row["doomed"]:  # as an earlier wish had it; that is not to have been ready ever
            ready = before["generation"] if before is not None else 0
        tx.run(
            "INSERT OR REPLACE INTO vm_found VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.vm, self.state, self.reason, ready, self.reboots, self.acceleration, int(self.agent),
             self.problem_code, self.problem, tx.at_ms),
        )  # fmt: skip
        if before is None or before["state"] != self.state:
            tx.event(f"vm.{self.state}", "vm", self.vm, f"machine {row['name']} is {self.state}: {self.reason}")
        if self.problem_code and (before is None or before["problem"] != self.problem):
            tx.event("vm.problem", "vm", self.vm, f"machine {row['name']}: {self.problem}")
        if self.reached >= row["generation"]:
            operations.finish(tx, self.vm, self.reached)
        elif self.failed >= row["generation"]:
            operations.finish(tx, self.vm, self.failed, code=self.problem_code, problem=self.problem)
        elif self.step:
            operations.step(tx, self.vm, self.step)
        return {"vm": self.vm}

    def _forget(self, tx: Tx, row: Row) -> dict[str, str]:
        if row["doomed"] == "keep":
            storage.keep(tx, self.vm, row["name"], self.node, unbuilt=self.unbuilt)
        operations.finish(tx, self.vm, self.reached)
        networks.release(tx, self.vm)
        for table in ("vm_disk", "vm_nic", "vm_found", "placement"):
            tx.run(f"DELETE FROM {table} WHERE vm = ?", (self.vm,))
        tx.run("DELETE FROM vm WHERE id = ?", (self.vm,))
        nodes.forget(tx, f"vm {self.vm}")
        tx.event("vm.destroyed", "vm", self.vm, f"machine {row['name']} is gone")
        return {"vm": self.vm}


@action(
    "POST /v1/vms/foreign",
    permission="vm.report",
    summary="A node lists the domains that are not ours",
    audit="foreign domains of {node}",
    answers=dict[str, int],
)
class ReportForeign(Command, frozen=True, kw_only=True):
    """Replace the list of a node's foreign domains: those without our mark, and those that the cluster does not have on
    this node. One that may run twice is an event."""

    node: Node
    domains: Annotated[tuple[FoundDomain, ...], field("What was found.", max_length=1000)]
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, int]:
        nodes.own(tx, self.node)
        nodes.newest(tx, self.node, "foreign", self.sequence)
        known = {row["id"] for row in tx.all("SELECT id FROM vm_foreign WHERE node = ? ORDER BY id", (self.node,))}
        tx.run("DELETE FROM vm_foreign WHERE node = ?", (self.node,))
        for domain in self.domains:
            tx.insert(
                "vm_foreign", node=self.node, id=domain.id, created_index=tx.index, name=domain.name,
                state=domain.power.value, vcpu=domain.vcpu, memory_bytes=domain.memory_bytes,
                firmware=domain.firmware.value, disks=msgspec.json.encode(domain.disks).decode(),
                nics=msgspec.json.encode(domain.nics).decode(), generation=domain.generation,
            )  # fmt: skip
            if domain.id not in known:
                self._warn(tx, domain)
        return {"foreign": len(self.domains)}

    def _warn(self, tx: Tx, domain: FoundDomain) -> None:
        """A machine of the cluster's that has a second domain, or one that the cluster gave up and that came back."""
        row = tx.one("SELECT name, node FROM vm WHERE id = ?", (domain.id,))
        if row is None and not domain.ours:
            return
        where = f"{domain.name} on {nodes.called(tx, self.node)} ({domain.power.value})"
        if row is None:
            text = f"domain {where} carries our mark, and the cluster does not have it"
        else:
            text = f"domain {where} is machine {row['name']}, which the cluster has on {nodes.called(tx, row['node'])}"
        tx.event("vm.stray", "vm", domain.id, text)
