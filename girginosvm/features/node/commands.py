"""What a node says of itself."""

from typing import Annotated

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.fields import Name, Sequence, field
from girginosvm.core.host import HostFacts
from girginosvm.features.node.api import newest, own
from girginosvm.state.tx import Tx


@action(
    "POST /v1/nodes/report",
    permission="node.report",
    summary="A node describes itself",
    audit="{name} described itself",
    answers=dict[str, str],
)
class ReportNode(Command, frozen=True, kw_only=True):
    """Upsert the speaking node's own row; nobody else's."""

    node: Annotated[str, field("Member id.", max_length=64)]
    name: Annotated[Name, field("Name.")]
    facts: Annotated[HostFacts, field("What it found.")]
    reserve_bytes: Annotated[int, field("Memory that machines never get.", ge=0)] = 0
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        own(tx, self.node)
        newest(tx, self.node, "node", self.sequence)
        known = tx.one("SELECT created_index FROM node WHERE id = ?", (self.node,))
        tx.run("DELETE FROM node WHERE id = ?", (self.node,))
        facts = self.facts
        tx.insert(
            "node", id=self.node, created_index=known["created_index"] if known else tx.index, name=self.name,
            hostname=facts.hostname, cpus=facts.cpus, cpu_model=facts.cpu_model, memory_bytes=facts.memory_bytes,
            reserve_bytes=self.reserve_bytes, kernel=facts.kernel, os=facts.os, libvirt=facts.libvirt,
            qemu=facts.qemu, acceleration=facts.acceleration.value, acceleration_reason=facts.acceleration_reason,
            firmwares=msgspec.json.encode(facts.firmwares).decode(),
            addresses=msgspec.json.encode(facts.addresses).decode(), reported_at_ms=tx.at_ms,
        )  # fmt: skip
        if known is None:
            tx.event("node.added", "node", self.node, f"node {self.name} came up ({facts.acceleration.value})")
        return {"node": self.node}
