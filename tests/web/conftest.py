"""A stand-in daemon with 10,000 machines, and Chromium before it."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

HERE = Path(__file__).parent
# What a page has when it is drawn.
READY = "tr[data-id], .branch, .tile, .form fieldset, .cap, .facts, .serial, .log"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def _stand() -> Any:
    spec = importlib.util.spec_from_file_location("panel_stand", HERE / "stand.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Running:
    """The stand-in in a thread of its own."""

    def __init__(self, machines: int, nodes: int = 3) -> None:
        module = _stand()
        self.stand = module.Stand(machines, nodes)
        self.app = module.app(self.stand)
        self.loop = asyncio.new_event_loop()
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.runner = web.AppRunner(self.app, shutdown_timeout=0.1)
        self.loop.run_until_complete(self.runner.setup())
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"
        self._ready.set()
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)  # connections that the browser holds: nobody is to hear of them at the end
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def change(self, vm: str, **fields: Any) -> None:
        """A machine changes at the daemon."""

        def do() -> None:
            self.stand.world["vms"][vm] = {**self.stand.world["vms"][vm], **fields}
            event = {"id": "e", "noun": "vm", "subject_id": vm, "text": "", "kind": "", "actor": ""}
            self.stand.publish("vm", [event])

        self.loop.call_soon_threadsafe(do)

    def put(self, kind: str, table: str, row: Any) -> None:
        """A row of another kind appears or changes at the daemon."""

        def do() -> None:
            self.stand.world[kind][row["id"]] = row
            self.stand.publish(table, [])

        self.loop.call_soon_threadsafe(do)

    def drop(self, kind: str, table: str, row: str) -> None:
        """A row goes."""

        def do() -> None:
            del self.stand.world[kind][row]
            self.stand.publish(table, [])

        self.loop.call_soon_threadsafe(do)

    def cut(self, cut: bool) -> None:
        """The live stream ends, and none is given until it may again."""

        def do() -> None:
            self.stand.cut = cut
            self.stand.publish("none", [])

        self.loop.call_soon_threadsafe(do)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


@pytest.fixture(scope="session")
def running() -> Any:
    """`running(machines, nodes)`: a stand-in of this size, for as long as it is entered."""
    return lambda machines, nodes=3: closing(Running(machines, nodes))


@pytest.fixture(scope="module")
def daemon(running: Any) -> Iterator[Running]:
    with running(10_000) as one:
        yield one


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def faults() -> list[str]:
    return []


@pytest.fixture
def visit(chromium: Any, daemon: Running, faults: list[str]) -> Iterator[Any]:
    """`visit(address, width=, scheme=, locale=, enter=, person=)` opens a page; what its console says is a fault."""
    opened = []

    def open_page(
        address: str = "#/machines",
        *,
        width: int = 1440,
        scheme: str = "light",
        locale: str = "en-US",
        enter: bool = True,
        person: str = "operator",
    ) -> Any:
        height = 900 if width > 800 else 844
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale=locale, bypass_csp=False
        )
        context.set_default_timeout(30_000)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(daemon.url)
        if enter:
            page.fill("[name=username]", person)
            page.fill("[name=password]", "right")
            page.keyboard.press("Enter")
            page.wait_for_selector(".app")
            page.goto(daemon.url + address)
            page.wait_for_selector(READY)
        return page

    yield open_page
    for context in opened:
        context.close()
    # A refusal is an answer; anything else in the console, of the policy too, is a fault of the panel.
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []
