"""A real server on loopback and on a Unix socket, in front of a small desk in memory with toy actions."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

import aiohttp
import msgspec

from girginosvm.core import access
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command, Condition, Page, Query, Stream, Walk, action
from girginosvm.core.errors import Busy, Conflict, Forbidden, Invalid, Missing, Unauthenticated
from girginosvm.core.fields import Name, Ref, field
from girginosvm.core.ids import member_of, member_uri
from girginosvm.core.log import Log
from girginosvm.core.manifest import Manifest, Registry
from girginosvm.http.desk import Answer, Caller, Upload
from girginosvm.http.door import Door
from girginosvm.http.events import Hub
from girginosvm.http.server import application
from girginosvm.http.tls import Identity


class Toy(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    size: int
    state: str = "idle"


class Toys(msgspec.Struct, frozen=True):
    items: list[Toy]
    next: str
    applied_index: int


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    length: Annotated[int, field("Length.", ge=1)]


@action("GET /v1/toys", permission="toy.read", summary="List", answers=Toys, cli="toy list")
class ListToys(Page, frozen=True, kw_only=True):
    pass


@action("GET /v1/toys/{toy}", permission="toy.read", summary="Show", answers=Toy)
class ShowToy(Query, frozen=True, kw_only=True):
    toy: Annotated[Ref, field("Toy.", ref="toy")]


@action(
    "POST /v1/toys", permission="toy.create", summary="Make", answers=dict[str, str], status=202, cli="toy create",
    audit="make {name}",
)  # fmt: skip
class MakeToy(Command, frozen=True, kw_only=True):
    name: Name
    size: Annotated[int, field("Size.", ge=1, le=9, unit="MiB")] = 1
    legs: list[Leg] = []
    secret: Annotated[str, field("Secret.", secret="hash")] = ""


@action("POST /v1/toys/{toy}/grow", permission="toy.grow", summary="Grow", answers=Toy, audit="grow {toy}")
class GrowToy(Command, frozen=True, kw_only=True):
    toy: Annotated[Ref, field("Toy.", ref="toy")]


@action("POST /v1/toys/break", permission="toy.grow", summary="Break", audit="break")
class BreakToy(Command, frozen=True, kw_only=True):
    pass


@action("POST /v1/login", permission="self.login", summary="Sign in", answers=dict[str, str], public=True)
class Login(Stream, frozen=True, kw_only=True):
    email: str
    password: str


@action("GET /v1/events/stream", permission="event.read", summary="Live")
class FollowEvents(Stream, frozen=True, kw_only=True):
    since: str = ""


@action("GET /v1/events/verify", permission="event.read", summary="Count", answers=dict[str, Any])
class VerifyEvents(Walk, frozen=True, kw_only=True):
    """Three answers: 1, 2, 3."""


@action("POST /v1/images/upload/{name}", permission="image.create", summary="Upload", status=201)
class UploadImage(Stream, frozen=True, kw_only=True):
    keyed: ClassVar[bool] = True

    name: Name


@action("GET /v1/vms/{vm}/serial", permission="vm.read", summary="Serial")
class SerialOutput(Stream, frozen=True, kw_only=True):
    vm: Ref
    follow: bool = False


REGISTRY = Registry(
    (
        Manifest(
            "toy",
            actions=(
                ListToys, ShowToy, MakeToy, GrowToy, BreakToy, Login, FollowEvents, UploadImage, SerialOutput,
                VerifyEvents,
            ),
        ),
    )
)  # fmt: skip
TOKENS = {"good": Role.ADMIN, "look": Role.VIEWER, "new": Role.ADMIN}
UPLOAD_LIMIT = 300_000
UNREADABLE = 66  # the entry whose lines of history are not read in time


class MemoryDesk:
    """Toys in a dictionary; what the daemon promises, as small as it can be."""

    def __init__(self, folder: Path) -> None:
        self.toys: dict[str, Toy] = {}
        self.index = 7
        self.age_ms: int | None = 42
        self.keys: dict[tuple[str, str], tuple[Command, Answer]] = {}
        self.folder = folder
        self.seen: list[Caller] = []
        self.whys: list[str] = []
        self.uploads: list[tuple[int, str, bytes]] = []
        self.upload_keys: list[str] = []
        self.revoked: set[str] = set()
        self.left = asyncio.Event()
        self.members: set[str] = set()
        self.asked_by_node: list[tuple[str, bool]] = []

    async def command(
        self, command: Command, actor: Actor, *, key: str, why: str, condition: Condition | None = None
    ) -> Answer:
        access.check(actor, command.action.permission)
        known = self.keys.get((actor.id, key))
        if key and known:
            if known[0] != command:
                raise Invalid("idempotency-mismatch", "another body")
            return msgspec.structs.replace(known[1], repeated=True)
        if condition:
            condition.check((await self.query(condition.show, actor, min_index=0, fresh=False)).value)
        self.whys.append(why)
        answer = Answer(value=self._do(command), index=self.index)
        self.keys[actor.id, key] = (command, answer)
        return answer

    def _do(self, command: Command) -> Any:
        match command:
            case MakeToy(name=name, size=size):
                if name in self.toys:
                    raise Conflict("toy-exists", f"toy {name} is here already")
                self.index += 1
                self.toys[name] = Toy(id=name, size=size)
                return {"toy": name, "operation": f"op-{name}"}
            case GrowToy(toy=toy):
                self.index += 1
                self.toys[toy] = msgspec.structs.replace(self.toys[toy], size=self.toys[toy].size + 1)
                return self.toys[toy]
        raise RuntimeError("canary-secret in a bug")

    async def query(self, query: Query, actor: Actor, *, min_index: int, fresh: bool) -> Answer:
        access.check(actor, query.action.permission)
        if isinstance(query, ShowToy):
            if query.toy not in self.toys:
                raise Missing("toy-missing", f"there is no toy {query.toy}")
            return Answer(value=self.toys[query.toy], index=max(self.index, min_index))
        if isinstance(query, VerifyEvents):
            events = int(query.after or 0) + 1
            return Answer(value={"events": events, "next": str(events) if events < 3 else ""}, index=self.index)
        return Answer(value=Toys(list(self.toys.values()), "", self.index), index=self.index + (1000 if fresh else 0))

    async def leader_age_ms(self) -> int | None:
        return self.age_ms

    async def perform(self, stream: Stream, caller: Caller, *, key: str, why: str) -> Answer:
        self.seen.append(caller)
        return Answer(value={"token": "good"}, index=self.index)

    async def caller(self, token: str, address: str) -> Caller:
        role = TOKENS.get(token)
        if role is None or token in self.revoked:
            raise Unauthenticated("token-invalid", "this token is not valid here, or no longer")
        caller = Caller(
            actor=Actor("token", token, token, role, address), token=token, address=address, must_change=token == "new"
        )
        self.seen.append(caller)
        return caller

    async def permit(self, stream: Stream, actor: Actor) -> Stream:
        access.check(actor, stream.action.permission)
        return stream

    async def receive(self, stream: Stream, actor: Actor, upload: Upload, *, key: str, why: str) -> Answer:
        self.upload_keys.append(key)
        self.uploads.append((upload.size_bytes, upload.sha256, upload.path.read_bytes()))
        return Answer(value={"image": "i1"}, index=self.index)

    @contextmanager
    def upload_room(self, stream: Stream, size: int | None) -> Iterator[tuple[Path, int]]:
        if (size or 0) > UPLOAD_LIMIT:
            raise Invalid("body-too-large", f"{size} bytes; {UPLOAD_LIMIT} are accepted")
        path = self.folder / "upload-0.part"
        try:
            yield path, UPLOAD_LIMIT
        finally:
            path.unlink(missing_ok=True)

    async def output(self, stream: Stream, actor: Actor, *, by_node: bool) -> AsyncIterator[bytes]:
        self.asked_by_node.append((actor.name, by_node))
        return self._output(stream)

    async def member(self, certificate: Mapping[str, Any] | None) -> str:
        found = member_of(certificate, "c1")
        if found not in self.members:
            raise Forbidden("peer-unknown", "this is for members of the cluster, by their certificates")
        return found

    async def image_file(self, image: str) -> Path:
        path = self.folder / f"{image}.qcow2"
        if not path.exists():
            raise Missing("image-missing", f"this node does not have image {image}")
        return path

    async def _output(self, stream: Stream) -> AsyncIterator[bytes]:
        yield b"boot "
        yield b"done\n"
        if getattr(stream, "vm", "") == "silent":
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()

    async def finished(self, operation: str, actor: Actor, *, wait_s: float) -> Answer | None:
        if operation == "op-slow":
            return None
        return Answer(value={"id": operation, "state": "done"}, index=self.index)


class House:
    """The running server and what a test asks it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.desk = MemoryDesk(folder)
        self.hub = Hub("inc", 7, keep=8, room=4, look_s=0.05, lines=self._lines)
        self.read: list[int] = []  # entries whose lines of history were looked up
        self.logged = io.StringIO()
        self.socket = folder / "run" / "agent.sock"
        self.identity = Identity(folder / "pki", uri=member_uri("c1", "n1"))
        self.url = ""
        self.port = 0

    async def _lines(self, index: int) -> tuple[Any, ...]:
        self.read.append(index)
        if index == UNREADABLE:
            raise Busy("read-slow", "the read took over 5 s")
        return ({"text": f"entry {index}"},)

    async def start(self, **door: Any) -> None:
        assets = self.folder / "assets"
        app = application(REGISTRY, self.desk, self.hub, Log(self.logged), assets=assets)
        self.door = Door(app, **door)
        self.identity.ensure(["node-1", "10.1.2.3"])
        context = self.identity.context()
        self.port = await self.door.tcp("127.0.0.1", 0, lambda: context)
        await self.door.unix(self.socket)
        self.url = f"https://localhost:{self.port}"
        self.trust = ssl.create_default_context(cafile=str(self.identity.ca_file))
        self.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trust))
        self.local = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket)))

    async def stop(self) -> None:
        await self.client.close()
        await self.local.close()
        await self.door.close()

    async def ask(
        self, method: str, path: str, token: str = "good", body: Any = None, **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, decoded body, headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            named.setdefault("Content-Type", "application/json")
        async with self.client.request(
            method, self.url + path, data=io.BytesIO(data) if data else data, headers=named
        ) as response:
            text = await response.read()
            is_json = "json" in response.content_type
            return response.status, json.loads(text) if is_json and text else text, response.headers

    async def raw(self, data: bytes, *, wait_s: float = 5.0) -> bytes:
        """What the server says to these bytes until it closes (or falls silent)."""
        reader, writer = await asyncio.open_connection("localhost", self.port, ssl=self.trust)
        writer.write(data)
        try:
            async with asyncio.timeout(wait_s):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
