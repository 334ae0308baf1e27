"""Creating, destroying and adopting machines."""

from typing import Annotated, Literal

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Fault, Invalid, Missing, Unsafe
from girginosvm.core.fields import Name, Ref, field
from girginosvm.core.host import DiskSpec, FoundNic
from girginosvm.core.units import MIB
from girginosvm.features.image import api as images
from girginosvm.features.network import api as networks
from girginosvm.features.node import api as nodes
from girginosvm.features.node.model import Asked, Decision, verdict
from girginosvm.features.node.words import Said
from girginosvm.features.operation import api as operations
from girginosvm.features.storage import api as storage
from girginosvm.features.vm.api import beside, changed, disk_bytes, firmware_for, machine, placed
from girginosvm.features.vm.model import tap_name
from girginosvm.features.vm.rows import add_machine, check_name, take_disk
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx

Tag = Annotated[
    str,
    field(
        "",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}$",
        wants="letters, digits and _ . : -, a letter or digit first, 40 characters at most",
    ),
]
SshKey = Annotated[
    str,
    field(
        "",
        wants="the line of a public key, as `ssh-ed25519 AAAA... ada@desk`",
        pattern=r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) "
        r"[A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]{0,200})?$",
        max_length=3000,
    ),
]


class Accepted(msgspec.Struct, frozen=True):
    """The machine, and the operation that ends when its node has done it."""

    vm: str
    operation: str
    node: str


@action(
    "POST /v1/vms",
    cli="vm create",
    permission="vm.create",
    summary="Create a machine from an image",
    audit="create machine {name}",
    answers=Accepted,
    status=202,
    examples=(
        "girginosvm vm create --name web01 --image almalinux-10 --vcpu 4 --memory 8192 --disk 80 --network br-vsw",
    ),
)
class CreateVm(Command, frozen=True, kw_only=True):
    """Describe a new machine; the node it lands on builds it. Everything scarce is booked here, or nothing is."""

    name: Annotated[Name, field("Unique within the project; the guest's host name.", form={"group": "what"})]
    image: Annotated[Ref, field("What it starts from.", ref="image", form={"group": "what"})]
    vcpu: Annotated[int, field("Virtual CPUs.", ge=1, le=512, form={"group": "size"})] = 1
    memory_mb: Annotated[
        int, field("Memory.", ge=64, le=16 * 1024 * 1024, flag="memory", unit="MiB", form={"group": "size"})
    ] = 1024
    disk_gb: Annotated[
        int,
        field(
            "Size of the first disk; 0: the image's own.",
            ge=0,
            le=65536,
            flag="disk",
            unit="GiB",
            form={"group": "size"},
        ),
    ] = 0
    network: Annotated[
        str, field("Network of its first interface.", ref="network", max_length=63, form={"group": "network"})
    ] = "default"
    address: Annotated[
        str, field("A certain IPv4 address; empty: the next free one.", max_length=15, form={"group": "network"})
    ] = ""
    pool: Annotated[str, field("Storage pool of its disk.", ref="pool", max_length=63, form={"group": "size"})] = (
        "default"
    )
    full_copy: Annotated[bool, field("Copy the image instead of a copy on write.", form={"group": "size"})] = False
    firmware: Annotated[Literal["auto", "bios", "uefi"], field("How it starts.", form={"group": "what"})] = "auto"
    ssh_keys: Annotated[
        tuple[SshKey, ...],
        field("Public keys that may log in.", max_length=32, flag="ssh-key", form={"group": "guest"}),
    ] = ()
    user_data: Annotated[
        str,
        field(
            "cloud-init user-data: #cloud-config or a script.",
            max_length=96 * 1024,
            secret="seal",
            file="user-data",
            form={"group": "guest"},
        ),
    ] = ""
    start: Annotated[bool, field("Start it when it is built.", form={"group": "what"})] = True
    project: Annotated[str, field("Project that owns it.", max_length=63, form={"group": "notes"})] = "default"
    tags: Annotated[
        tuple[Tag, ...], field("Words to find it by.", max_length=32, flag="tag", form={"group": "notes"})
    ] = ()
    notes: Annotated[str, field("For people.", max_length=4000, form={"group": "notes"})] = ""
    external_id: Annotated[str, field("Its id in another system.", max_length=100, form={"group": "notes"})] = ""
    node: Annotated[
        str,
        field(
            "Node that it has to be on; empty: the one that suits it best.",
            ref="node",
            max_length=63,
            form={"group": "place"},
        ),
    ] = ""
    anti_affinity: Annotated[
        str,
        field(
            "Group of machines of the project that share no node, and no failure domain while there are others.",
            pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:-]{0,62})?$",
            wants="letters, digits and _ . : -, a letter or digit first, 63 characters at most",
            form={"group": "place"},
        ),
    ] = ""
    anti_affinity_soft: Annotated[
        bool, field("Share a node with others of the group rather than not exist.", form={"group": "place"})
    ] = False

    def apply(self, tx: Tx) -> Accepted:
        check_name(tx, self.project, self.name)
        image = images.usable(tx, self.image)
        size = disk_bytes(self.disk_gb, images.least_gb(image))
        firmware = firmware_for(self.firmware, image)
        pool = storage.offer(tx, self.pool)
        decision = self._decision(tx, pool, size, firmware)
        node, vm = decision.node, tx.new_id()
        nic = networks.lease(tx, self.network, vm=vm, nic=0, address=self.address)
        placed(tx, vm, node, 1, decision.verdicts)
        images.want(tx, self.image, node)
        add_machine(
            tx, vm, name=self.name, project=self.project, node=node, generation=1, power="on" if self.start else "off",
            vcpu=self.vcpu, memory_bytes=self.memory_mb * MIB, firmware=firmware, image=self.image,
            image_name=image["name"], ssh_keys=self.ssh_keys, user_data=self.user_data, tags=self.tags,
            notes=self.notes, external_id=self.external_id, created_at_ms=tx.at_ms, anti_affinity=self.anti_affinity,
            anti_affinity_soft=int(self.anti_affinity_soft),
        )  # fmt: skip
        tx.insert(
            "vm_disk", vm=vm, n=0, pool=self.pool, path=f"{pool.path}/{vm}-0.qcow2", format="qcow2", size_bytes=size,
            image=self.image, image_format=image["format"], full_copy=int(self.full_copy),
        )  # fmt: skip
        tx.insert("vm_nic", vm=vm, n=0, network=self.network, mac=nic.mac, address=nic.address, tap=tap_name(vm, 0))
        operation = operations.start(
            tx, kind="vm.create", noun="vm", subject_id=vm, name=self.name, node=node, generation=1
        )
        tx.event("vm.created", "vm", vm, f"created machine {self.name} from {image['name']}", address=nic.address)
        return Accepted(vm, operation, node)

    def _decision(self, tx: Tx, pool: storage.Offer, size: int, firmware: str) -> Decision:
        if self.node:
            nodes.known(tx, self.node)
        asked = Asked(
            memory_bytes=self.memory_mb * MIB, disk_bytes=size, pool=pool.name, firmware=firmware, node=self.node,
            group=self.anti_affinity, hard=not self.anti_affinity_soft,
        )  # fmt: skip
        return nodes.place(tx, asked, pool.nodes, beside(tx, self.project, self.anti_affinity))


