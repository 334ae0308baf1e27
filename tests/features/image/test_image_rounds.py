"""Images fetched and deleted side by side: the real room on a mirror that never comes to an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from features.engine import NODE, Engine
from features.rooms import Room

from girginosvm.features.image import api
from girginosvm.features.image.commands import RecordImage, RemoveImage
from girginosvm.features.image.reconciler import ImageReconciler

SIZE = 1 << 30


class Trickle(BaseHTTPRequestHandler):
    """A byte now and then."""

    over = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        try:
            while not self.over.wait(0.01):
                self.wfile.write(b"x")
        except OSError:  # nobody listens any more
            pass

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def mirror() -> Iterator[str]:
    Trickle.over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/image"
    Trickle.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def record(room: Room, name: str, source: str) -> str:
    asked = RecordImage(name=name, node=NODE, source=source, sha256="0" * 64, size_bytes=SIZE, virtual_bytes=SIZE,
                        format="qcow2")  # fmt: skip
    return str(room.run(asked)["image"])


async def test_a_fetch_without_end_holds_neither_another_deletion_nor_its_own(
    engine: Engine, tmp_path: Path, mirror: str
) -> None:
    image = engine.furnish()
    room = Room(engine, tmp_path)
    kept = room.site.image_path(api.file_name(image, "qcow2"))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    async with room.at_work(ImageReconciler(room.site)):
        slow = [record(room, f"slow{n}", mirror) for n in range(5)]
        await room.until(lambda: list(kept.parent.glob("*.part")), "the fetch to begin")
        room.run(RemoveImage(image=image))
        await room.until(lambda: not kept.exists(), "the file to go")
        for one in slow:
            room.run(RemoveImage(image=one))
        await room.until(lambda: room.row("SELECT 1 FROM image_gone") is None, "the fetches to be given up")
    assert list(kept.parent.iterdir()) == []
