"""Writing images."""

from typing import Annotated, ClassVar, Literal

from girginosvm.core.action import Command, Stream, action
from girginosvm.core.errors import Conflict, InUse, Missing
from girginosvm.core.fields import Name, Ref, Sequence, field
from girginosvm.features.node import api as nodes
from girginosvm.features.operation import api as operations
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx


@action(
    "POST /v1/images/pull",
    cli="image pull",
    permission="image.create",
    summary="Fetch an image from the mirror",
    audit="pull image {name}",
    answers=dict[str, str],
    status=202,
    positionals=("name",),
    examples=("girginosvm image pull almalinux-10", "girginosvm image pull tiny --source /mnt/usb/images"),
)
class PullImage(Command, frozen=True, kw_only=True):
    """Look a name up in the mirror's signed catalogue. The asked node turns this into ``RecordImage`` with what the
    catalogue says, so that the log holds facts, not a look-up."""

    name: Annotated[Name, field("Name in the catalogue.")]
    source: Annotated[str, field("Mirror: a directory or an http(s) URL; empty: the node's own.", max_length=500)] = ""
    insecure: Annotated[bool, field("Accept a catalogue without a valid signature; the image stays marked.")] = False

    def apply(self, tx: Tx) -> dict[str, str]:
        raise Conflict("not-looked-up", "this command has to be resolved by the node that was asked")


@action(
    "POST /v1/images/record",
    permission="image.report",
    summary="An image that a node will fetch, or has",
    audit="record image {name}",
    answers=dict[str, str],
    status=202,
)
class RecordImage(Command, frozen=True, kw_only=True):
    """The row of an image; ``state`` is ``pulling`` from a mirror, ``ready`` after an upload."""

    name: Annotated[Name, field("Name.")]
    node: Annotated[str, field("Member id of the node that has or fetches it.", max_length=64)]
    source: Annotated[str, field("Where its bytes come from.", max_length=600)]
    sha256: Annotated[str, field("SHA-256 of its file, hex.", pattern=r"^[0-9a-f]{64}$", wants="64 hex digits")]
    size_bytes: Annotated[int, field("Size of its file.", ge=1)]
    virtual_bytes: Annotated[int, field("Size of the disk in it.", ge=0)]
    format: Annotated[Literal["qcow2", "raw"], field("Format of the file.")]
    version: Annotated[str, field("Version.", max_length=64)] = ""
    min_disk_gb: Annotated[int, field("Smallest disk, GiB.", ge=0)] = 0
    firmware: Annotated[str, field("bios, uefi or empty.", max_length=8)] = ""
    signed: Annotated[bool, field("The catalogue's signature was valid.")] = False
    state: Annotated[Literal["pulling", "ready"], field("Whether the bytes are there.")] = "pulling"
    id: Annotated[str, field("Id given at upload; empty: a new one.", max_length=36)] = ""

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        same = tx.one("SELECT * FROM image WHERE name = ?", (self.name,))
        if same is not None and same["id"] == self.id and same["sha256"] == self.sha256 and self.state == "ready":
            return self._back(tx)
        if same is not None and same["state"] != "failed":
            raise Conflict("image-exists", f"image {self.name} is here already ({same['state']})")
        if same is not None:
            tx.run("DELETE FROM image WHERE id = ?", (same["id"],))
        image = self.id or tx.new_id()
        tx.insert(
            "image", id=image, created_index=tx.index, name=self.name, version=self.version, sha256=self.sha256,
            size_bytes=self.size_bytes, virtual_bytes=self.virtual_bytes, format=self.format,
            min_disk_gb=self.min_disk_gb, firmware=self.firmware, signed=int(self.signed), source=self.source,
            node=self.node, state=self.state, problem_code="", problem="", created_at_ms=tx.at_ms,
        )  # fmt: skip
        state = "ready" if self.state == "ready" else "wanted"
        tx.insert("image_copy", image=image, node=self.node, state=state, problem_code="", problem="", at_ms=tx.at_ms)
        mark = "" if self.signed else " (unsigned)"
        answer = {"image": image}
        if self.state == "pulling":
            answer["operation"] = operations.start(
                tx, kind="image.pull", noun="image", subject_id=image, name=self.name, node=self.node, generation=1
            )
        tx.event(f"image.{self.state}", "image", image, f"image {self.name}{mark} from {self.source}")
        return answer

    def _back(self, tx: Tx) -> dict[str, str]:
        """A node that was given up comes back with its file of an image that the others have kept."""
        tx.run("DELETE FROM image_copy WHERE image = ? AND node = ?", (self.id, self.node))
        tx.insert(
            "image_copy", image=self.id, node=self.node, state="ready", problem_code="", problem="", at_ms=tx.at_ms
        )
        return {"image": self.id}


@action(
    "POST /v1/images/upload/{name}",
    cli="image upload",
    permission="image.create",
    summary="Upload an image; the body is the file",
    audit="upload image {name}",
    status=201,
    examples=("girginosvm image upload rocky-10 --file rocky-10.qcow2",),
)
class UploadImage(Stream, frozen=True, kw_only=True):
    """The body is a qcow2 file; it is checked before it is used."""

    keyed: ClassVar[bool] = True

    name: Annotated[Name, field("Name of the image.")]