@action(
    "DELETE /v1/vms/{vm}",
    cli="vm destroy",
    permission="vm.delete",
    summary="Destroy a machine; its disks stay unless purged",
    audit="destroy machine {vm}",
    answers=Accepted,
    status=202,
    destroys=True,
    examples=("girginosvm vm destroy web01 --purge",),
)
class DestroyVm(Command, frozen=True, kw_only=True):
    """Mark a machine for removal; its node takes it apart and then the row goes."""

    vm: Annotated[Ref, field("Machine.", ref="vm")]
    purge: Annotated[bool, field("Delete its disks too.")] = False
    force: Annotated[bool, field("Also when it is running.")] = False

    def apply(self, tx: Tx) -> Accepted:
        row = machine(tx, self.vm)
        found = tx.one("SELECT state FROM vm_found WHERE vm = ?", (self.vm,))
        if not self.force and (row["power"] == "on" or (found and found["state"] == "running")):
            raise Conflict(
                "vm-running", f"machine {row['name']} is running", hint="stop it first, or destroy it with --force"
            )
        doomed = "purge" if self.purge else "keep"
        if row["doomed"] == "purge" and not self.purge:
            raise Conflict("vm-doomed", f"machine {row['name']} is being purged already")
        strange = tx.one("SELECT path FROM vm_disk WHERE vm = ? AND pool = '' ORDER BY n LIMIT 1", (self.vm,))
        if self.purge and strange is not None:
            raise Unsafe(
                "disk-outside-pools", f"{strange['path']} came with the adopted machine and lies in no pool of ours",
                hint="destroy it without --purge: its disks stay, and can be deleted by hand",
            )  # fmt: skip
        operation = changed(tx, row, "vm.destroy", power="off", stop_mode="force", stop_by_ms=tx.at_ms, doomed=doomed)
        what = "and its disks" if self.purge else "and keep its disks"
        tx.event("vm.destroying", "vm", self.vm, f"destroy machine {row['name']} {what}")
        return Accepted(self.vm, operation, row["node"])


