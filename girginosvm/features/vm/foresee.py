"""Where a machine would land if it were created now. Nothing is booked: the log decides anew."""

from typing import Annotated, Literal

import msgspec

from girginosvm.core.action import Query, action
from girginosvm.core.fields import Ref, field
from girginosvm.core.units import MIB
from girginosvm.features.image import api as images
from girginosvm.features.node import api as nodes
from girginosvm.features.node.model import Asked
from girginosvm.features.node.plan import decisive, told
from girginosvm.features.storage import api as storage
from girginosvm.features.vm.api import beside, disk_bytes, firmware_for
from girginosvm.features.vm.queries import Reason
from girginosvm.state.reader import Reader


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """The node by name, empty when none can take it; then ``code`` is what the refusal would be called. ``fit`` of all
    ``nodes`` could take it. ``reasons`` as in the placement of a machine that exists."""

    node: str
    code: str
    fit: int
    nodes: int
    reasons: list[Reason]


@action(
    "GET /v1/placement",
    cli="vm placement",
    permission="vm.read",
    summary="Say on which node a machine would land, and why; nothing is created",
    answers=Foreseen,
    examples=("girginosvm vm placement --image almalinux-10 --memory 8192 --disk 80",),
)
class ForeseePlacement(Query, frozen=True, kw_only=True):
    """What `vm create` with the same words would decide by the state that the node which is asked has now."""

    image: Annotated[Ref, field("What it starts from.", ref="image")]
    memory_mb: Annotated[int, field("Memory.", ge=64, le=16 * 1024 * 1024, flag="memory", unit="MiB")] = 1024
    disk_gb: Annotated[
        int, field("Size of the first disk; 0: the image's own.", ge=0, le=65536, flag="disk", unit="GiB")
    ] = 0
    pool: Annotated[str, field("Storage pool of its disk.", ref="pool", max_length=63)] = "default"
    firmware: Annotated[Literal["auto", "bios", "uefi"], field("How it starts.")] = "auto"
    project: Annotated[str, field("Project that owns it.", max_length=63)] = "default"
    node: Annotated[str, field("Node that it has to be on.", ref="node", max_length=63)] = ""
    anti_affinity: Annotated[str, field("Group of machines that share no node.", max_length=63)] = ""
    anti_affinity_soft: Annotated[bool, field("Share a node with others of the group if need be.")] = False

    def fetch(self, reader: Reader) -> Foreseen:
        image = images.usable(reader, self.image)
        pool = storage.offer(reader, self.pool)
        asked = Asked(
            memory_bytes=self.memory_mb * MIB, disk_bytes=disk_bytes(self.disk_gb, images.least_gb(image)),
            pool=pool.name, firmware=firmware_for(self.firmware, image), node=self.node, group=self.anti_affinity,
            hard=not self.anti_affinity_soft,
        )  # fmt: skip
        decision = nodes.foresee(reader, asked, pool.nodes, beside(reader, self.project, self.anti_affinity))
        verdicts = decision.verdicts
        return Foreseen(
            node=verdicts[0].name if decision.node else "",
            code="" if decision.node else decisive(verdicts) if verdicts else "no-node",
            fit=sum(not one.code for one in verdicts), nodes=len(verdicts),
            reasons=[Reason(one.name, one.text, one.word, one.values) for one in told(verdicts)],
        )  # fmt: skip