@action(
    "DELETE /v1/images/{image}",
    cli="image rm",
    permission="image.delete",
    summary="Delete an image that no machine was made from by copy-on-write",
    audit="delete image {image}",
    answers=dict[str, str],
    destroys=True,
    examples=("girginosvm image rm debian-12",),
)
class RemoveImage(Command, frozen=True, kw_only=True):
    """Forget an image; every node that has it deletes the file."""

    image: Annotated[Ref, field("Image.", ref="image")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM image WHERE id = ?", (self.image,))
        if row is None:
            raise Missing("image-missing", f"there is no image {self.image}")
        users = tx.all(
            "SELECT vm.name FROM vm_disk JOIN vm ON vm.id = vm_disk.vm WHERE vm_disk.image = ? AND full_copy = 0 "
            "ORDER BY vm.name, vm_disk.vm, vm_disk.n LIMIT 6",
            (self.image,),
        )
        if users:
            names = ", ".join(user["name"] for user in users[:5]) + (", ..." if len(users) > 5 else "")
            raise InUse("image-in-use", f"disks of {names} are copies on write of image {row['name']}")
        kept = tx.one("SELECT path FROM disk_kept WHERE image = ? ORDER BY path LIMIT 1", (self.image,))
        if kept is not None:
            raise InUse(
                "image-in-use", f"the kept disk {kept['path']} is a copy on write of image {row['name']}",
                hint="storage disk list shows kept disks; storage disk forget gives one up",
            )  # fmt: skip
        tx.run("DELETE FROM image WHERE id = ?", (self.image,))
        tx.run(
            "INSERT INTO image_gone SELECT image, node, ? FROM image_copy WHERE image = ?", (row["format"], self.image)
        )
        # A fetch that failed has left a part of the file, and no copy.
        tx.run("INSERT OR IGNORE INTO image_gone VALUES (?, ?, ?)", (self.image, row["node"], row["format"]))
        tx.run("DELETE FROM image_copy WHERE image = ?", (self.image,))
        nodes.forget(tx, f"image {self.image}")
        tx.run(
            "UPDATE operation SET state = 'failed', problem_code = 'overtaken', problem = 'the image was deleted', "
            "finished_at_ms = ? WHERE subject_id = ? AND state = 'running'",
            (tx.at_ms, self.image),
        )
        tx.event("image.deleted", "image", self.image, f"deleted image {row['name']}")
        return {"image": self.image}


@action(
    "POST /v1/images/{image}/report",
    permission="image.report",
    summary="A node says what became of an image",
    audit="image {image} is {state}",
    answers=dict[str, str],
)
class ReportImage(Command, frozen=True, kw_only=True):
    """The fetch from a mirror or from another node ended, or a deleted image's file is gone. A fetch from a mirror that
    failed is over; a copy that could not be made is tried again, and its problem is what is told of it meanwhile."""

    image: Annotated[str, field("Image.", max_length=64)]
    node: Annotated[str, field("Member id.", max_length=64)]
    state: Annotated[Literal["ready", "failed", "gone"], field("What became of it.")]
    virtual_bytes: Annotated[int, field("Size of the disk in it, as its header says.", ge=0)] = 0
    problem_code: Annotated[str, field("Code when it failed.", max_length=64)] = ""
    problem: Annotated[str, field("Sentence when it failed.", max_length=1000)] = ""
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        if self.state == "gone":
            tx.run("DELETE FROM image_gone WHERE id = ? AND node = ?", (self.image, self.node))
            return {"image": self.image}
        row = tx.one("SELECT * FROM image WHERE id = ?", (self.image,))
        copy = tx.one("SELECT * FROM image_copy WHERE image = ? AND node = ?", (self.image, self.node))
        if row is None or copy is None:
            return {"image": self.image}
        nodes.newest(tx, self.node, f"image {self.image}", self.sequence)
        ready = self.state == "ready"
        tx.run(
            "UPDATE image_copy SET state = ?, problem_code = ?, problem = ?, at_ms = ? WHERE image = ? AND node = ?",
            ("ready" if ready else "wanted", self.problem_code, self.problem, tx.at_ms, self.image, self.node),
        )
        if row["state"] == "pulling":
            self._pulled(tx, row)
        elif (copy["state"], copy["problem"]) != (self.state, self.problem):
            node = nodes.called(tx, self.node)
            text = f"is on {node} too" if ready else f"cannot be copied to {node} yet: {self.problem}"
            tx.event("image.copied" if ready else "image.problem", "image", self.image, f"image {row['name']} {text}")
        return {"image": self.image}

    def _pulled(self, tx: Tx, row: Row) -> None:
        tx.run(
            "UPDATE image SET state = ?, problem_code = ?, problem = ?, virtual_bytes = max(virtual_bytes, ?) "
            "WHERE id = ?",
            (self.state, self.problem_code, self.problem, self.virtual_bytes, self.image),
        )
        if self.state == "failed":
            tx.run("DELETE FROM image_copy WHERE image = ?", (self.image,))
        operations.finish(tx, self.image, 1, code=self.problem_code, problem=self.problem)
        text = f"image {row['name']} is ready" if self.state == "ready" else f"image {row['name']}: {self.problem}"
        tx.event(f"image.{self.state}", "image", self.image, text)