@action(
    "POST /v1/vms/{vm}/adopt",
    cli="vm adopt",
    permission="vm.create",
    summary="Take a foreign libvirt domain under management, as it is",
    audit="adopt machine {vm}",
    answers=Accepted,
    status=202,
)
class AdoptVm(Command, frozen=True, kw_only=True):
    """Make rows of what was found. Nothing of the domain changes but our mark in its metadata: its disks stay where
    they are, outside our pools, and its interfaces on their bridges, without guards. A machine that the cluster gave up
    with its host, and that came back with it, gets its addresses and its guards again; when one of them has been given
    to another machine meanwhile, nothing is done."""

    vm: Annotated[str, field("UUID of the domain.", min_length=36, max_length=36)]
    name: Annotated[str, field("Name here; empty: the domain's.", max_length=63)] = ""
    project: Annotated[str, field("Project that owns it.", max_length=63)] = "default"
    node: Annotated[str, field("Node that shows it, when several do.", ref="node", max_length=63)] = ""

    def apply(self, tx: Tx) -> Accepted:
        row = self._found(tx)
        name = self.name or row["name"]
        try:
            msgspec.convert(name, Name)
        except msgspec.ValidationError as fault:
            detail = f"the domain's name {name!r} is none of ours; give one with --name"
            raise Invalid("name-invalid", detail, faults=(Fault("/name", detail),)) from fault
        check_name(tx, self.project, name)
        generation = max(1, row["generation"])  # a domain with our mark has lived through some already
        add_machine(
            tx, self.vm, name=name, project=self.project, node=row["node"], generation=generation,
            power="on" if row["state"] in ("running", "paused") else "off", adopted=1, vcpu=row["vcpu"],
            memory_bytes=row["memory_bytes"], firmware=row["firmware"], created_at_ms=tx.at_ms,
        )  # fmt: skip
        self._devices(tx, row)
        node = nodes.known(tx, row["node"])
        had = verdict(row["node"], node["name"], "", Said("adopted"))
        placed(tx, self.vm, row["node"], generation, (had,))
        tx.run("DELETE FROM vm_foreign WHERE node = ? AND id = ?", (row["node"], self.vm))
        operation = operations.start(
            tx, kind="vm.adopt", noun="vm", subject_id=self.vm, name=name, node=row["node"], generation=generation
        )
        tx.event("vm.adopted", "vm", self.vm, f"adopted domain {row['name']} as machine {name}")
        return Accepted(self.vm, operation, row["node"])

    def _found(self, tx: Tx) -> Row:
        """The domain where it was found. Two hosts that have it share its disks, or one has a copy: taking the wrong
        one would run a machine twice."""
        rows = tx.all("SELECT * FROM vm_foreign WHERE id = ? ORDER BY node", (self.vm,))
        here = [row for row in rows if self.node in ("", row["node"])]
        if not here:
            raise Missing("foreign-missing", f"no node shows a foreign domain {self.vm}")
        ours = tx.one("SELECT name FROM vm WHERE id = ?", (self.vm,))
        if ours is not None:
            raise Conflict("vm-exists", f"machine {ours['name']} has the id {self.vm} already")
        if len(here) > 1:
            names = ", ".join(nodes.known(tx, row["node"])["name"] for row in here)
            detail = f"{names} each show a domain {self.vm}: say with --node which of them is meant"
            raise Conflict("foreign-twice", detail)
        return here[0]

    def _devices(self, tx: Tx, row: Row) -> None:
        disks = msgspec.json.decode(row["disks"], type=tuple[DiskSpec, ...])
        for n, disk in enumerate(disk for disk in disks if disk.path and not disk.read_only):
            take_disk(
                tx, self.vm, n, disk.path, pool="", format=disk.format, size_bytes=0, image="", image_format="",
                full_copy=1,
            )  # fmt: skip
        for n, nic in enumerate(msgspec.json.decode(row["nics"], type=tuple[FoundNic, ...])):
            taken = tx.one("SELECT name FROM vm_nic JOIN vm ON vm.id = vm_nic.vm WHERE mac = ?", (nic.mac,))
            if taken is not None:
                raise Conflict("mac-taken", f"{nic.mac} is the MAC address of machine {taken['name']} already")
            network, address = self._booked(tx, row, n, nic)
            tx.insert(
                "vm_nic", vm=self.vm, n=n, network=network, mac=nic.mac, address=address, tap=nic.tap,
                bridge=nic.bridge,
            )  # fmt: skip

    def _booked(self, tx: Tx, row: Row, n: int, nic: FoundNic) -> tuple[str, str]:
        """Network and address of an interface that a cluster of ours has made: nothing passes it without a guard."""
        if not row["generation"] or nic.tap != tap_name(self.vm, n):
            return "", ""
        address = nic.addresses[0] if nic.addresses else ""
        lease = networks.again(tx, nic.bridge, vm=self.vm, nic=n, mac=nic.mac, address=address)
        return lease.network, lease.address
